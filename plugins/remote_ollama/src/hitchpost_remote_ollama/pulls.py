"""Pulling models on request, in the background; who registers a model waits a while and is told how far it is."""

import asyncio
import logging
from contextlib import aclosing

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError
from hitchpost_remote_ollama.client import OllamaClient
from hitchpost_remote_ollama.config import OllamaConfig
from hitchpost_remote_ollama.wire import PullStatus

PATIENCE_S = 20.0
"""How long a registration waits for its model; a hook may take 30 s."""
RETRY_AFTER_S = 30.0
LOGGED_EVERY_S = 10.0


class Pull:
    """One model on its way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = "waiting for the server"
        self.failure: HitchpostError | None = None
        self.task: asyncio.Task[None] | None = None
        self._bytes: dict[str, tuple[int, int]] = {}

    def note(self, line: PullStatus) -> None:
        """Remembers a line of progress."""
        self.status = line.status
        if line.digest:
            self._bytes[line.digest] = (line.completed, line.total)

    def progress(self) -> str:
        """How far it is, in words."""
        done, total = (sum(column) for column in zip(*self._bytes.values(), strict=True)) if self._bytes else (0, 0)
        size = f", {done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else ""
        return f"{self.status}{size}"


class Pulls:
    """The pulls of one provider; each model is pulled once at a time.

    Args:
        config: where the server is, and how long a pull may take.
        log: where progress is reported.
    """

    def __init__(self, config: OllamaConfig, log: logging.Logger) -> None:
        # No answer takes as long as a pull, nor is as silent in its middle as one that verifies what it has.
        limits = {"total_timeout_s": config.pull_timeout_s, "between_chunks_timeout_s": config.pull_timeout_s}
        self._client = OllamaClient(config.model_copy(update=limits))
        self._log = log
        self._running: dict[str, Pull] = {}

    async def pull(self, name: str) -> None:
        """Returns when the model is there.

        Raises:
            BackendUnavailableError: it takes longer than a registration may; it goes on, and can be asked for again.
            HitchpostError: why it can't be pulled.
        """
        pull = self._running.get(name) or Pull(name)
        if pull.task is None:
            self._running[name] = pull
            pull.task = asyncio.create_task(self._run(pull), name=f"pull {name}")
        done, _ = await asyncio.wait({pull.task}, timeout=PATIENCE_S)
        if not done:
            raise BackendUnavailableError(
                f"Ollama is pulling {name} ({pull.progress()}); register it again later", retry_after_s=RETRY_AFTER_S
            )
        if pull.failure is not None:
            raise pull.failure

    async def stop(self) -> None:
        """Ends every pull; Ollama keeps what it has of them."""
        tasks = [pull.task for pull in self._running.values() if pull.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def _run(self, pull: Pull) -> None:
        self._log.info("pulling %s", pull.name)
        try:
            await self._client.open()
            await self._follow(pull)
            self._log.info("pulled %s", pull.name)
        except HitchpostError as error:
            pull.failure = error
        finally:
            del self._running[pull.name]
        if pull.failure is not None:
            self._log.warning("could not pull %s: %s", pull.name, pull.failure.message)

    async def _follow(self, pull: Pull) -> None:
        clock = asyncio.get_running_loop().time
        logged_at = clock()
        async with aclosing(self._client.lines("/api/pull", {"model": pull.name}, PullStatus)) as lines:
            async for line in lines:
                pull.note(line)
                if clock() >= logged_at + LOGGED_EVERY_S:
                    logged_at = clock()
                    self._log.info("pulling %s: %s", pull.name, pull.progress())
        if pull.status != "success":
            raise BadBackendAnswerError(f"Ollama broke off while it was pulling {pull.name}: {pull.progress()}")


__all__ = ["Pulls"]
