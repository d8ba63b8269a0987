"""The jobs of a process: they are kept in its memory, and those that have ended for a while."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_jsonable_python

from hitchpost.api import Job, JobFailure, JobProgress
from hitchpost.errors import (
    BackendUnavailableError,
    ConfigError,
    HitchpostError,
    NotFoundError,
    OverloadedError,
    PluginError,
    quoted,
)
from hitchpost.plugin.foreign import is_failure

MAX_RUNNING = 100
MAX_ENDED = 1000
ENDED_KEPT_S = 24 * 3600.0
CANCEL_PATIENCE_S = 5.0
"""How long an answer to `cancel` waits for the work to end."""
MAX_MESSAGE_CHARS = 500

Work = Callable[[JobProgress], Awaitable[Any]]
log = logging.getLogger("hitchpost.jobs")


class JobBoard:
    """Runs jobs and remembers them. Implements `hitchpost.api.JobRunner`.

    Args:
        max_running: jobs that may run at a time.
        max_ended: jobs that are remembered after their end; the oldest are forgotten first.
        ended_kept_s: how long a job is remembered after its end.
    """

    def __init__(
        self, *, max_running: int = MAX_RUNNING, max_ended: int = MAX_ENDED, ended_kept_s: float = ENDED_KEPT_S
    ) -> None:
        self._max_running = max_running
        self._max_ended = max_ended
        self._ended_kept_s = ended_kept_s
        self._running: dict[str, _RunningJob] = {}
        self._ended: dict[str, tuple[float, Job]] = {}
        """In the order of their ends, each with the monotonic time of its end."""
        self._is_closed = False

    def start(self, kind: str, subject: str, work: Work) -> Job:
        """Begin work in the background. See `hitchpost.api.JobRunner`."""
        return self.start_for(None, kind, subject, work)

    def start_for(self, provider_id: str | None, kind: str, subject: str, work: Work) -> Job:
        """Begin work of a provider in the background. See `hitchpost.api.JobRunner.start`."""
        if self._is_closed:
            raise BackendUnavailableError("the host is stopping and begins no more jobs", provider_id=provider_id)
        if len(self._running) >= self._max_running:
            raise OverloadedError(
                f"{len(self._running)} jobs are running, and no more may; wait for one, or cancel one", retry_after_s=30
            )
        job_id = f"job_{secrets.token_hex(16)}"
        created_at = datetime.now(UTC)
        job = Job(id=job_id, kind=kind, subject=subject, provider_id=provider_id, created_at=created_at)
        running = self._running[job_id] = _RunningJob(job, work)
        running.task.add_done_callback(lambda _: self._put_away(running))
        return job

    def find(self, job_id: str) -> Job | None:
        """A job as it is now, or None where it ended long ago or never was."""
        if job_id in self._running:
            return self._running[job_id].job
        self._forget_old()
        _, job = self._ended.get(job_id, (0.0, None))
        return job

    def get(self, job_id: str) -> Job:
        """A job as it is now.

        Raises:
            NotFoundError: there is none of this id, or it ended too long ago.
        """
        job = self.find(job_id)
        if job is None:
            raise NotFoundError(f"no job {quoted(job_id)}: its id is another, or it ended long ago", param="job_id")
        return job

    def list_jobs(self) -> list[Job]:
        """All jobs that are known, the newest first."""
        self._forget_old()
        known = [*(running.job for running in self._running.values()), *(job for _, job in self._ended.values())]
        return sorted(known, key=lambda job: job.created_at, reverse=True)

    async def cancel(self, job_id: str) -> Job:
        """End a job before its time, and wait a little until it has; one that has ended stays as it is.

        Raises:
            NotFoundError: there is none of this id, or it ended too long ago.
        """
        await self.cancel_all([job_id], CANCEL_PATIENCE_S)
        return self.get(job_id)

    async def cancel_all(self, job_ids: Collection[str], timeout_s: float) -> None:
        """Cancel those jobs that run, and wait for their ends, or for `timeout_s`."""
        running = [self._running[job_id] for job_id in job_ids if job_id in self._running]
        if not running:
            return
        for job in running:
            job.task.cancel()
        _, late = await asyncio.wait([job.task for job in running], timeout=timeout_s)
        if late:
            log.warning("%d cancelled jobs have not ended within %g s", len(late), timeout_s)

    async def close(self, timeout_s: float) -> None:
        """Cancel every job, begin no more, and wait for the ends, or for `timeout_s`."""
        self._is_closed = True
        await self.cancel_all(tuple(self._running), timeout_s)

    def _put_away(self, running: "_RunningJob") -> None:
        running.settle()
        job = running.job
        del self._running[job.id]
        self._ended[job.id] = (time.monotonic(), job)
        self._forget_old()

    def _forget_old(self) -> None:
        oldest_kept = time.monotonic() - self._ended_kept_s
        while self._ended:
            job_id = next(iter(self._ended))
            if len(self._ended) <= self._max_ended and self._ended[job_id][0] >= oldest_kept:
                return
            del self._ended[job_id]


class _RunningJob:
    """A job with its task; what the work reports comes here."""

    def __init__(self, job: Job, work: Work) -> None:
        self.job = job
        self._work = work
        self.task = asyncio.create_task(self._run(), name=f"{job.kind} {job.subject}")

    def report(
        self,
        *,
        done: float | None = None,
        total: float | None = None,
        unit: str | None = None,
        message: str | None = None,
    ) -> None:
        """See `hitchpost.api.JobProgress`."""
        said = {"done": done, "total": total, "unit": unit, "message": message and message[:MAX_MESSAGE_CHARS]}
        self._change(**{name: value for name, value in said.items() if value is not None})

    def settle(self) -> None:
        """Called when the task is over: what has no other end by then was cancelled, maybe before its first step."""
        if not self.task.cancelled():
            self.task.exception()
        self._end(state="cancelled")

    async def _run(self) -> None:
        job = self.job
        try:
            result = to_jsonable_python(await self._work(self))
        except HitchpostError as error:
            self._end(state="failed", error=_failure(error, job))
        except BaseException as error:
            if not is_failure(error):
                raise
            self._end(state="failed", error=_failure(error, job))
        else:
            self._end(state="succeeded", result=result)

    def _end(self, **fields: Any) -> None:
        self._change(**fields, ended_at=datetime.now(UTC))

    def _change(self, **fields: Any) -> None:
        # Whoever has asked holds the job as it was then.
        if self.job.ended_at is None:
            self.job = self.job.model_copy(update=fields)


def _failure(error: BaseException, job: Job) -> JobFailure:
    """The error as a client may see it; what nobody foresaw goes to the log and nowhere else."""
    if isinstance(error, HitchpostError) and not isinstance(error, ConfigError | PluginError):
        return JobFailure(code=error.code, message=error.message)
    log.error("job %s (%s of %s) failed", job.id, job.kind, job.provider_id or "the host", exc_info=error)
    return JobFailure(code=HitchpostError.code, message="An unexpected error occurred.")


class ProviderJobs:
    """The jobs of one provider on the host's board. Implements `hitchpost.api.JobRunner`.

    Args:
        board: where they run.
        provider_id: whose they are.
    """

    def __init__(self, board: JobBoard, provider_id: str) -> None:
        self._board = board
        self._provider_id = provider_id
        self._started: set[str] = set()

    def start(self, kind: str, subject: str, work: Work) -> Job:
        """Begin work in the background. See `hitchpost.api.JobRunner`."""
        job = self._board.start_for(self._provider_id, kind, subject, work)
        self._started = {job_id for job_id in self._started if self._board.find(job_id) is not None} | {job.id}
        return job

    def find(self, job_id: str) -> Job | None:
        """One of the provider's own jobs as it is now, or None where it ended long ago or never was."""
        return self._board.find(job_id) if job_id in self._started else None

    async def cancel_all(self, timeout_s: float) -> None:
        """Cancel all of them that run, and wait for their ends, or for `timeout_s`."""
        await self._board.cancel_all(self._started, timeout_s)


__all__ = ["JobBoard", "ProviderJobs"]
