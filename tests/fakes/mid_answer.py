"""What befalls a fake server's answers in their middle, as a test orders it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web


class MidAnswerFaults:
    """A server calls `meet_fault` in the middle of each answer."""

    def __init__(self) -> None:
        self.stalled = 0
        """Answers that say nothing more at the moment."""
        self._fault: Callable[[web.Request], Awaitable[None]] | None = None

    async def meet_fault(self, request: web.Request) -> None:
        if self._fault is not None:
            await self._fault(request)

    @asynccontextmanager
    async def stall(self) -> AsyncIterator[None]:
        """Within it, answers stop in their middle and say nothing more."""
        self._fault = self._wait
        yield
        self._fault = None

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Within it, connections break in the middle of answers."""
        self._fault = _abort
        yield
        self._fault = None

    async def _wait(self, request: web.Request) -> None:
        self.stalled += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.stalled -= 1


async def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError
