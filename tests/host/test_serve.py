"""From listening to the last answer: `serve` with real signals."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from hitchpost.api import Finish, FinishReason, TextDelta
from hitchpost.config import parse_run_config
from hitchpost.errors import ConfigError
from hitchpost.host import serve
from hitchpost.stack import Stack, build_stack
from tests.host.served import odd_config, parse_events, until

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@dataclass(frozen=True)
class Serving:
    """A `serve` that runs in this process."""

    url: str
    stack: Stack
    http: aiohttp.ClientSession
    end: asyncio.Task[int]

    @property
    def provider(self) -> Any:
        return self.stack.providers[0].provider


def odd_stack(**server: Any) -> Stack:
    return build_stack(parse_run_config({**odd_config(), "server": server}, {}, name="test").config)


@asynccontextmanager
async def serving(stack: Stack) -> AsyncIterator[Serving]:
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_listening(host: str, port: int) -> None:
        listening.set_result(f"http://{host}:{port}")

    ready = asyncio.Event()

    async def on_ready() -> None:
        ready.set()

    end = asyncio.create_task(serve(stack, host="127.0.0.1", port=0, on_listening=on_listening, on_ready=on_ready))
    url = await asyncio.wait_for(listening, 10)
    try:
        async with aiohttp.ClientSession() as http:
            await asyncio.wait_for(ready.wait(), 10)
            yield Serving(url, stack, http, end)
    finally:
        if not end.done():
            end.cancel()
            await asyncio.wait([end])


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def ended(host: Serving) -> int:
    async with asyncio.timeout(15):
        return await host.end


async def in_flight(host: Serving, requests: int) -> None:
    """Returns once so many requests are under way."""
    async with asyncio.timeout(10):
        while True:
            async with host.http.get(host.url + "/metrics") as response:
                if f"\nhitchpost_requests_in_flight {requests:.1f}\n" in await response.text():
                    return


async def read_stream(host: Serving, path: str = CHAT) -> tuple[int, list[Any]]:
    body = {**BODY, "model_id": "m", "stream": True}
    async with host.http.post(host.url + path, json=body) as response:
        return response.status, parse_events(await response.text())


def events(*parts: Any) -> list[Any]:
    return [*(TextDelta(part) if isinstance(part, str) else part for part in parts), Finish(FinishReason.stop)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_an_idle_host_with_status_0(number: signal.Signals) -> None:
    async with serving(odd_stack()) as host:
        os.kill(os.getpid(), number)

        assert await ended(host) == 0
        assert {gate.state.value for gate in host.stack.providers} == {"draining"}
        with pytest.raises(aiohttp.ClientConnectionError):
            await host.http.get(host.url + "/health")


async def test_streams_finish_while_new_work_is_refused() -> None:
    async with serving(odd_stack()) as host:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        host.provider.events = events("a", gate, "b")
        stream = asyncio.create_task(read_stream(host))
        await until(lambda: host.provider.played == 2)

        interrupt()
        await until(lambda: not host.stack.is_ready)
        async with host.http.get(host.url + "/ready") as ready, host.http.get(host.url + "/health") as health:
            states = (ready.status, health.status)
        async with host.http.post(host.url + CHAT, json=BODY) as refused:
            error = await refused.json()
        gate.set_result(None)
        status, chunks = await stream

        assert states == (503, 200)
        assert (refused.status, error["error"]["code"]) == (503, "backend_unavailable")
        assert "shutting down" in error["error"]["message"]
        assert "x-should-retry" not in refused.headers
        assert (status, chunks[-1]) == (200, "[DONE]")
        assert await ended(host) == 0


async def test_streams_that_take_too_long_get_an_error_event() -> None:
    async with serving(odd_stack(shutdown_timeout_s=0.1)) as host:
        provider = host.provider
        provider.events = events("a", 60.0)
        openai = asyncio.create_task(read_stream(host))
        native = asyncio.create_task(read_stream(host, "/alpha/inference/chat-completion"))
        whole = asyncio.create_task(host.http.post(host.url + CHAT, json=BODY))
        await until(lambda: provider.played == 6)

        interrupt()

        assert await ended(host) == 0
        assert (await openai)[1][-1]["error"]["message"] == "the host is shutting down"
        assert (await native)[1][-1] == {"error": {"message": "503: the host is shutting down"}}
        assert (await whole).status == 503
        assert provider.closed == 3


@pytest.mark.parametrize("path", [CHAT, "/alpha/inference/chat-completion"])
async def test_body_that_never_ends_does_not_hold_the_host(path: str) -> None:
    async with serving(odd_stack(shutdown_timeout_s=600)) as host:
        address = urlsplit(host.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode())
        await in_flight(host, 1)

        interrupt()

        assert await ended(host) == 0
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"the host is shutting down" in answer
        writer.close()


async def test_second_signal_does_not_wait() -> None:
    async with serving(odd_stack(shutdown_timeout_s=600)) as host:
        host.provider.events = events("a", 60.0)
        stream = asyncio.create_task(read_stream(host))
        await until(lambda: host.provider.played == 2)

        interrupt()
        await until(lambda: not host.stack.is_ready)
        interrupt()

        assert await ended(host) == 0
        assert (await stream)[1][-1]["error"]["message"] == "the host is shutting down"


async def test_host_listens_and_stops_while_a_provider_is_still_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = odd_stack()
    started = asyncio.Event()

    async def never(self: Stack) -> None:
        started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Stack, "start", never)
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    end = asyncio.create_task(serve(stack, port=0, on_listening=lambda _, port: listening.set_result(port)))
    port = await asyncio.wait_for(listening, 10)
    await started.wait()
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/ready") as ready:
        assert ready.status == 503

    interrupt()

    assert await asyncio.wait_for(end, 10) == 0


async def test_stack_that_cannot_start_ends_the_host_with_status_1(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(self: Stack) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Stack, "start", fail)

    assert await serve(odd_stack(), port=0) == 1
    assert "could not be started" in caplog.text


async def test_port_in_use_is_a_clear_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}: the port is in use.*--port"):
            await serve(odd_stack(), port=port)
    assert "draining" not in caplog.text


async def test_address_of_another_machine_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1.*--host"):
        await serve(odd_stack(), host="192.0.2.1", port=0)
