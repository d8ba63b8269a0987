"""Pulling models on request, as jobs; who registers a model waits a little and is told where to watch."""

import asyncio
import time
from contextlib import aclosing, suppress
from typing import Any

from hitchpost.api import JobProgress
from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError
from hitchpost.plugin import ProviderDeps
from hitchpost_remote_ollama.client import OllamaClient
from hitchpost_remote_ollama.config import OllamaConfig
from hitchpost_remote_ollama.wire import PullStatus

PATIENCE_S = 5.0
"""How long a registration waits for its model: what Ollama has most of is there by then."""
RETRY_AFTER_S = 30.0
TRIED_AGAIN_S = 300.0
"""After how long a pull that failed is tried again when nobody but the host asks for it, which it does every few seconds."""

REMEMBERED_FAILURES = 100


class Pull:
    """One model on its way, or why it did not come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.job_id = ""
        self.ended = asyncio.Event()
        self.ended_at = 0.0
        self.failure: HitchpostError | None = None
        self.was_cancelled = False
        self._bytes: dict[str, tuple[int, int]] = {}

    def note(self, line: PullStatus, progress: JobProgress) -> None:
        """Passes on a line of progress; each layer has its own count."""
        if line.digest:
            self._bytes[line.digest] = (line.completed, line.total)
        done, total = (sum(column) for column in zip(*self._bytes.values(), strict=True)) if self._bytes else (0, 0)
        progress.report(message=line.status)
        if total:
            progress.report(done=done, total=total, unit="bytes")

    def end(self, failure: HitchpostError, *, was_cancelled: bool = False) -> None:
        """Remembers why it did not come."""
        self.failure, self.was_cancelled, self.ended_at = failure, was_cancelled, time.monotonic()


class Pulls:
    """The pulls of one provider; each model is pulled once at a time.

    Args:
        config: where the server is, and how long a pull may take.
        deps: run the jobs, and are told when a model has come.
    """

    def __init__(self, config: OllamaConfig, deps: ProviderDeps) -> None:
        # No answer takes as long as a pull, nor is as silent in its middle as one that verifies what it has.
        limits = {"total_timeout_s": config.pull_timeout_s, "between_chunks_timeout_s": config.pull_timeout_s}
        self._client = OllamaClient(config.model_copy(update=limits))
        self._deps = deps
        self._pulls: dict[str, Pull] = {}
        """Those that run and, of those that failed, the last of each model."""

    async def pull(self, name: str, *, is_asked: bool) -> None:
        """Returns when the model is there.

        Args:
            name: as Ollama's library has it.
            is_asked: somebody asks for it; False: the host only tries again.

        Raises:
            BackendUnavailableError: it takes longer than a registration may, and is a job now; or it was cancelled.
            HitchpostError: why it can't be pulled.
        """
        pull = self._pulls.get(name)
        if pull is None or (not self._is_running(pull) and (is_asked or _is_due(pull))):
            pull = self._begin(name)
        if self._is_running(pull):
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await pull.ended.wait()
        if pull.failure is not None:
            raise pull.failure
        if not pull.ended.is_set():
            where = f"/hitchpost/v1/jobs/{pull.job_id}"
            then = (
                "register it again when that has succeeded" if is_asked else "it serves as soon as that has succeeded"
            )
            message = f"Ollama is pulling {name}, see {where}; {then}"
            raise BackendUnavailableError(message, retry_after_s=RETRY_AFTER_S)

    async def open(self) -> None:
        """Opens the pool of connections; again is once."""
        await self._client.open()

    async def close(self) -> None:
        """Ends every pull; Ollama keeps what it has of them."""
        await self._client.close()

    def _begin(self, name: str) -> Pull:
        pull = Pull(name)

        async def work(progress: JobProgress) -> Any:
            try:
                await self._follow(pull, progress)
            except HitchpostError as error:
                pull.end(error)
                raise
            except asyncio.CancelledError:
                pull.end(_cancelled(name), was_cancelled=True)
                raise
            finally:
                pull.ended.set()
            self._pulls.pop(name, None)
            # The host looks again at what it could not register.
            self._deps.health_changed()

        pull.job_id = self._deps.jobs.start("pull_model", name, work).id
        self._pulls[name] = pull
        for failed in [other.name for other in self._pulls.values() if other.ended.is_set()][:-REMEMBERED_FAILURES]:
            del self._pulls[failed]
        return pull

    def _is_running(self, pull: Pull) -> bool:
        job = self._deps.jobs.find(pull.job_id)
        if job is not None and job.state == "running":
            return not pull.ended.is_set()
        if pull.failure is None:
            # It ended before its first step.
            pull.end(_cancelled(pull.name), was_cancelled=True)
        return False

    async def _follow(self, pull: Pull, progress: JobProgress) -> None:
        status = ""
        async with aclosing(self._client.lines("/api/pull", {"model": pull.name}, PullStatus)) as lines:
            async for line in lines:
                status = line.status
                pull.note(line, progress)
        if status != "success":
            raise BadBackendAnswerError(f"Ollama broke off while it was pulling {pull.name}: {status}"[:200])


def _is_due(pull: Pull) -> bool:
    """A pull that a person has cancelled is not begun again by the host."""
    return not pull.was_cancelled and time.monotonic() >= pull.ended_at + TRIED_AGAIN_S


def _cancelled(name: str) -> BackendUnavailableError:
    # Clients must not begin it again by themselves.
    return BackendUnavailableError(
        f"the pull of {name} was cancelled; register it anew to begin again", is_permanent=True
    )


__all__ = ["Pulls"]
