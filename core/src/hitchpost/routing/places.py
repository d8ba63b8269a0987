"""How many requests a provider works on at the same time, and the queue of those that wait for their turn."""

import asyncio
from collections import deque
from contextlib import suppress

from hitchpost.config import ProviderLimits
from hitchpost.errors import OverloadedError

RETRY_AFTER_S = 1.0
"""What a caller is told to wait who met a full queue or a provider that is not ready."""


class Places:
    """The places of a provider; who waits for one gets it in the order of coming.

    Args:
        provider_id: whose they are.
        limits: how many there are, how many may wait for them, and for how long.
    """

    def __init__(self, provider_id: str, limits: ProviderLimits) -> None:
        self.taken = 0
        self._provider_id = provider_id
        self._limits = limits
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiting)

    def take_at_once(self) -> bool:
        """Take a place where one is free and nobody waits for it."""
        if self.taken >= self._limits.max_concurrent or self._waiting:
            return False
        self.taken += 1
        return True

    async def wait(self, deadline: float) -> None:
        """Wait for a place until a time on the event loop's clock, and take it.

        Raises:
            OverloadedError: the queue is full, or the request waited in it for too long.
        """
        if len(self._waiting) >= self._limits.max_queued:
            raise self._overloaded(f"works on {self.taken} requests and {len(self._waiting)} wait")
        loop = asyncio.get_running_loop()
        patience_s = min(deadline - loop.time(), self._limits.queue_timeout_s)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # The turn came in the same moment: hand it on.
                self.leave()
            else:
                with suppress(ValueError):  # a leaving request may have skipped and dropped it already
                    self._waiting.remove(turn)
            if not isinstance(error, TimeoutError):
                raise
            raise self._overloaded(f"was busy for {max(0.0, patience_s):.3g} s") from error

    def leave(self) -> None:
        """Give a place up, to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                # The place passes on; `taken` stays as it is.
                turn.set_result(None)
                return
        self.taken -= 1

    def _overloaded(self, what: str) -> OverloadedError:
        message = f"provider {self._provider_id} {what}; try again later"
        return OverloadedError(message, provider_id=self._provider_id, retry_after_s=RETRY_AFTER_S)


__all__ = ["RETRY_AFTER_S", "Places"]
