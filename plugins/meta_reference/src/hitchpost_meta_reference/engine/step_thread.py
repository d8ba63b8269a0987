"""The thread that owns the tensors: it loads the model, then computes one step after the other.

    wait for work -> take submits and cancels -> plan -> compute -> report

Nobody else touches runner or scheduler. Submits and cancels come through a queue, and are taken between two steps; each step's outcome is reported.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Protocol

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError
from hitchpost_meta_reference.engine.protocol import Stats
from hitchpost_meta_reference.engine.scheduler import EndReason, Row, Scheduler, Sequence

log = logging.getLogger("hitchpost.engine")

MAX_FAILED_STEPS = 3
"""So many steps that fail one after the other aren't the fault of single requests."""

NO_NUMBERS = "the model computed something that isn't numbers for this request: its weights are broken, or too small a dtype was chosen for it"


class StepFailedForGoodError(Exception):
    """After a step failed in this way nothing that is computed can be trusted."""


class Runner(Protocol):
    """What computes a step."""

    def step(self, rows: Seq[Row]) -> Seq[Any]:
        """Computes the rows and answers what was sampled for those that sample, in their order.

        Each has at least `token`, a token id, or is None where the model computed no numbers for the row. Raises StepFailedForGoodError
        where the device is lost; any other exception concerns these rows only.
        """
        ...

    def forget(self, slot: int) -> None:
        """The slot's sequence has ended."""
        ...


@dataclass(slots=True)
class SampledToken:
    """A new token of a sequence; with `end` it was the last."""

    sequence_id: int
    sampled: Any
    end: EndReason | None


@dataclass(slots=True)
class StepReport:
    """What happened since the report before."""

    stats: Stats
    tokens: list[SampledToken] = field(default_factory=list)
    failed: dict[int, HitchpostError] = field(default_factory=dict)
    """Ids of the sequences that ended with an error, and what their callers are told."""


class StepThread:
    """Computes until the process ends.

    Args:
        scheduler: no longer used by anybody else.
        runner: computes the rows that the scheduler plans.
        report: told of each step, and once when the work is all done; called in this thread.
        fail: told why nothing can be computed any more; afterwards the thread ends.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        runner: Runner,
        report: Callable[[StepReport], None],
        fail: Callable[[str], None],
    ) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._report = report
        self._fail = fail
        self._inbox: SimpleQueue[Sequence | Collection[int] | None] = SimpleQueue()
        self._step_began: float | None = None
        self._failed_steps = 0
        self._steps = self._prompt_tokens = self._generated_tokens = 0

    def submit(self, sequence: Sequence) -> None:
        """Lets a sequence wait for its turn; from any thread."""
        self._inbox.put(sequence)

    def cancel(self, sequence_ids: Collection[int]) -> None:
        """Ends sequences before the next step; from any thread."""
        self._inbox.put(tuple(sequence_ids))

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
            rows = self._scheduler.plan()
            if not rows:
                self._report(StepReport(self._stats()))
            else:
                self._step(rows)
            must_tell = bool(rows)

    def _take_orders(self, *, wait: bool) -> bool:
        """Takes what waits in the inbox; False when the thread is to end. With `wait` at least one order is taken."""
        while wait or not self._inbox.empty():
            order = self._inbox.get()
            wait = False
            if order is None:
                return False
            if isinstance(order, Sequence):
                self._scheduler.submit(order)
            else:
                self._forget(self._scheduler.cancel(order))
        return True

    def _step(self, rows: list[Row]) -> None:
        self._step_began = time.monotonic()
        try:
            sampled = self._runner.step(rows)
        except StepFailedForGoodError:
            raise
        except Exception as error:
            log.exception("a step of %d rows failed", len(rows))
            self._drop(rows, error)
            return
        finally:
            self._step_began = None
        self._failed_steps = 0
        rows, sampled, failed = _without_failed(rows, sampled)
        advances, freed = self._scheduler.complete(rows, (one.token for one in sampled))
        self._forget([*freed, *self._scheduler.cancel(failed)])
        if failed:
            log.error("the model computed no numbers for %d of %d rows", len(failed), len(failed) + len(rows))
        self._steps += 1
        self._generated_tokens += len(advances)
        self._prompt_tokens += sum(len(row.tokens) for row in rows if row.start < len(row.sequence.prompt))
        tokens = [
            SampledToken(advance.sequence.sequence_id, one, advance.end)
            for advance, one in zip(advances, sampled, strict=True)
        ]
        self._report(StepReport(self._stats(), tokens, dict.fromkeys(failed, BadBackendAnswerError(NO_NUMBERS))))

    def _drop(self, rows: list[Row], error: Exception) -> None:
        failed = [row.sequence.sequence_id for row in rows]
        self._forget(self._scheduler.cancel(failed))
        told = BackendUnavailableError("the engine could not compute the answer; its log says why")
        self._report(StepReport(self._stats(), failed=dict.fromkeys(failed, told)))
        self._failed_steps += 1
        if self._failed_steps == MAX_FAILED_STEPS:
            raise StepFailedForGoodError(f"{MAX_FAILED_STEPS} steps failed one after the other") from error

    def _forget(self, slots: Collection[int]) -> None:
        for slot in slots:
            self._runner.forget(slot)

    def _stats(self) -> Stats:
        return Stats(
            running=self._scheduler.running,
            waiting=self._scheduler.waiting,
            slots_in_use=self._scheduler.slots_in_use,
            steps=self._steps,
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._generated_tokens,
        )


def _without_failed(rows: list[Row], sampled: Seq[Any]) -> tuple[list[Row], list[Any], list[int]]:
    """The rows that were computed, what was sampled for them, and the ids of the sequences whose rows were not."""
    sampling = [row for row in rows if row.samples]
    failed = [row.sequence.sequence_id for row, one in zip(sampling, sampled, strict=True) if one is None]
    computed = [row for row in rows if row.sequence.sequence_id not in failed] if failed else rows
    return computed, [one for one in sampled if one is not None], failed


def start_thread(target: Callable[[], None]) -> threading.Thread:
    """Runs `target` in a thread that doesn't keep the process alive."""
    thread = threading.Thread(target=target, name="steps", daemon=True)
    thread.start()
    return thread


__all__ = [
    "MAX_FAILED_STEPS",
    "NO_NUMBERS",
    "Runner",
    "SampledToken",
    "StepFailedForGoodError",
    "StepReport",
    "StepThread",
    "start_thread",
]
