"""The thread that owns the tensors: it loads the model, then computes one step after the other.

    wait for work -> take orders -> a step of each kind of work -> report

Nobody else touches the works. Orders come through a queue and are taken between two steps; each step's outcome is reported.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from hitchpost.errors import HitchpostError
from hitchpost_meta_reference.engine.protocol import Stats
from hitchpost_meta_reference.engine.scheduler import EndReason

Argument = TypeVar("Argument")

log = logging.getLogger("hitchpost.engine")

MAX_FAILED_STEPS = 3
"""So many steps that fail one after the other aren't the fault of single requests."""


class StepFailedForGoodError(Exception):
    """After a step failed in this way nothing that is computed can be trusted."""


@dataclass(slots=True)
class SampledToken:
    """A new token of a sequence; with `end` it was the last."""

    sequence_id: int
    sampled: Any
    end: EndReason | None


@dataclass(slots=True)
class ComputedVectors:
    """Vectors of a job, as float32, by the index of their text; with `are_last` no text of it is left."""

    job_id: int
    vectors: dict[int, bytes] = field(default_factory=dict)
    are_last: bool = False


@dataclass(slots=True)
class StepOutcome:
    """What came of a step."""

    tokens: list[SampledToken] = field(default_factory=list)
    vectors: list[ComputedVectors] = field(default_factory=list)
    failed: dict[int, HitchpostError] = field(default_factory=dict)
    """Ids of the sequences and jobs that ended with an error, and what their callers are told."""
    error: Exception | None = None
    """Why nothing could be computed, where that was so."""


@dataclass(slots=True)
class StepReport:
    """What happened since the report before."""

    stats: Stats
    outcome: StepOutcome = field(default_factory=StepOutcome)


class Work(Protocol):
    """A kind of work that goes on step by step."""

    def step(self) -> StepOutcome | None:
        """Computes the next step; None when there is nothing to do. Raises StepFailedForGoodError where the device is lost."""
        ...

    def tell(self, stats: Stats) -> None:
        """Fills in this work's figures."""
        ...


class StepThread:
    """Computes until the process ends.

    Args:
        works: what is computed, a step of each in turn; no longer used by anybody else but through `order`.
        report: told of each step, and once when the work is all done; called in this thread.
        fail: told why nothing can be computed any more; afterwards the thread ends.
    """

    def __init__(
        self, works: Sequence[Work], report: Callable[[StepReport], None], fail: Callable[[str], None]
    ) -> None:
        self._works = works
        self._report = report
        self._fail = fail
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._step_began: float | None = None
        self._failed_steps = 0

    def order(self, do: Callable[[Argument], None], argument: Argument) -> None:
        """Has a method of a work called before the next step; from any thread."""
        self._inbox.put(partial(do, argument))

    def end(self) -> None:
        """Makes `run` return after the step in progress; from any thread."""
        self._inbox.put(None)

    def step_age_s(self) -> float:
        """For how long the step in progress has been computing; from any thread."""
        began = self._step_began
        return 0.0 if began is None else time.monotonic() - began

    def run(self) -> None:
        """The thread's life."""
        try:
            self._compute()
        except StepFailedForGoodError as error:
            log.exception("the model can't go on")
            self._fail(str(error))
        except Exception:
            log.exception("the engine has a defect")
            self._fail("the engine has a defect; its log says more")

    def _compute(self) -> None:
        must_tell = False
        while self._take_orders(wait=not must_tell):
            did_something = [self._step(work) for work in self._works]
            if not any(did_something):
                self._report(StepReport(self._stats()))
            must_tell = any(did_something)

    def _take_orders(self, *, wait: bool) -> bool:
        """Takes what waits in the inbox; False when the thread is to end. With `wait` at least one order is taken."""
        while wait or not self._inbox.empty():
            order = self._inbox.get()
            wait = False
            if order is None:
                return False
            order()
        return True

    def _step(self, work: Work) -> bool:
        """Whether there was something to do."""
        self._step_began = time.monotonic()
        try:
            outcome = work.step()
        finally:
            self._step_began = None
        if outcome is None:
            return False
        self._report(StepReport(self._stats(), outcome))
        self._failed_steps = 0 if outcome.error is None else self._failed_steps + 1
        if self._failed_steps == MAX_FAILED_STEPS:
            raise StepFailedForGoodError(f"{MAX_FAILED_STEPS} steps failed one after the other") from outcome.error
        return True

    def _stats(self) -> Stats:
        stats = Stats()
        for work in self._works:
            work.tell(stats)
        return stats


def start_thread(target: Callable[[], None]) -> threading.Thread:
    """Runs `target` in a thread that doesn't keep the process alive."""
    thread = threading.Thread(target=target, name="steps", daemon=True)
    thread.start()
    return thread


__all__ = [
    "MAX_FAILED_STEPS",
    "ComputedVectors",
    "SampledToken",
    "StepFailedForGoodError",
    "StepOutcome",
    "StepReport",
    "StepThread",
    "Work",
    "start_thread",
]
