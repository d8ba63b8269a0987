"""A host with memory on Weaviate, called by `llama-stack-client`, and started again in the middle."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from llama_stack_client import BadRequestError, LlamaStackClient

from tests.fakes.weaviate.server import FakeWeaviate
from tests.processes import HostProcess

PLUGIN = Path(__file__).parents[1] / "weaviate/word_vectors.py"
RUN_CONFIG = """version: '2'
plugins: {{paths: [{plugin}]}}
providers:
  inference:
  - {{provider_id: words, provider_type: "inline::word-vectors"}}
  memory:
  - provider_id: weaviate
    provider_type: remote::weaviate
    config: {{url: "{url}", grpc_port: {grpc_port}, api_key: "${{env.WEAVIATE_KEY}}"}}
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
    run_config = RUN_CONFIG.format(plugin=PLUGIN, url=fake_weaviate.url, grpc_port=fake_weaviate.grpc_port)

    await asyncio.to_thread(use_banks, tmp_path, run_config)

    banks = [json.loads(one.definition["description"])["bank_id"] for one in fake_weaviate.schema.collections.values()]
    assert banks == ["My keyword", "My keyvalue"]
    assert fake_weaviate.authorizations() == {f"Bearer {KEY}"}
