"""How a test makes the fake fail: what it sends in place of the answer, or of the answer's rest."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Faults:
    """The fault that answers meet, if any. `instead` answers a POST in the server's place; `after_tokens` lets a stream begin first."""

    def __init__(self) -> None:
        self.instead: Fault | None = None
        self.after_tokens: Callable[[web.StreamResponse | None], Awaitable[None]] | None = None

    @asynccontextmanager
    async def answering(self, fault: Fault) -> AsyncIterator[None]:
        """Within the block every POST is answered by the fault."""
        self.instead = fault
        try:
            yield
        finally:
            self.instead = None

    @asynccontextmanager
    async def breaking(self, fault: Callable[[web.StreamResponse | None], Awaitable[None]]) -> AsyncIterator[None]:
        """Within the block every answer meets the fault after two tokens; one that is whole, before it is sent."""
        self.after_tokens = fault
        try:
            yield
        finally:
            self.after_tokens = None

    @asynccontextmanager
    async def stall(self) -> AsyncIterator[str | None]:
        """See `hitchpost.conformance.base.BackendFaults`."""

        async def wait(response: web.StreamResponse | None) -> None:
            await asyncio.Event().wait()

        async with self.breaking(wait):
            yield None

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[str | None]:
        """See `hitchpost.conformance.base.BackendFaults`."""
        async with self.breaking(cut_off):
            yield None


class CutOff(Exception):
    """The connection is to end here."""


async def cut_off(response: web.StreamResponse | None) -> None:
    """End the connection in the middle."""
    raise CutOff


def answered(
    body: bytes, status: int = 200, kind: str = "text/event-stream", headers: dict[str, str] | None = None
) -> Fault:
    """These bytes as a whole answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={"Content-Type": kind, **(headers or {})})

    return answer
