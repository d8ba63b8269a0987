"""Bad days of a Weaviate server, as a test orders them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc

Refusal = Callable[[Mapping[str, Any]], str | None]


class Faults:
    """What goes wrong, by the method of gRPC (`Search`, `BatchObjects`, `BatchDelete`, `Aggregate`) or for REST."""

    def __init__(self) -> None:
        self.codes: dict[str, tuple[grpc.StatusCode, str]] = {}
        """Methods that are answered with an error: its code and text."""
        self.rest: tuple[int, Any] | None = None
        """Status and body with which every REST call but `.well-known` is answered; a body that is a text is no JSON."""
        self.hang_ups = 0
        """How many of the next REST requests find their connection closed in place of an answer."""
        self.refuses: Refusal | None = None
        """By its properties: why an object of a batch is refused; None: it isn't."""
        self.is_unhealthy = False
        """gRPC's health says NOT_SERVING."""
        self.delay_s = 0.0
        self.stalled: set[str] = set()
        self._go_on = asyncio.Event()

    async def meet(self, method: str, context: grpc.aio.ServicerContext) -> None:
        """What a call of gRPC comes across."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if method in self.stalled:
            await self._go_on.wait()
        if method in self.codes:
            await context.abort(*self.codes[method])

    @asynccontextmanager
    async def stall(self, *methods: str) -> AsyncIterator[None]:
        """Inside the block these methods take a request and say nothing."""
        names = methods or ("Search", "BatchObjects")
        self.stalled.update(names)
        self._go_on.clear()
        try:
            yield None
        finally:
            self.stalled.difference_update(names)
            self._go_on.set()

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Inside the block searches end as when the connection does."""
        self.codes["Search"] = (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2")
        try:
            yield None
        finally:
            del self.codes["Search"]
