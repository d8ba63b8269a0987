"""Two real hosts on one Redis or PostgreSQL server."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from llama_stack_client import APIStatusError, ConflictError, InternalServerError, LlamaStackClient

from tests.processes import HostProcess, wait_until
from tests.servers import PostgresServer, RedisServer

SEEN_WITHIN_S = 2.0
PROVIDERS: dict[str, Any] = {
    "inference": [
        {"provider_id": name, "provider_type": "inline::scripted", "config": {"accept_any_model": True, "script": [
            {"text": f"said by {name}"}
        ]}}
        for name in ("foo", "bar")
    ],
    "safety": [{"provider_id": "guard", "provider_type": "inline::scripted"}],
    "memory": [{"provider_id": "banks", "provider_type": "inline::scripted"}],
}  # fmt: skip


def run_config(store: dict[str, Any], **sections: Any) -> str:
    return json.dumps(
        {"version": "2", "image_name": "shared", "providers": PROVIDERS, "metadata_store": store, **sections}
    )


@pytest.fixture(params=["redis", "postgres"])
def store(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where a config says that the registrations are; a place that no other test has."""
    own = f"t{uuid.uuid4().hex[:12]}"
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        return redis.config(namespace=own)
    postgres: PostgresServer = request.getfixturevalue("postgres_server")
    return postgres.config(table_name=own)


class Pair:
    """Two hosts, each with a folder of its own, and a client for each."""

    def __init__(self, folder: Path, store: dict[str, Any], stack: ExitStack) -> None:
        self.stack = stack
        self.config = run_config(store)
        self.folders = [folder / name for name in ("one", "two")]
        for place in self.folders:
            place.mkdir()
        self.hosts = [self.start(0), self.start(1)]
        self.clients = [self.client(host) for host in self.hosts]

    def start(self, number: int) -> HostProcess:
        return self.stack.enter_context(HostProcess(self.folders[number], self.config))

    def client(self, host: HostProcess) -> LlamaStackClient:
        return self.stack.enter_context(LlamaStackClient(base_url=host.url, max_retries=0, timeout=30))


@pytest.fixture
def pair(tmp_path: Path, store: dict[str, Any]) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, store, stack)


def names(client: LlamaStackClient) -> set[str]:
    return {model.identifier for model in client.models.list()} - {"foo/scripted", "bar/scripted"}


def say(client: LlamaStackClient, model_id: str) -> str:
    answer = client.inference.chat_completion(model_id=model_id, messages=[{"role": "user", "content": "hello"}])
    return str(answer.completion_message.content)


def test_each_host_serves_what_was_registered_at_the_other(pair: Pair) -> None:
    one, two = pair.clients

    one.models.register(model_id="m", provider_id="bar", metadata={"context_length": 7})
    one.shields.register(shield_id="s", provider_shield_id="scripted", provider_id="guard")
    one.memory_banks.register(memory_bank_id="b", provider_id="banks", params={"memory_bank_type": "keyword"})

    wait_until(lambda: names(two) == {"m"}, "the model is listed at the other host", SEEN_WITHIN_S)
    wait_until(lambda: bool(two.shields.retrieve(identifier="s")), "the shield is there", SEEN_WITHIN_S)
    wait_until(lambda: bool(two.memory_banks.retrieve(memory_bank_id="b")), "the bank is there", SEEN_WITHIN_S)
    assert say(two, "m") == "said by bar"
    assert two.models.retrieve(identifier="m") == one.models.retrieve(identifier="m")
    two.memory.insert(bank_id="b", documents=[{"document_id": "d", "content": "a text", "metadata": {}}])
    assert two.memory.query(bank_id="b", query="text").chunks
    found = two.safety.run_shield(shield_id="s", messages=[{"role": "user", "content": "hello"}], params={})
    assert found.violation is None

    two.models.unregister(model_id="m")
    two.memory_banks.unregister(memory_bank_id="b")

    wait_until(lambda: names(one) == set(), "the model is gone from the first host", SEEN_WITHIN_S)
    wait_until(lambda: one.memory_banks.retrieve(memory_bank_id="b") is None, "the bank is gone", SEEN_WITHIN_S)


def test_of_registrations_at_both_hosts_at_once_exactly_one_owner_wins(pair: Pair) -> None:
    with ThreadPoolExecutor(2) as threads:
        for number in range(10):

            def register(way: tuple[LlamaStackClient, str], number: int = number) -> str | None:
                client, provider_id = way
                try:
                    return str(client.models.register(model_id=f"m{number}", provider_id=provider_id).provider_id)
                except ConflictError:
                    return None

            owners = list(threads.map(register, zip(pair.clients, ("foo", "bar"), strict=True)))

            [owner] = [owner for owner in owners if owner]
            for client in pair.clients:
                wait_until(lambda c=client, n=number: f"m{n}" in names(c), "listed at both", SEEN_WITHIN_S)  # type: ignore[misc]
                assert client.models.retrieve(identifier=f"m{number}").provider_id == owner  # type: ignore[union-attr]


def test_killed_host_knows_after_its_restart_what_happened_meanwhile(pair: Pair) -> None:
    one, two = pair.clients
    one.models.register(model_id="before", provider_id="foo")
    wait_until(lambda: names(two) == {"before"}, "the model is listed at the other host", SEEN_WITHIN_S)

    pair.hosts[0].process.kill()
    pair.hosts[0].process.wait()
    two.models.register(model_id="meanwhile", provider_id="bar")
    two.models.unregister(model_id="before")
    again = pair.client(pair.start(0))

    assert names(again) == {"meanwhile"}
    assert say(again, "meanwhile") == "said by bar"


@pytest.fixture(params=[RedisServer, PostgresServer])
def own_server(request: pytest.FixtureRequest) -> Iterator[RedisServer | PostgresServer]:
    """A server that the test may kill."""
    with request.param() as server:
        yield server


def test_host_goes_on_without_its_store_and_with_it_again(
    own_server: RedisServer | PostgresServer, tmp_path: Path
) -> None:
    config = run_config(own_server.config(timeout_s=2), models=[{"model_id": "mine", "provider_id": "foo"}])
    with (
        HostProcess(tmp_path, config) as host,
        LlamaStackClient(base_url=host.url, max_retries=0, timeout=30) as client,
    ):
        client.models.register(model_id="kept", provider_id="foo")

        own_server.kill()

        with pytest.raises(APIStatusError) as refused:
            client.models.register(model_id="new", provider_id="foo")
        assert refused.value.status_code == 503
        with pytest.raises(APIStatusError) as refused:
            client.models.unregister(model_id="kept")
        assert refused.value.status_code == 503
        assert names(client) == {"mine", "kept"}
        assert say(client, "kept") == "said by foo"

        own_server.start()

        wait_until(lambda: registers(client, "new"), "registrations work again", 30)
        assert names(client) == {"mine", "kept", "new"}


def registers(client: LlamaStackClient, model_id: str) -> bool:
    try:
        client.models.register(model_id=model_id, provider_id="foo")
    except InternalServerError:
        return False
    return True


def test_host_starts_while_its_store_is_away(own_server: RedisServer | PostgresServer, tmp_path: Path) -> None:
    config = run_config(own_server.config(timeout_s=2), models=[{"model_id": "mine", "provider_id": "foo"}])
    with HostProcess(tmp_path, config) as host, LlamaStackClient(base_url=host.url, timeout=30) as client:
        client.models.register(model_id="kept", provider_id="foo")
    own_server.kill()

    with (
        HostProcess(tmp_path, config) as host,
        LlamaStackClient(base_url=host.url, max_retries=0, timeout=30) as client,
    ):
        assert names(client) == {"mine"}
        assert say(client, "mine") == "said by foo"
        with pytest.raises(APIStatusError) as refused:
            client.models.register(model_id="new", provider_id="foo")
        assert refused.value.status_code == 503
        assert json.loads(host.get("/ready"))["registrations_problem"] in refused.value.response.json()["detail"]

        own_server.start()

        wait_until(lambda: names(client) == {"mine", "kept"}, "what is stored is listed", 40)
        wait_until(lambda: registers(client, "new"), "registrations work again", 30)
        wait_until(lambda: json.loads(host.get("/ready"))["registrations_problem"] is None, "that is said too", 30)
