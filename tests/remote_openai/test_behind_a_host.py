"""What other gateways get wrong, asked of a host in front of an OpenAI-shaped server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.fakes.openai.server import SHOWN_CHUNKS, FakeOpenAI
from tests.host.served import Answer, ServedHost, served, until

CHAT = "/v1/chat/completions"
STALLED = 160


@dataclass
class Gateway:
    """A host and the fake behind it."""

    host: ServedHost
    fake: FakeOpenAI

    async def ask(self, text: str = "hello", *, stream: bool = False) -> Answer:
        return await self.host.post(CHAT, body(text, stream=stream))


def body(text: str, *, stream: bool) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], "stream": stream}


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with FakeOpenAI() as fake:
        provider = {"provider_id": "far", "provider_type": "remote::openai", "config": {"url": fake.url}}
        async with served({"version": "2", "providers": {"inference": [provider]}}) as host:
            yield Gateway(host, fake)


async def test_more_streams_than_a_usual_pool_has_connections_may_stall_and_others_are_answered(
    gateway: Gateway,
) -> None:
    async with AsyncExitStack() as stack, gateway.fake.stall():
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        for _ in range(STALLED):
            asked = session.post(gateway.host.url + CHAT, json=body("a few more words", stream=True))
            await stack.enter_async_context(asked)
        assert gateway.fake.running == STALLED

        gateway.fake.fault = None
        whole, streamed = await gateway.ask(), await gateway.ask(stream=True)

    assert whole.status == 200
    assert streamed.events[-1] == "[DONE]"
    await until(lambda: gateway.fake.running == 0)


@pytest.fixture
async def sleeps(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which anything sleeps that begins from now on."""
    asked: list[float] = []
    sleep, there_before = asyncio.sleep, asyncio.all_tasks()

    async def note(delay: float, result: Any = None) -> Any:
        if asyncio.current_task() not in there_before:
            asked.append(delay)
        return await sleep(delay, result)

    monkeypatch.setattr(asyncio, "sleep", note)
    return asked


async def test_nothing_sleeps_between_events(gateway: Gateway, sleeps: list[float]) -> None:
    answer = await gateway.ask("a few more words than before, so that there are some events", stream=True)

    assert len(answer.events) > 10
    assert set(sleeps) <= {0}


@pytest.mark.parametrize("stream", [False, True])
async def test_one_connection_serves_one_request_after_the_other(gateway: Gateway, stream: bool) -> None:
    for _ in range(5):
        await gateway.ask(stream=stream)

    assert len(gateway.fake.peers) == 1


TOLD = b'data: {"choices":[{"index":0,"delta":{"content":"Half"},"finish_reason":null}]}\n\n'


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(TOLD, id="ends without a word"),
        pytest.param(TOLD + b"data: [DONE]\n\n", id="says done, but gives no reason"),
        pytest.param(TOLD + b'data: {"choices":[{"index":0,"del', id="ends in the middle of an event"),
    ],
)
async def test_stream_without_its_end_ends_in_an_error_and_no_reason_is_made_up(
    gateway: Gateway, events: bytes
) -> None:
    gateway.fake.odd_events = events

    answer = await gateway.ask(stream=True)

    *told, error = answer.events
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in told) == "Half"
    assert {chunk["choices"][0]["finish_reason"] for chunk in told} == {None}
    assert error["error"]["type"] == "server_error"


async def test_stream_that_is_cut_ends_in_an_error(gateway: Gateway) -> None:
    async with gateway.fake.cut():
        answer = await gateway.ask("a few more words", stream=True)

    *told, error = answer.events
    assert len(told) == SHOWN_CHUNKS
    assert error["error"]["type"] == "server_error"


async def test_failure_of_the_server_is_told_at_once_and_asked_for_once(gateway: Gateway, sleeps: list[float]) -> None:
    gateway.fake.fault = "break"

    answer = await gateway.ask()

    assert answer.status == 502
    assert len(gateway.fake.asked) == 1
    assert set(sleeps) <= {0}
