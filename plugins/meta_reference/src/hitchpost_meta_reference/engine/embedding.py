"""The work that makes vectors: a step computes one batch of texts, of whichever requests they are."""

import logging
from collections.abc import Sequence
from typing import Protocol

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError
from hitchpost_meta_reference.engine.decoding import NO_NUMBERS
from hitchpost_meta_reference.engine.embedding_queue import BatchText, EmbeddingJob, EmbeddingQueue, Tokens
from hitchpost_meta_reference.engine.protocol import Stats
from hitchpost_meta_reference.engine.step_thread import ComputedVectors, StepFailedForGoodError, StepOutcome

log = logging.getLogger("hitchpost.engine")


class Embedder(Protocol):
    """What computes a batch."""

    def embed(self, texts: Sequence[Tokens]) -> Sequence[bytes | None]:
        """The vector of each text, as float32; None where it isn't numbers. `texts` begin with the longest.

        Raises StepFailedForGoodError where the device is lost; any other exception concerns these texts only.
        """
        ...


class Embedding:
    """Texts on their way to their vectors; used by the step thread.

    Args:
        queue: no longer used by anybody else.
        embedder: computes the batches.
    """

    def __init__(self, queue: EmbeddingQueue, embedder: Embedder) -> None:
        self._queue = queue
        self._embedder = embedder
        self._texts = self._tokens = 0

    def submit(self, job: EmbeddingJob) -> None:
        """Lets a job's texts wait for their turns."""
        self._queue.submit(job)

    def cancel(self, job_id: int) -> None:
        """Ends a job; one that has ended is fine."""
        self._queue.cancel(job_id)

    def step(self) -> StepOutcome | None:
        """Computes the next batch; None when no text waits. Raises StepFailedForGoodError where the device is lost."""
        batch = self._queue.take_batch()
        if not batch:
            return None
        try:
            vectors = self._embedder.embed([text.tokens for text in batch])
        except StepFailedForGoodError:
            raise
        except Exception as error:
            log.exception("a batch of %d texts failed", len(batch))
            told = BackendUnavailableError("the engine could not compute the vectors; its log says why")
            return StepOutcome(failed=dict.fromkeys(self._drop(batch), told), error=error)
        self._texts += len(batch)
        self._tokens += sum(len(text.tokens) for text in batch)
        broken = self._drop([text for text, vector in zip(batch, vectors, strict=True) if vector is None])
        if broken:
            log.error("the model computed no numbers for a text of %d requests", len(broken))
        return StepOutcome(
            vectors=_by_job(batch, vectors, broken), failed=dict.fromkeys(broken, BadBackendAnswerError(NO_NUMBERS))
        )

    def tell(self, stats: Stats) -> None:
        """Fills in this work's figures."""
        stats.texts_waiting = self._queue.waiting
        stats.embedded_texts, stats.embedded_tokens = self._texts, self._tokens

    def _drop(self, batch: Sequence[BatchText]) -> set[int]:
        job_ids = {text.job.job_id for text in batch}
        for job_id in job_ids:
            self._queue.cancel(job_id)
        return job_ids


def _by_job(batch: Sequence[BatchText], vectors: Sequence[bytes | None], broken: set[int]) -> list[ComputedVectors]:
    computed: dict[int, ComputedVectors] = {}
    for text, vector in zip(batch, vectors, strict=True):
        job = text.job
        if vector is not None and job.job_id not in broken:
            mine = computed.setdefault(job.job_id, ComputedVectors(job.job_id))
            mine.vectors[text.index] = vector
            job.missing -= 1
            mine.are_last = job.missing == 0
    return list(computed.values())


__all__ = ["Embedder", "Embedding"]
