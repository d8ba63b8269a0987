"""Load: the same request again and again, sent by a client that knows just enough HTTP to take next to no time of its own."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from measuring.server import ServerProcess


@dataclass(frozen=True)
class Target:
    """What is asked of a server."""

    server: ServerProcess
    path: str
    body: Any
    """Sent as JSON."""

    def request(self) -> bytes:
        """The request as it goes over the wire."""
        body = json.dumps(self.body, separators=(",", ":")).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


class Connection(asyncio.Protocol):
    """A connection that is kept, with one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or self._answer is None or self._answer.done():
            return
        _, is_sized, length = head.lower().partition(b"\r\ncontent-length:")
        is_whole = len(body) >= int(length.split(b"\r", 1)[0]) if is_sized else body.endswith(b"0\r\n\r\n")
        if is_whole:
            self._answer.set_result(bytes(self._received))
            self._received.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the server ended the connection"))

    async def ask(self, request: bytes) -> bytes:
        """The whole answer, its head included. Ends the benchmark where its status isn't 200."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not answered: {answer[:500]!r}")
        return answer

    def close(self) -> None:
        """Ends the connection."""
        assert self._transport is not None
        self._transport.close()


@asynccontextmanager
async def connections(*servers: ServerProcess) -> AsyncIterator[list[Connection]]:
    """A connection to each of the servers, of which one may be named several times."""
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(Connection, "127.0.0.1", server.port))[1] for server in servers]
    try:
        yield made
    finally:
        for connection in made:
            connection.close()


async def answer_of(target: Target) -> bytes:
    """What a target answers, its head included."""
    async with connections(target.server) as (connection,):
        return await connection.ask(target.request())


@dataclass(frozen=True)
class Alone:
    """How a server did with one request at a time."""

    latency_ms: float
    """Median."""
    cpu_ms: float
    """Of the server process, for each request."""


async def alone(targets: Sequence[Target], count: int) -> list[Alone]:
    """`count` answers of each target, one at a time; the targets take turns, so that each meets the same noise."""
    taken: list[list[float]] = [[] for _ in targets]
    requests = [target.request() for target in targets]
    began_cpu = [target.server.cpu_s() for target in targets]
    async with connections(*(target.server for target in targets)) as opened:
        for _ in range(count):
            for connection, request, times in zip(opened, requests, taken, strict=True):
                began = time.perf_counter()
                await connection.ask(request)
                times.append((time.perf_counter() - began) * 1000)
    cpu_ms = [(target.server.cpu_s() - began) / count * 1000 for target, began in zip(targets, began_cpu, strict=True)]
    return [Alone(statistics.median(times), cpu) for times, cpu in zip(taken, cpu_ms, strict=True)]


@dataclass(frozen=True)
class Throughput:
    """How a server did under load."""

    requests_per_s: float
    cpu_ms: float
    """Of the server process, for each request."""


async def throughput(target: Target, count: int, concurrency: int) -> Throughput:
    """`count` requests, `concurrency` at a time."""
    request = target.request()

    async def work(connection: Connection, remaining: Iterator[int]) -> None:
        for _ in remaining:
            await connection.ask(request)

    async with connections(*[target.server] * concurrency) as opened:
        remaining = iter(range(count))
        began, began_cpu = time.perf_counter(), target.server.cpu_s()
        await asyncio.gather(*(work(connection, remaining) for connection in opened))
        taken_s, cpu_s = time.perf_counter() - began, target.server.cpu_s() - began_cpu
    return Throughput(count / taken_s, cpu_s / count * 1000)


async def cpu_ms_per_1000_chunks(target: Target, streams: int, chunks: int, pace_s: float) -> float:
    """The server's CPU milliseconds for 1,000 chunks of streams that run side by side and begin at different times within one chunk's pace.

    Args:
        target: answers with a stream.
        streams: how many.
        chunks: of each stream.
        pace_s: between two chunks of a stream.
    """
    request = target.request()

    async def work(connection: Connection, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await connection.ask(request)

    async with connections(*[target.server] * streams) as opened:
        began = target.server.cpu_s()
        await asyncio.gather(*(work(connection, pace_s * place / streams) for place, connection in enumerate(opened)))
        return (target.server.cpu_s() - began) / (streams * chunks) * 1_000_000
