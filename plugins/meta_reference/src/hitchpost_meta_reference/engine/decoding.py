"""The work that makes text: a step computes what the scheduler plans and says which tokens came of it."""

import logging
from collections.abc import Collection
from collections.abc import Sequence as Seq
from typing import Any, Protocol

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError
from hitchpost_meta_reference.engine.protocol import Stats
from hitchpost_meta_reference.engine.scheduler import Row, Scheduler, Sequence
from hitchpost_meta_reference.engine.step_thread import SampledToken, StepFailedForGoodError, StepOutcome

log = logging.getLogger("hitchpost.engine")

NO_NUMBERS = "the model computed something that isn't numbers for this request: its weights are broken, or too small a dtype was chosen for it"


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


class Decoding:
    """Sequences on their way from prompt to end; used by the step thread.

    Args:
        scheduler: no longer used by anybody else.
        runner: computes the rows that the scheduler plans.
    """

    def __init__(self, scheduler: Scheduler, runner: Runner) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._steps = self._prompt_tokens = self._generated_tokens = 0

    def submit(self, sequence: Sequence) -> None:
        """Lets a sequence wait for its turn."""
        self._scheduler.submit(sequence)

    def cancel(self, sequence_ids: Collection[int]) -> None:
        """Ends sequences; ids that have ended already are fine."""
        self._forget(self._scheduler.cancel(sequence_ids))

    def step(self) -> StepOutcome | None:
        """Computes the next step; None when there is nothing to do. Raises StepFailedForGoodError where the device is lost."""
        rows = self._scheduler.plan()
        if not rows:
            return None
        try:
            sampled = self._runner.step(rows)
        except StepFailedForGoodError:
            raise
        except Exception as error:
            log.exception("a step of %d rows failed", len(rows))
            return self._drop(rows, error)
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
        return StepOutcome(tokens=tokens, failed=dict.fromkeys(failed, BadBackendAnswerError(NO_NUMBERS)))

    def tell(self, stats: Stats) -> None:
        """Fills in this work's figures."""
        stats.running, stats.waiting = self._scheduler.running, self._scheduler.waiting
        stats.slots_in_use = self._scheduler.slots_in_use
        stats.steps = self._steps
        stats.prompt_tokens, stats.generated_tokens = self._prompt_tokens, self._generated_tokens

    def _drop(self, rows: list[Row], error: Exception) -> StepOutcome:
        failed = [row.sequence.sequence_id for row in rows]
        self.cancel(failed)
        told = BackendUnavailableError("the engine could not compute the answer; its log says why")
        return StepOutcome(failed=dict.fromkeys(failed, told), error=error)

    def _forget(self, slots: Collection[int]) -> None:
        for slot in slots:
            self._runner.forget(slot)


def _without_failed(rows: list[Row], sampled: Seq[Any]) -> tuple[list[Row], list[Any], list[int]]:
    """The rows that were computed, what was sampled for them, and the ids of the sequences whose rows were not."""
    sampling = [row for row in rows if row.samples]
    failed = [row.sequence.sequence_id for row, one in zip(sampling, sampled, strict=True) if one is None]
    computed = [row for row in rows if row.sequence.sequence_id not in failed] if failed else rows
    return computed, [one for one in sampled if one is not None], failed


__all__ = ["NO_NUMBERS", "Decoding", "Runner"]
