"""Whose texts the next batch computes. Pure Python: it knows token ids and counts, and no tensor.

Requests take turns text by text, so that a caller with one text doesn't wait for somebody's thousands:

    batch = a text of each waiting request in turn, again and again, until the batch is full

Within a request the longest texts come first: neighbours of one length are what the encoder computes fastest. One thread uses a queue.
"""

from dataclasses import dataclass, field

Tokens = tuple[int, ...]


@dataclass(slots=True, eq=False)
class EmbeddingJob:
    """The texts of one request.

    Args:
        job_id: unique among the jobs that haven't ended.
        texts: token ids of each, at least one.
    """

    job_id: int
    texts: list[Tokens]
    missing: int = field(init=False)
    """Texts that have no vector yet."""
    waiting: list[int] = field(init=False)
    """Indices of texts that are in no batch yet, the longest last."""

    def __post_init__(self) -> None:
        self.missing = len(self.texts)
        self.waiting = sorted(range(len(self.texts)), key=lambda index: len(self.texts[index]))


@dataclass(frozen=True, slots=True)
class BatchText:
    """A text of a batch."""

    job: EmbeddingJob
    index: int

    @property
    def tokens(self) -> Tokens:
        """Its token ids."""
        return self.job.texts[self.index]


class EmbeddingQueue:
    """The jobs whose texts wait.

    Args:
        max_batch_tokens: of all texts of a batch; a longer text is a batch of its own.
        max_batch_texts: how many texts a batch has at most.
    """

    def __init__(self, *, max_batch_tokens: int, max_batch_texts: int) -> None:
        self._max_batch_tokens = max_batch_tokens
        self._max_batch_texts = max_batch_texts
        self._jobs: dict[int, EmbeddingJob] = {}
        """In the order of their turns."""

    @property
    def waiting(self) -> int:
        """How many texts are in no batch yet."""
        return sum(len(job.waiting) for job in self._jobs.values())

    def submit(self, job: EmbeddingJob) -> None:
        """Lets a job's texts wait for their turns."""
        self._jobs[job.job_id] = job

    def cancel(self, job_id: int) -> None:
        """Forgets a job; one that has ended is fine."""
        self._jobs.pop(job_id, None)

    def take_batch(self) -> list[BatchText]:
        """The texts of the next batch, longest first; empty where none waits."""
        batch: list[BatchText] = []
        room = self._max_batch_tokens
        while self._jobs and len(batch) < self._max_batch_texts:
            job = next(iter(self._jobs.values()))
            text = BatchText(job, job.waiting[-1])
            if batch and len(text.tokens) > room:
                break
            room -= len(text.tokens)
            batch.append(text)
            job.waiting.pop()
            del self._jobs[job.job_id]
            if job.waiting:
                self._jobs[job.job_id] = job
        return sorted(batch, key=lambda text: -len(text.tokens))


__all__ = ["BatchText", "EmbeddingJob", "EmbeddingQueue"]
