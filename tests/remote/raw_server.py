"""A server that answers exactly the bytes that a test says, and sees what becomes of its connections."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Self

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
NDJSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"


class Whole(bytes):
    """An answer after which the connection stays open for the next request; after other bytes it ends."""


def answered(body: bytes, status: int = 200, kind: str = "application/json", *headers: str) -> Whole:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return Whole("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


class Exchange:
    """One request as it came, and the connection to answer it on."""

    def __init__(self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = head.decode()
        self.body = body
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def client_leaves(self) -> None:
        """Until the other end hangs up."""
        await self._reader.read()


async def stays_silent(exchange: Exchange) -> None:
    await exchange.client_leaves()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


Respond = Callable[[Exchange], Awaitable[None]]


class RawServer:
    """Answers each request with the next of `answers`, the last of them for ever. Bytes are sent as they are, then the connection ends."""

    def __init__(self, *answers: bytes | Respond, tls: ssl.SSLContext | None = None) -> None:
        self._answers = list(answers)
        self._tls = tls
        self.exchanges: list[Exchange] = []
        self._serving: list[tuple[asyncio.StreamWriter, asyncio.Task[None]]] = []
        self.connections = 0
        self.open_connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for writer, _ in self._serving:
            writer.transport.abort()
        await asyncio.gather(*(task for _, task in self._serving))
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.append((writer, task))
        self.connections += 1
        self.open_connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            self.open_connections -= 1
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
        exchange = Exchange(head, body, reader, writer)
        self.exchanges.append(exchange)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not isinstance(answer, bytes):
            await answer(exchange)
            return False
        await exchange.write(answer)
        return isinstance(answer, Whole)
