"""A provider in front of a Weaviate that is having a bad day."""

import asyncio
import logging
from typing import Any

import grpc
import pytest

from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
)
from hitchpost_weaviate import connection
from hitchpost_weaviate.failures import error_of_words
from hitchpost_weaviate.provider import WeaviateMemory
from tests.fakes.weaviate.server import FakeWeaviate
from tests.plugged import until
from tests.weaviate.conftest import MakeBank, MakeProvider

CODE = grpc.StatusCode


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead gRPC is doubted soon."""
    monkeypatch.setattr(connection, "PATIENCE_S", 0.1)


@pytest.mark.parametrize(("half", "words"), [("rest", "url, grpc_host"), ("grpc", "by gRPC")])
async def test_provider_does_not_start_without_one_of_the_halves(
    half: str, words: str, fake: FakeWeaviate, make_provider: MakeProvider
) -> None:
    await getattr(fake, f"stop_{half}")()

    with pytest.raises(BackendUnavailableError, match=words):
        await make_provider()


async def test_grpc_that_says_it_is_not_serving_is_unhealthy(provider: WeaviateMemory, fake: FakeWeaviate) -> None:
    fake.faults.is_unhealthy = True

    with pytest.raises(BackendUnavailableError, match="not serving"):
        await provider.health()


async def test_query_ends_soon_when_grpc_has_died(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await fake.stop_grpc()

    async with asyncio.timeout(5):
        with pytest.raises(BackendUnavailableError, match="gRPC") as refused:
            await bank.query("text")

    assert refused.value.provider_id == "weaviate"


async def test_provider_is_back_by_itself_when_the_server_is(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await bank.insert({"d": "text"})
    await fake.stop_grpc()
    await fake.stop_rest()
    with pytest.raises(BackendUnavailableError):
        await bank.provider.health()
    with pytest.raises(BackendUnavailableError):
        await bank.query("text")

    await fake.start_rest()
    await fake.start_grpc()

    async with asyncio.timeout(10):
        await bank.provider.health()
        assert await bank.found("text") == ["d"]


async def test_server_that_says_nothing_is_given_up(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank(at=await make_provider(query_timeout_s=0.3, write_timeout_s=0.3))
    async with fake.faults.stall("Search", "BatchObjects"):
        for asking in (bank.query("text"), bank.insert({"d": "text"})):
            with pytest.raises(DeadlineExceededError, match="in time"):
                await asking


async def test_host_hears_at_once_that_the_server_is_away(
    make_bank: MakeBank, fake: FakeWeaviate, health_changes: list[None]
) -> None:
    bank = await make_bank()
    await fake.stop_grpc()

    with pytest.raises(BackendUnavailableError):
        await bank.query("text")

    assert len(health_changes) == 1


async def test_slow_server_is_waited_for(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await bank.insert({"d": "text"})
    fake.faults.delay_s = 0.2

    assert await bank.found("text") == ["d"]


async def test_caller_that_leaves_ends_the_call(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    async with fake.faults.stall("Search"):
        query = asyncio.create_task(bank.query("text"))
        await until(lambda: fake.running)

        query.cancel()

        await until(lambda: not fake.running)
    assert query.cancelled()


@pytest.mark.parametrize(
    ("code", "words", "error"),
    [
        (CODE.UNAUTHENTICATED, "unauthorized: invalid api key", UnauthenticatedError),
        (CODE.PERMISSION_DENIED, "rbac: forbidden action", PermissionDeniedError),
        (CODE.RESOURCE_EXHAUSTED, "resource exhausted: too many requests", RateLimitedError),
        (CODE.UNKNOWN, "could not find class X in schema", NotFoundError),
        (CODE.UNKNOWN, "tenant not active: 'ann'", BackendUnavailableError),
        (CODE.UNKNOWN, "vector search: vector lengths don't match: 3 vs 2", BadRequestError),
        (CODE.UNKNOWN, "query maximum results exceeded", BadRequestError),
        (CODE.DEADLINE_EXCEEDED, "Deadline Exceeded", DeadlineExceededError),
        (CODE.INTERNAL, "panic in shard /var/lib/weaviate/x/y", BadBackendAnswerError),
    ],
)
async def test_error_of_a_search_is_told_apart(
    code: CODE, words: str, error: type[HitchpostError], make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank()
    await bank.insert({"d": "text"})
    fake.faults.codes["Search"] = (code, words)

    with pytest.raises(error) as refused:
        await bank.query("text")

    assert "/var/lib" not in str(refused.value)
    assert "ipv4" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"code": 401, "message": "unauthorized: invalid api key"}, UnauthenticatedError),
        (403, {"error": [{"message": "forbidden: user 'ann'"}]}, PermissionDeniedError),
        (422, {"error": [{"message": "no such thing"}]}, BadRequestError),
        (429, {"error": [{"message": "too many"}]}, RateLimitedError),
        (500, {"error": [{"message": "leader not found"}]}, BackendUnavailableError),
        (503, "<html>gateway</html>", BackendUnavailableError),
        (200, "<html>a web page</html>", BadBackendAnswerError),
        (200, {"nothing": "known"}, BadBackendAnswerError),
        (200, [], BadBackendAnswerError),
    ],
)
async def test_error_of_rest_is_told_apart(
    status: int, body: Any, error: type[HitchpostError], make_provider: MakeProvider, fake: FakeWeaviate
) -> None:
    provider = await make_provider(api_key="key-of-the-host")
    fake.faults.rest = (status, body)

    with pytest.raises(error) as refused:
        await provider.list_memory_banks()

    assert "ann" not in str(refused.value)


@pytest.mark.parametrize(("status", "body"), [(200, "<html>a web page</html>"), (200, {"nothing": "known"}), (404, "")])
async def test_something_else_on_the_port_is_no_weaviate(
    status: int, body: Any, fake: FakeWeaviate, make_provider: MakeProvider
) -> None:
    fake.faults.rest = (status, body)

    with pytest.raises(HitchpostError, match="Weaviate"):
        await make_provider()


async def test_server_that_is_too_old_is_told_for_good(make_provider: MakeProvider) -> None:
    async with FakeWeaviate(version="1.26.9") as old:
        with pytest.raises(BackendUnavailableError, match=r"1\.27") as refused:
            await make_provider(url=old.url, grpc_port=old.grpc_port)

    assert refused.value.is_permanent


async def test_refused_objects_are_in_no_log(
    make_bank: MakeBank, fake: FakeWeaviate, caplog: pytest.LogCaptureFixture
) -> None:
    bank = await make_bank("keyword")
    fake.faults.refuses = lambda properties: "disk full" if properties["document_id"] == "d" else None

    with caplog.at_level(logging.DEBUG, "hitchpost"):
        reports = await bank.insert({"d": "a secret diary", "e": "text"})

    assert "disk full" in str(reports["d"])
    assert "secret diary" not in caplog.text


async def test_wrong_dimension_is_the_error_of_the_document(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await bank.insert({"d": "text"})
    [collection] = fake.schema.collections.values()
    collection.dimension = 3

    reports = await bank.insert({"e": "text"})

    assert "vector with length 256" in str(reports["e"])


async def test_connecting_asks_nobody_but_the_server(
    make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: list[Any] = []
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def noted(host: Any, *arguments: Any, **more: Any) -> Any:
        hosts.append(host)
        return await resolve(host, *arguments, **more)

    monkeypatch.setattr(loop, "getaddrinfo", noted)
    provider = await make_provider()
    await provider.health()

    assert set(hosts) <= {"127.0.0.1", b"127.0.0.1"}


async def test_provider_that_stopped_is_not_asked(provider: WeaviateMemory, make_bank: MakeBank) -> None:
    bank = await make_bank()
    await provider.stop()

    with pytest.raises(BackendUnavailableError, match="not running"):
        await bank.query("text")


async def test_provider_starts_again_after_it_stopped(provider: WeaviateMemory, make_bank: MakeBank) -> None:
    bank = await make_bank()
    await bank.insert({"d": "text"})

    await provider.stop()
    await provider.start()

    assert await bank.found("text") == ["d"]


RPC_ERROR = """<AioRpcError of RPC that terminated with:
\tstatus = StatusCode.UNKNOWN
\tdetails = "bad thing"
\tdebug_error_string = "ipv4:10.0.0.1:50051"
>"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (RPC_ERROR, "Weaviate: bad thing"),
        ("Bearer sk-verysecretkey0000 is wrong", "Weaviate: … is wrong"),
        ("x" * 2000, "Weaviate: " + "x" * 300 + "…"),
    ],
)
def test_words_of_the_server_are_short_and_clean(words: str, said: str) -> None:
    assert error_of_words("Weaviate", words).message == said


async def test_connection_that_the_server_has_closed_is_made_anew(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank("keyword")
    fake.faults.hang_ups = 1

    reports = await bank.insert({"d": "text"})

    assert (reports, fake.faults.hang_ups) == ({"d": None}, 0)


async def test_server_that_hangs_up_again_and_again_is_away(provider: WeaviateMemory, fake: FakeWeaviate) -> None:
    fake.faults.hang_ups = 10

    with pytest.raises(BackendUnavailableError, match="hung up"):
        await provider.list_memory_banks()
