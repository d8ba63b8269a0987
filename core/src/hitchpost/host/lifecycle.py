"""Which requests are under way, and how they end when the host is told to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from hitchpost.errors import BackendUnavailableError

SHUTTING_DOWN = "the host is shutting down"
GOODBYE_S = 5.0
"""How long the answers may take that tell of it."""


class Lifecycle:
    """Counts requests; first refuses new ones, then waits for the others, then ends what is left."""

    def __init__(self) -> None:
        self.is_draining = False
        self.is_aborting = False
        self._running: set[asyncio.Task[object]] = set()
        self._reading: set[asyncio.Timeout] = set()
        self._is_idle = asyncio.Event()

    @property
    def running(self) -> int:
        """Requests under way."""
        return len(self._running)

    def begin(self) -> asyncio.Task[object]:
        """Count the running task, which is returned, as a request until `end`.

        Raises:
            BackendUnavailableError: the host takes no more work.
        """
        if self.is_draining:
            raise shutting_down()
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        return task

    def end(self, task: asyncio.Task[object]) -> None:
        """The task's request is over."""
        self._running.discard(task)
        if self.is_draining and not self._running:
            self._is_idle.set()

    @asynccontextmanager
    async def reading(self, timeout_s: float) -> AsyncIterator[None]:
        """Limits the time in which a request's body must arrive; it is over at once when the host begins to drain.

        Raises:
            TimeoutError: the body didn't arrive in time.
            BackendUnavailableError: the host takes no more work.
        """
        try:
            async with asyncio.timeout(timeout_s) as limit:
                self._reading.add(limit)
                try:
                    yield
                finally:
                    self._reading.discard(limit)
        except TimeoutError:
            if self.is_draining:
                raise shutting_down() from None
            raise

    async def drain(self, timeout_s: float) -> None:
        """Refuse new requests and wait until those under way have ended, for at most `timeout_s`.

        A request whose body isn't whole yet is a new one.
        """
        self.is_draining = True
        for limit in self._reading:
            if not limit.expired():
                limit.reschedule(0)
        if not self._running:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()

    async def abort(self) -> None:
        """End what is under way now; each request answers that the host is shutting down, if its client takes the answer."""
        self.is_aborting = True
        for task in list(self._running):
            task.cancel()
        await self.drain(GOODBYE_S)

    def takes_over(self) -> bool:
        """Whether the cancellation that the running task has just met was ours; then the task goes on, to tell its client."""
        task = asyncio.current_task()
        if not self.is_aborting or task is None:
            return False
        task.uncancel()
        return True


def shutting_down() -> BackendUnavailableError:
    """What a client hears whose request came too late or took too long."""
    return BackendUnavailableError(SHUTTING_DOWN, retry_after_s=1.0)


__all__ = ["Lifecycle", "shutting_down"]
