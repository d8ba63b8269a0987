"""How a test makes the fake fail: in the middle of an answer, or in place of one."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.fakes.mid_answer import MidAnswerFaults

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
INFERENCE = ("/api/chat", "/api/generate", "/api/embed")
GOOD_LINE = b'{"model":"tiny","created_at":"2026-11-20T09:00:00.1Z","message":{"role":"assistant","content":"Hi"},"done":false}\n'
SHOWN_LINES = 2
"""After so many lines an answer stalls or breaks off."""


class Faults(MidAnswerFaults):
    """What is wrong with the server at the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.split_lines = False
        self._answer: Answer | None = None
        self._paths: tuple[str, ...] = ()

    def find(self, path: str) -> Answer | None:
        """What answers in place of the server."""
        return self._answer if path in self._paths else None

    async def in_mid_answer(self, request: web.Request, line: int | None) -> None:
        """Called before each line of a stream, and before a whole answer."""
        if line in (None, SHOWN_LINES):
            await self.meet_fault(request)

    @contextmanager
    def answering(self, answer: Answer, *paths: str) -> Iterator[None]:
        """Within it, requests for the paths (by default: inference) are answered so."""
        self._answer, self._paths = answer, paths or INFERENCE
        try:
            yield
        finally:
            self._answer = None
            self._paths = ()


def saying(*pieces: bytes, status: int = 200, content_type: str = "application/x-ndjson") -> Answer:
    """Answers with these bytes, a write for each, and ends properly."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": content_type})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        await response.write_eof()
        return response

    return answer


def failing(status: int, text: str) -> Answer:
    """Answers with Ollama's form of an error."""
    return saying(json.dumps({"error": text}).encode(), status=status, content_type="application/json; charset=utf-8")


def redirecting(to: str) -> Answer:
    """Answers with a redirect."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": to})

    return answer


async def slow_header(request: web.Request) -> web.StreamResponse:
    """Begins a header and never ends it."""
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await asyncio.Event().wait()
    raise AssertionError
