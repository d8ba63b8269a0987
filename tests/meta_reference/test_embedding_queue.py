"""Whose texts a batch has: full batches, no text lost, and no caller that waits for all of another's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost_meta_reference.engine.embedding_queue import BatchText, EmbeddingJob, EmbeddingQueue


def job(job_id: int, *lengths: int) -> EmbeddingJob:
    return EmbeddingJob(job_id, [(7,) * length for length in lengths])


def queue_of(*jobs: EmbeddingJob, tokens: int = 100, texts: int = 50) -> EmbeddingQueue:
    queue = EmbeddingQueue(max_batch_tokens=tokens, max_batch_texts=texts)
    for one in jobs:
        queue.submit(one)
    return queue


def named(batch: list[BatchText]) -> list[tuple[int, int]]:
    """Job and index of each text."""
    return [(text.job.job_id, text.index) for text in batch]


def drained(queue: EmbeddingQueue) -> list[list[BatchText]]:
    """All batches."""
    batches = []
    while batch := queue.take_batch():
        batches.append(batch)
    return batches


def test_empty_queue_has_no_batch() -> None:
    assert queue_of().take_batch() == []


def test_longest_texts_of_a_request_come_first() -> None:
    queue = queue_of(job(1, 10, 30, 20), tokens=60)

    assert named(queue.take_batch()) == [(1, 1), (1, 2), (1, 0)]


def test_text_that_does_not_fit_begins_the_next_batch() -> None:
    queue = queue_of(job(1, 40, 60, 50), tokens=100)

    assert [named(batch) for batch in drained(queue)] == [[(1, 1)], [(1, 2), (1, 0)]]


def test_text_that_is_longer_than_a_batch_is_a_batch_of_its_own() -> None:
    queue = queue_of(job(1, 500, 10), tokens=100)

    assert [named(batch) for batch in drained(queue)] == [[(1, 0)], [(1, 1)]]


def test_requests_take_turns_text_by_text() -> None:
    queue = queue_of(job(1, *[10] * 100), job(2, 5), tokens=100)

    assert (2, 0) in named(queue.take_batch())


def test_newcomer_is_in_the_next_batch_though_thousands_of_texts_wait() -> None:
    queue = queue_of(job(1, *[10] * 2000), tokens=100)
    queue.take_batch()

    queue.submit(job(2, 3))

    assert (2, 0) in named(queue.take_batch())


def test_cancelled_request_has_no_text_in_a_batch() -> None:
    queue = queue_of(job(1, 10, 10), job(2, 10))

    queue.cancel(1)
    queue.cancel(99)

    assert named(queue.take_batch()) == [(2, 0)]
    assert queue.waiting == 0


@given(
    jobs=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=12), max_size=8),
    tokens=st.integers(1, 100),
    texts=st.integers(1, 10),
)
def test_every_text_is_in_one_batch_and_batches_keep_their_limits(
    jobs: list[list[int]], tokens: int, texts: int
) -> None:
    queue = queue_of(*(job(number, *lengths) for number, lengths in enumerate(jobs)), tokens=tokens, texts=texts)
    waiting = queue.waiting

    batches = drained(queue)

    everything = [(number, index) for number, lengths in enumerate(jobs) for index in range(len(lengths))]
    assert sorted(text for batch in batches for text in named(batch)) == everything
    assert waiting == len(everything)
    for batch in batches:
        lengths = [len(text.tokens) for text in batch]
        assert lengths == sorted(lengths, reverse=True)
        assert len(batch) <= texts
        assert sum(lengths) <= tokens or len(batch) == 1


@pytest.mark.parametrize("others", [1, 5])
def test_each_batch_serves_every_waiting_request_while_there_is_room(others: int) -> None:
    queue = queue_of(*(job(number, *[10] * 50) for number in range(others + 1)), tokens=100)

    assert {text.job.job_id for text in queue.take_batch()} == set(range(others + 1))
