"""A whole stack with memory on Weaviate: states of the provider, and banks that the server has already."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hitchpost.api import (
    Api,
    InsertDocumentsRequest,
    NoArguments,
    QueryDocumentsRequest,
    RegisterMemoryBankRequest,
    RequestContext,
)
from hitchpost.config import parse_run_config
from hitchpost.errors import BackendUnavailableError
from hitchpost.stack import Stack, build, build_stack
from hitchpost_weaviate import connection
from tests.fakes.weaviate.server import FakeWeaviate
from tests.plugged import until

CONTEXT = RequestContext(request_id="req_test")


@pytest.fixture
async def stack(fake: FakeWeaviate, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """It has a provider in front of the fake, whose health is asked often, and a keyword bank with a document."""
    monkeypatch.setattr(build, "HEALTH_INTERVAL_S", 0.1)
    monkeypatch.setattr(connection, "PATIENCE_S", 0.1)
    provider = {
        "provider_id": "weaviate",
        "provider_type": "remote::weaviate",
        "config": {"url": fake.url, "grpc_port": fake.grpc_port, "query_timeout_s": 3},
    }
    bank = {"memory_bank_id": "words", "provider_id": "weaviate", "params": {"memory_bank_type": "keyword"}}
    config = {"providers": {"memory": [provider]}, "memory_banks": [bank], "metadata_store": {"type": "memory"}}
    started = build_stack(parse_run_config(config, {}, name="test").config)
    await started.start()
    try:
        document = {"document_id": "d", "content": "text"}
        insertion = InsertDocumentsRequest.model_validate({"bank_id": "words", "documents": [document]})
        await started.get_router(Api.memory).insert_documents(insertion, CONTEXT)
        yield started
    finally:
        await started.stop()


def state_of(stack: Stack) -> tuple[str, str | None]:
    [gate] = [gate for gate in stack.providers if gate.provider_id == "weaviate"]
    return gate.state, gate.reason


async def found(stack: Stack, bank_id: str = "words") -> list[str]:
    answer = await stack.get_router(Api.memory).query_documents(
        QueryDocumentsRequest(bank_id=bank_id, query="text"), CONTEXT
    )
    return [chunk.document_id for chunk in answer.chunks]


async def test_provider_is_degraded_while_grpc_is_away_and_ready_again_by_itself(
    stack: Stack, fake: FakeWeaviate
) -> None:
    before = state_of(stack)

    await fake.stop_grpc()
    await until(lambda: state_of(stack)[0] == "degraded")
    reason = state_of(stack)[1]
    with pytest.raises(BackendUnavailableError, match="gRPC"):
        await found(stack)
    await fake.start_grpc()
    await until(lambda: state_of(stack)[0] == "ready")

    assert before[0] == "ready"
    assert "gRPC" in str(reason)
    async with asyncio.timeout(5):
        assert await found(stack) == ["d"]


async def test_bank_that_the_server_has_already_is_there_under_the_providers_name(
    stack: Stack, fake: FakeWeaviate
) -> None:
    params = {"memory_bank_type": "keyword"}
    registration = RegisterMemoryBankRequest.model_validate(
        {"memory_bank_id": "more", "provider_id": "weaviate", "params": params}
    )
    await stack.get_router(Api.memory_banks).register_memory_bank(registration, CONTEXT)
    await stack.stop()
    config = {
        "providers": {
            "memory": [
                {
                    "provider_id": "other",
                    "provider_type": "remote::weaviate",
                    "config": {"url": fake.url, "grpc_port": fake.grpc_port},
                }
            ]
        },
        "metadata_store": {"type": "memory"},
    }
    other = build_stack(parse_run_config(config, {}, name="test").config)

    await other.start()
    try:
        listed = [
            bank.identifier
            for bank in await other.get_router(Api.memory_banks).list_memory_banks(NoArguments(), CONTEXT)
        ]
        assert sorted(listed) == ["other/more", "other/words"]
        assert await found(other, "other/words") == await found(other, "words") == ["d"]
    finally:
        await other.stop()
