"""The end of the time that a call of a provider has."""

import asyncio
from math import inf
from types import TracebackType
from typing import Any


class Deadlines:
    """The deadlines of a provider's calls, behind one timer: a timer for each would be a large part of what a call costs.

    The timer stands at the earliest deadline. A call that ends in time leaves it where it is; it then finds nothing to do but move on.
    """

    def __init__(self) -> None:
        self._open: set[Deadline] = set()
        self._looks_at = inf
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, at: float) -> "Deadline":
        """A deadline at a time on the event loop's clock, until it is dropped."""
        loop = asyncio.get_running_loop()
        deadline = Deadline(at, loop, self._open)
        self._open.add(deadline)
        if at < self._looks_at or loop is not self._loop:
            self._look_at(at, loop)
        return deadline

    def _look_at(self, at: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at, self._loop = at, loop
        self._timer = loop.call_at(at, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looks_at, self._timer = inf, None
        now = loop.time()
        for deadline in [deadline for deadline in self._open if deadline.at <= now]:
            deadline.end()
        if self._open:
            self._look_at(min(deadline.at for deadline in self._open), loop)


class Deadline:
    """One call's: `with` marks when its task may be cancelled because the time is over, and turns that into a TimeoutError.

    `asyncio.timeout_at` is for one wait, and costs several times as much.
    """

    __slots__ = ("_cancelling", "_has_cancelled", "_loop", "_open", "_task", "at", "is_over")

    def __init__(self, at: float, loop: asyncio.AbstractEventLoop, open_ones: "set[Deadline]") -> None:
        self.at = at
        self.is_over = False
        self._task: asyncio.Task[Any] | None = None
        self._has_cancelled = False
        self._loop = loop
        self._open = open_ones

    def end(self) -> None:
        """The time is over."""
        self.drop()
        self.is_over = True
        if self._task is not None:
            self._has_cancelled = self._task.cancel()

    def drop(self) -> None:
        """The call is over."""
        self._open.discard(self)

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


__all__ = ["Deadline", "Deadlines"]
