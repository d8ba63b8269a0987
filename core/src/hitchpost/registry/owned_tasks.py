"""Work that runs to its end though its caller left, because half of it is worse than all of it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class OwnedTasks:
    """Owns the tasks of such work until they are done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run_to_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the work; a cancelled caller leaves, the work goes on."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._settle)
        return await asyncio.shield(task)

    async def close(self, timeout_s: float) -> None:
        """Wait for what is under way; what takes longer is given up."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # The caller may have left; without this look asyncio complains that nobody wanted the error.
            task.exception()


__all__ = ["OwnedTasks"]
