"""The end of the time that a request has."""

import asyncio
from types import TracebackType
from typing import Any


class Deadline:
    """One timer for everything that is awaited for a request: `with` marks when the task may be cancelled because the time is over.

    `asyncio.timeout_at` is for one wait, and costs several times as much.

    Args:
        at: on the event loop's clock; None: never.
    """

    __slots__ = ("_cancelling", "_has_cancelled", "_loop", "_task", "_timer", "is_over")

    def __init__(self, at: float | None) -> None:
        self.is_over = False
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._has_cancelled = False
        self._loop = asyncio.get_running_loop()
        self._timer = None if at is None else self._loop.call_at(at, self._end)

    def _end(self) -> None:
        self.is_over = True
        if self._task is not None:
            self._has_cancelled = self._task.cancel()

    def __enter__(self) -> None:
        if self.is_over:
            raise TimeoutError
        self._task = task = asyncio.current_task(self._loop)
        self._cancelling = 0 if task is None else task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._has_cancelled and task is not None:
            # The task is the caller's: what was ours of its cancellation must not stay.
            self._has_cancelled = False
            if task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
                raise TimeoutError from error

    def drop(self) -> None:
        """The timer is needed no more."""
        if self._timer is not None:
            self._timer.cancel()


__all__ = ["Deadline"]
