"""What a client registers is called, listed, kept over a restart and unregistered; `llama-stack-client` 0.0.58 against real hosts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from llama_stack_client import BadRequestError, ConflictError, LlamaStackClient
from llama_stack_client.types import Model

from tests.processes import HostProcess

FOO_AND_BAR = """
version: '2'
providers:
  inference:
  - provider_id: foo
    provider_type: inline::scripted
    config: {models: [small], script: [{text: said by foo}]}
  - provider_id: bar
    provider_type: inline::scripted
    config: {models: [large, larger], script: [{text: said by bar}]}
models:
- {model_id: first, provider_id: foo, provider_model_id: small}
- {model_id: second, provider_id: bar, provider_model_id: large}
"""
MEMORY_AND_SAFETY = """
version: '2'
providers:
  safety:
  - {provider_id: guard, provider_type: inline::scripted}
  memory:
  - {provider_id: banks, provider_type: inline::scripted}
"""
BANK = {"memory_bank_type": "vector", "embedding_model": "all-MiniLM-L6-v2", "chunk_size_in_tokens": 512}


@contextmanager
def served(folder: Path, run_config: str) -> Iterator[LlamaStackClient]:
    with (
        HostProcess(folder, run_config) as host,
        LlamaStackClient(base_url=host.url, max_retries=0, timeout=30) as client,
    ):
        yield client


def names(client: LlamaStackClient) -> list[str]:
    """The models that were registered, by whomever, without those that providers list."""
    return [model.identifier for model in client.models.list() if not model.identifier.startswith(("foo/", "bar/"))]


def say(client: LlamaStackClient, model_id: str) -> str:
    answer = client.inference.chat_completion(model_id=model_id, messages=[{"role": "user", "content": "hello"}])
    return str(answer.completion_message.content)


def test_third_model_is_registered_onto_one_of_two_instances_called_listed_kept_and_unregistered(
    tmp_path: Path,
) -> None:
    third = Model(
        identifier="third", provider_resource_id="larger", provider_id="bar", type="model", metadata={"mine": True}
    )

    with served(tmp_path, FOO_AND_BAR) as client:
        said = {name: say(client, name) for name in ("first", "second")}
        registered = client.models.register(
            model_id="third", provider_id="bar", provider_model_id="larger", metadata={"mine": True}
        )
        said["third"] = say(client, "third")
        listed = names(client)
    with served(tmp_path, FOO_AND_BAR) as client:
        listed_after_restart, kept = names(client), client.models.retrieve(identifier="third")
        said["third after a restart"] = say(client, "third")
        client.models.unregister(model_id="third")
        listed_at_last = names(client)
        with pytest.raises(BadRequestError, match="Model `third` not served"):
            say(client, "third")
    with served(tmp_path, FOO_AND_BAR) as client:
        listed_after_another_restart = names(client)

    assert said == {
        "first": "said by foo",
        "second": "said by bar",
        "third": "said by bar",
        "third after a restart": "said by bar",
    }
    assert registered == kept == third
    assert listed == listed_after_restart == ["first", "second", "third"]
    assert listed_at_last == listed_after_another_restart == ["first", "second"]


def test_owner_must_be_told_where_there_are_two_and_keeps_what_it_has(tmp_path: Path) -> None:
    with served(tmp_path, FOO_AND_BAR) as client:
        with pytest.raises(BadRequestError, match=r"no provider was named and several are available \(foo, bar\)"):
            client.models.register(model_id="third")
        with pytest.raises(BadRequestError, match="Provider `baz` not found"):
            client.models.register(model_id="third", provider_id="baz")
        with pytest.raises(BadRequestError, match="unknown"):
            client.models.register(model_id="unknown", provider_id="foo")
        with pytest.raises(ConflictError, match=r"registered at provider foo \(config\)"):
            client.models.register(model_id="first", provider_id="bar", provider_model_id="large")
        with pytest.raises(ConflictError, match="comes from origin config"):
            client.models.unregister(model_id="first")
        with pytest.raises(BadRequestError, match="Model unknown not found"):
            client.models.unregister(model_id="unknown")
        assert names(client) == ["first", "second"]


def test_banks_and_shields_last_and_the_first_values_stay(tmp_path: Path) -> None:
    with served(tmp_path, MEMORY_AND_SAFETY) as client:
        client.memory_banks.register(memory_bank_id="b", params={**BANK, "overlap_size_in_tokens": 64})
        client.memory_banks.register(memory_bank_id="b", params={**BANK, "chunk_size_in_tokens": 7})
        client.shields.register(shield_id="s", provider_shield_id="scripted", params={"level": 1})
        client.shields.register(shield_id="s", provider_shield_id="scripted", params={"level": 2})
        banks, shields = _registered(client)
    with served(tmp_path, MEMORY_AND_SAFETY) as client:
        after_restart = _registered(client)
        client.memory.insert(
            bank_id="b", documents=[{"document_id": "d", "content": "a text of some words", "metadata": {}}]
        )
        found = client.memory.query(bank_id="b", query="words")
        client.memory_banks.unregister(memory_bank_id="b")
        client.post("/alpha/shields/unregister", body={"shield_id": "s"}, cast_to=object)
        at_last = _registered(client)

    assert (banks, shields) == after_restart
    assert [(bank["identifier"], bank["chunk_size_in_tokens"], bank["overlap_size_in_tokens"]) for bank in banks] == [
        ("b", 512, 64)
    ]
    assert [(shield["identifier"], shield["params"]) for shield in shields] == [("s", {"level": 1})]
    assert found.chunks
    assert at_last == ([], [])


def _registered(client: LlamaStackClient) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    banks = [bank.to_dict() for bank in client.memory_banks.list()]
    shields = [shield.to_dict() for shield in client.shields.list()]
    return banks, [shield for shield in shields if not shield["identifier"].startswith("guard/")]


def test_edits_of_the_run_config_apply_at_the_next_start(tmp_path: Path) -> None:
    with served(tmp_path, FOO_AND_BAR) as client:
        before = names(client)

    edited = FOO_AND_BAR.replace("model_id: second", "model_id: renamed")
    with served(tmp_path, edited) as client:
        after = names(client)

    assert (before, after) == (["first", "second"], ["first", "renamed"])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no database at all" * 500, "it is no SQLite database"), (None, "has format 99")],
)
def test_store_that_can_not_be_used_ends_the_start_and_is_left_as_it_is(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    with served(tmp_path, FOO_AND_BAR) as client:
        client.models.register(model_id="third", provider_id="bar", provider_model_id="larger")
    [file] = (tmp_path / "home").rglob("registry.db")
    if content is None:
        subprocess.run(
            [sys.executable, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 99')", file],
            check=True,
        )  # fmt: skip
    else:
        file.write_bytes(content)
    before = file.read_bytes()

    ended = subprocess.run(
        [sys.executable, "-m", "hitchpost", "run", "run.yaml", "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "HITCHPOST_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert file.read_bytes() == before


def test_host_without_a_run_config_remembers_too(tmp_path: Path) -> None:
    with HostProcess(tmp_path) as host, LlamaStackClient(base_url=host.url, max_retries=0, timeout=60) as client:
        first = client.models.list()[0]
        client.models.register(
            model_id="mine", provider_id=first.provider_id, provider_model_id=first.provider_resource_id
        )
    with HostProcess(tmp_path) as host:
        found = {model["identifier"] for model in json.loads(host.get("/alpha/models/list"))}

    assert "mine" in found
