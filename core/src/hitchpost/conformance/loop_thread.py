"""An event loop in a thread of its own, watched from the thread that waits for it.

The kit's thread can so tell where a provider blocks the loop, and go on when it never ends.
"""

import asyncio
import concurrent.futures
import sys
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

from hitchpost.conformance.check import CheckFailed

SAMPLE_INTERVAL_S = 0.05
SAMPLES = 5
"""In how many samples in a row a loop that doesn't tick must be inside the provider before that counts; one alone may be bad luck."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stall:
    """The loop did not tick for a while, and was inside the provider in each sample."""

    function: str
    place: str
    """`file:line` of the provider's innermost frame, the one seen most often."""
    duration_s: float

    def __str__(self) -> str:
        return f"{self.place} (in {self.function}) kept the event loop for at least {self.duration_s:.2f} s"


class LoopThread:
    """Runs coroutines in a loop of its own, one after another.

    Args:
        packages: the packages that count as the provider's own code.
    """

    def __init__(self, packages: tuple[str, ...]) -> None:
        self.packages = packages
        self.stalls: list[Stall] = []
        self._is_stuck = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="conformance-loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """What `work` returns or raises.

        Raises:
            CheckFailed: it had not ended after `limit_s`, or an earlier one blocks the loop for good; the message says where it was.
        """
        if self._is_stuck and not self._ticks():
            work.close()
            raise CheckFailed(f"an earlier check never ended; {self._where()}")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        end = time.monotonic() + limit_s
        try:
            while not future.done():
                if time.monotonic() > end:
                    self._is_stuck = not self._ticks()
                    raise CheckFailed(f"it had not ended after {limit_s:g} s; {self._where()}")
                self._watch(future, end)
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, limit_s: float) -> None:
        """End the loop and all that still runs in it; a loop that is blocked is left behind."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(limit_s)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=1))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    def _ticks(self) -> bool:
        """Whether the loop runs at all."""
        ticked = threading.Event()
        self._loop.call_soon_threadsafe(ticked.set)
        return ticked.wait(SAMPLES * SAMPLE_INTERVAL_S)

    def _watch(self, future: concurrent.futures.Future[Any], end: float) -> None:
        """Wait for one tick of the loop, at most until `end`, and sample what it does while none comes."""
        ticked = threading.Event()
        self._loop.call_soon_threadsafe(ticked.set)
        lines: Counter[tuple[str, str]] = Counter()
        started = time.monotonic()
        while not ticked.wait(SAMPLE_INTERVAL_S) and time.monotonic() < end:
            frame = self._own_frame()
            if frame is not None:
                lines[f"{frame.f_code.co_filename}:{frame.f_lineno}", frame.f_code.co_qualname] += 1
        if lines.total() >= SAMPLES:
            [((place, function), _)] = lines.most_common(1)
            self.stalls.append(Stall(function, place, time.monotonic() - started))
        concurrent.futures.wait([future], SAMPLE_INTERVAL_S)

    def _own_frame(self) -> FrameType | None:
        """The innermost frame of the loop's thread that is in the provider's own code, if any."""
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - its documented purpose
        while frame is not None:
            name = str(frame.f_globals.get("__name__", ""))
            if any(name == package or name.startswith(f"{package}.") for package in self.packages):
                return frame
            frame = frame.f_back
        return None

    def _where(self) -> str:
        frame = self._own_frame()
        if frame is not None:
            return f"the event loop is blocked at {frame.f_code.co_filename}:{frame.f_lineno}"
        waiting = sorted(filter(None, map(self._place_of, asyncio.all_tasks(self._loop))))
        return f"tasks wait at {', '.join(waiting)}" if waiting else "none of its tasks waits in the provider"

    def _place_of(self, task: asyncio.Task[Any]) -> str | None:
        coroutine: Any = task.get_coro()
        place = None
        while coroutine is not None:
            frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
            if frame is not None and str(frame.f_globals.get("__name__", "")).startswith(self.packages):
                place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
        return place


__all__ = ["SAMPLES", "SAMPLE_INTERVAL_S", "LoopThread", "Stall"]
