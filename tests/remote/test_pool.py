"""Connections under disorder: callers that leave and servers that hang up at any moment take no place away, and get nobody else's answer."""

import asyncio
import contextlib
import gc
import random
import socket
from typing import Any, Self

import pytest

from hitchpost.errors import HitchpostError
from hitchpost.remote import RemoteConfig, RemoteServer, parse_json

SOON_S = (0, 0, 0.0005, 0.001, 0.002, 0.005)
ESTABLISHED = 1
"""Linux's name for a connection that neither end has closed."""


class UnreliableServer:
    """Repeats to each request its path; while `is_unreliable`, it hangs up before, in and after answers, and says too much."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._serving: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self.is_unreliable = True
        self.most_connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for writer in self._serving:
            writer.transport.abort()
        await asyncio.gather(*self._serving.values())

    def _happens(self, probability: float) -> bool:
        return self.is_unreliable and self._chance.random() < probability

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[writer] = task
        sockets = [open_one.get_extra_info("socket") for open_one in self._serving]
        # The client's end, since this one may not have looked yet.
        states = [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] for each in sockets if each.fileno() >= 0]
        self.most_connections = max(self.most_connections, states.count(ESTABLISHED))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not self._happens(0.05) and await self._answer_one(reader, writer):
                pass
        writer.close()
        del self._serving[writer]

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        if self._happens(0.15):
            return False
        body = b'{"path": "%b", "rest": "%b"}' % (path, b"x" * self._chance.choice((1, 3_000, 300_000)))
        last = b"Connection: close\r\n" if self._happens(0.1) else b""
        answer = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (last, len(body), body)
        breaks = self._happens(0.2)
        if breaks:
            answer = answer[: self._chance.randrange(len(answer))]
        elif self._happens(0.1):
            answer += b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        cut = self._chance.randrange(len(answer) + 1)
        for piece in (answer[:cut], answer[cut:]):
            writer.write(piece)
            await asyncio.sleep(self._chance.choice(SOON_S) if self.is_unreliable else 0)
        await writer.drain()
        if breaks and self._happens(0.5):
            writer.transport.abort()
        return not breaks and not self._happens(0.1)


async def ask_and_disturb(
    remote: RemoteServer, path: str, asking: dict[str, asyncio.Task[Any]], chance: random.Random
) -> Any:
    """In the moment that a connection is given back, somebody leaves: perhaps the one who gets it."""
    try:
        return await ask(remote, path, chance)
    finally:
        others = [task for other, task in asking.items() if other != path and not task.done()]
        if others and chance.random() < 0.3:
            chance.choice(others[:3]).cancel()


async def ask(remote: RemoteServer, path: str, chance: random.Random) -> Any:
    """One of the ways to ask: for the whole, or leaving in the middle. What is not read is taken for right."""
    if chance.random() < 0.6:
        return (await remote.fetch_json("GET", path))["path"]
    async with remote.send("GET", path) as answer:
        if chance.random() < 0.5:
            await asyncio.sleep(chance.choice(SOON_S))
            return path
        return parse_json("Acme", await answer.read())["path"]


@pytest.mark.parametrize("max_connections", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
async def test_no_place_is_lost_and_no_answer_goes_astray(seed: int, max_connections: int) -> None:
    chance = random.Random(seed * 10 + max_connections)
    loop = asyncio.get_running_loop()
    unseen: list[Any] = []
    loop.set_exception_handler(lambda loop, context: unseen.append(context["message"]))
    async with UnreliableServer(chance) as server:
        config = RemoteConfig(url=server.url, max_connections=max_connections, max_retries=1, first_byte_timeout_s=5)
        remote = RemoteServer(config, "Acme")
        await remote.open()
        asking: dict[str, asyncio.Task[Any]] = {}
        for number in range(40):
            path = f"/{number}"
            asking[path] = asyncio.create_task(ask_and_disturb(remote, path, asking, chance))
            if chance.random() < 0.2:
                loop.call_later(chance.choice(SOON_S), asking[path].cancel)
            for _ in range(chance.choice((0, 0, 1, 5))):
                await asyncio.sleep(0)
        if seed == 0:
            await remote.close()
            await remote.open()
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*asking.values(), return_exceptions=True)
        server.is_unreliable = False
        async with asyncio.timeout(5):
            afterwards = await asyncio.gather(*(ask_again(remote, f"/after/{n}") for n in range(2 * max_connections)))
        await remote.close()
    gc.collect()

    wrong = [
        (path, end)
        for path, end in zip(asking, ends, strict=True)
        if end != path and not isinstance(end, HitchpostError | asyncio.CancelledError)
    ]
    assert wrong == []
    assert afterwards == [f"/after/{n}" for n in range(2 * max_connections)]
    assert server.most_connections <= max_connections * (2 if seed == 0 else 1)
    assert unseen == []


async def ask_again(remote: RemoteServer, path: str) -> Any:
    """Until what the server did in its last bad moments is over: it may have hung up under this request, too."""
    while True:
        with contextlib.suppress(HitchpostError):
            return (await remote.fetch_json("GET", path))["path"]
