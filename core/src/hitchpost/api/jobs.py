"""Jobs: work that goes on after its request was answered, such as getting a model or reading a thousand documents."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal, Protocol

from hitchpost.api.wire_model import WireModel

JobState = Literal["running", "succeeded", "failed", "cancelled"]


class JobFailure(WireModel):
    """Why a job failed."""

    code: str
    """Of the error's class, as in an error body."""
    message: str


class Job(WireModel):
    """A piece of work as it is at one moment."""

    id: str
    """Nobody can guess it."""
    kind: str
    """What is done, such as `pull_model` or `insert_documents`."""
    subject: str
    """To what it is done: the name of a model or a bank."""
    provider_id: str | None = None
    """The provider that does it."""
    state: JobState = "running"
    done: float | None = None
    """How much of `total` is done, in `unit`."""
    total: float | None = None
    unit: str | None = None
    """What is counted, such as `bytes` or `documents`."""
    message: str = ""
    """How it goes, in words."""
    result: Any = None
    """What came of it, as JSON; None where there is nothing to tell."""
    error: JobFailure | None = None
    """Why it failed, if so."""
    created_at: datetime
    ended_at: datetime | None = None


class JobProgress(Protocol):
    """Where work says how far it is."""

    def report(
        self,
        *,
        done: float | None = None,
        total: float | None = None,
        unit: str | None = None,
        message: str | None = None,
    ) -> None:
        """Say what is known now; what is None stays as it was. Cheap: say it as often as you like."""
        ...


class JobRunner(Protocol):
    """Runs work as jobs."""

    def start(self, kind: str, subject: str, work: Callable[[JobProgress], Awaitable[Any]]) -> Job:
        """Begin work in the background; to be called in the event loop.

        Args:
            kind: what is done, such as `pull_model`.
            subject: to what it is done.
            work: what it returns is the job's result: JSON, a pydantic model or None. What it raises is why the job failed. It is cancelled
                when the job is, and when its provider stops.

        Raises:
            OverloadedError: too many jobs run already.
            BackendUnavailableError: the host is stopping.
        """
        ...

    def find(self, job_id: str) -> Job | None:
        """A job as it is now, or None where it ended long ago or never was."""
        ...


__all__ = ["Job", "JobFailure", "JobProgress", "JobRunner", "JobState"]
