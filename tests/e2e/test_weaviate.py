"""A host with memory on Weaviate, called by `llama-stack-client`, and started again in the middle."""

import asyncio
import json
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from llama_stack_client import BadRequestError, LlamaStackClient

from tests.fakes.weaviate.server import FakeWeaviate
from tests.processes import HostProcess
from tests.servers import needed_program

PLUGIN = Path(__file__).parents[1] / "fakes/word_vectors.py"
RUN_CONFIG = """version: '2'
plugins: {{paths: [{plugin}]}}
providers:
  inference:
  - {{provider_id: words, provider_type: "inline::word-vectors"}}
  memory:
  - provider_id: weaviate
    provider_type: remote::weaviate
    config: {{url: "{url}", grpc_port: {grpc_port}, api_key: "${{env.WEAVIATE_KEY}}", trust_env: {trust_env}}}
models:
- {{model_id: all-MiniLM-L6-v2, provider_id: words, metadata: {{model_type: embedding, embedding_dimension: 256}}}}
"""
KEY = "key-of-the-host"
PARAMS = {
    "vector": {"embedding_model": "all-MiniLM-L6-v2", "chunk_size_in_tokens": 64, "overlap_size_in_tokens": 8},
    "keyword": {},
    "keyvalue": {},
}
DOCUMENTS: list[dict[str, Any]] = [
    {
        "document_id": "oslo",
        "content": "Oslo is the capital of Norway.",
        "mime_type": "text/plain",
        "metadata": {"of": "north"},
    },
    {
        "document_id": "bread/1",
        "content": "Bread is baked from flour and water.",
        "mime_type": "text/plain",
        "metadata": {},
    },
]
QUERIES = {"vector": "capital of Norway", "keyword": "Norway", "keyvalue": "oslo"}


@pytest.fixture
async def fake_weaviate() -> AsyncIterator[FakeWeaviate]:
    async with FakeWeaviate(KEY) as fake:
        yield fake


def run_config_for(fake: FakeWeaviate, *, trust_env: bool = False) -> str:
    """A host in front of the fake."""
    trusts = str(trust_env).lower()
    return RUN_CONFIG.format(plugin=PLUGIN, url=fake.url, grpc_port=fake.grpc_port, trust_env=trusts)


def use_banks(folder: Path, run_config: str) -> None:
    """What an application does, before and after a restart of the host."""
    environ = {"WEAVIATE_KEY": KEY}
    with HostProcess(folder, run_config, environ) as host:
        client = LlamaStackClient(base_url=host.url, max_retries=0)
        for kind, params in PARAMS.items():
            client.memory_banks.register(
                memory_bank_id=f"My {kind}", provider_id="weaviate", params={"memory_bank_type": kind, **params}
            )
            client.memory.insert(bank_id=f"My {kind}", documents=DOCUMENTS)  # type: ignore[arg-type]
        with pytest.raises(BadRequestError, match="file"):
            client.memory.insert(
                bank_id="My keyword",
                documents=[{"document_id": "x", "content": "file:///etc/passwd", "metadata": {}}],
            )
    with HostProcess(folder, run_config, environ) as host:
        client = LlamaStackClient(base_url=host.url, max_retries=0)
        for kind, query in QUERIES.items():
            found = client.memory.query(bank_id=f"My {kind}", query=query)
            assert [chunk.document_id for chunk in found.chunks][:1] == ["oslo"]
            assert found.scores == sorted(found.scores, reverse=True)
        north = client.memory.query(bank_id="My vector", query="bread", params={"filter": {"of": "north"}})  # type: ignore[dict-item]
        assert [chunk.document_id for chunk in north.chunks] == ["oslo"]
        bank = f"{host.url}/hitchpost/v1/memory-banks/My%20vector"
        listed = json.loads(urllib.request.urlopen(f"{bank}/documents", timeout=10).read())
        assert [one["document_id"] for one in listed["data"]] == ["bread/1", "oslo"]
        client.memory_banks.unregister(memory_bank_id="My vector")
        assert KEY not in host.log


async def test_banks_outlive_the_host(fake_weaviate: FakeWeaviate, tmp_path: Path) -> None:
    run_config = run_config_for(fake_weaviate)

    await asyncio.to_thread(use_banks, tmp_path, run_config)

    banks = [json.loads(one.definition["description"])["bank_id"] for one in fake_weaviate.schema.collections.values()]
    assert banks == ["My keyword", "My keyvalue"]
    assert fake_weaviate.authorizations() == {f"Bearer {KEY}"}


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Files with a certificate for `localhost`, and its key."""
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    openssl = [str(needed_program("openssl", "openssl")), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*openssl, *names, "-keyout", files[1], "-out", files[0]], check=True, capture_output=True)
    return files


def find_over_tls(folder: Path, run_config: str, certificate: Path) -> list[str]:
    """What is found through a host that trusts the certificate."""
    trusted = {"SSL_CERT_FILE": str(certificate), "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate)}
    with HostProcess(folder, run_config, {"WEAVIATE_KEY": KEY, "NO_PROXY": "localhost", **trusted}) as host:
        client = LlamaStackClient(base_url=host.url, max_retries=0)
        params: Any = {"memory_bank_type": "keyword"}
        client.memory_banks.register(memory_bank_id="words", provider_id="weaviate", params=params)
        client.memory.insert(bank_id="words", documents=DOCUMENTS)  # type: ignore[arg-type]
        return [chunk.document_id for chunk in client.memory.query(bank_id="words", query="Norway").chunks]


async def test_both_halves_of_the_server_are_reached_over_tls(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    async with FakeWeaviate(KEY, certificate=certificate) as fake:
        run_config = run_config_for(fake, trust_env=True)

        found = await asyncio.to_thread(find_over_tls, tmp_path, run_config, certificate[0])

    assert found == ["oslo"]
