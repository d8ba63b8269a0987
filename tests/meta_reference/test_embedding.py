"""Steps that make vectors: what is told of each text, and whose request fails when something can't be computed."""

from collections.abc import Sequence

import pytest

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError
from hitchpost_meta_reference.engine.embedding import Embedding
from hitchpost_meta_reference.engine.embedding_queue import EmbeddingJob, EmbeddingQueue
from hitchpost_meta_reference.engine.protocol import Stats
from hitchpost_meta_reference.engine.step_thread import ComputedVectors, StepFailedForGoodError, StepOutcome

BROKEN = 13


class LengthEmbedder:
    """A text's vector is the number of its tokens; one with the token 13 has none."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def embed(self, texts: Sequence[tuple[int, ...]]) -> list[bytes | None]:
        if self.error is not None:
            raise self.error
        return [None if BROKEN in text else bytes([len(text)]) for text in texts]


def embedding(*jobs: EmbeddingJob, error: Exception | None = None, tokens: int = 100) -> Embedding:
    work = Embedding(EmbeddingQueue(max_batch_tokens=tokens, max_batch_texts=10), LengthEmbedder(error))
    for job in jobs:
        work.submit(job)
    return work


def stats_of(work: Embedding) -> Stats:
    stats = Stats()
    work.tell(stats)
    return stats


def test_nothing_to_do_is_no_step() -> None:
    assert embedding().step() is None


def test_batch_of_two_requests_is_told_to_each() -> None:
    work = embedding(EmbeddingJob(1, [(1,), (1, 2, 3)]), EmbeddingJob(2, [(1, 2)]))

    outcome = work.step()

    assert outcome == StepOutcome(
        vectors=[ComputedVectors(1, {1: b"\x03", 0: b"\x01"}, True), ComputedVectors(2, {0: b"\x02"}, True)]
    )


def test_last_vectors_are_marked_and_those_before_are_not() -> None:
    work = embedding(EmbeddingJob(1, [(1, 2), (1, 2, 3)]), tokens=3)

    outcomes = [work.step(), work.step()]

    assert [outcome.vectors[0].are_last for outcome in outcomes if outcome] == [False, True]


def test_text_without_numbers_fails_its_request_and_not_the_others() -> None:
    work = embedding(EmbeddingJob(1, [(1,), (BROKEN,)]), EmbeddingJob(2, [(1, 2)]))

    outcome = work.step()

    assert outcome is not None
    assert [vectors.job_id for vectors in outcome.vectors] == [2]
    assert type(outcome.failed[1]) is BadBackendAnswerError
    assert outcome.error is None


def test_batch_that_fails_ends_its_requests_without_saying_why() -> None:
    work = embedding(EmbeddingJob(1, [(1,)] * 3), EmbeddingJob(2, [(1, 2)]), error=RuntimeError("secret"), tokens=2)

    outcome = work.step()

    assert outcome is not None
    [(failed, told)] = outcome.failed.items()
    assert (failed, type(told)) == (1, BackendUnavailableError)
    assert "secret" not in told.message
    assert stats_of(work).texts_waiting == 1


def test_lost_device_is_not_a_failed_batch() -> None:
    work = embedding(EmbeddingJob(1, [(1,)]), error=StepFailedForGoodError("lost"))

    with pytest.raises(StepFailedForGoodError):
        work.step()


def test_figures_count_texts_and_tokens() -> None:
    work = embedding(EmbeddingJob(1, [(1, 2), (1, 2, 3)]), tokens=3)

    work.step()

    stats = stats_of(work)
    assert (stats.texts_waiting, stats.embedded_texts, stats.embedded_tokens) == (1, 1, 3)
