"""The host's view of an engine: it is there, and when it dies, another one takes its place."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, overload

from hitchpost.errors import BackendUnavailableError
from hitchpost_meta_reference.engine.connection import AnswerEvent, EngineConnection, VectorEvent
from hitchpost_meta_reference.engine.launch import EngineProcess
from hitchpost_meta_reference.engine.protocol import (
    Embed,
    Failed,
    ModelFacts,
    ProtocolError,
    Ready,
    Stats,
    Submit,
    read_from_engine,
)
from hitchpost_meta_reference.engine.settings import EngineSettings

STOP_WITHIN_S = 5.0
END_WITHIN_S = 0.5
"""For an engine that is of no use any more: it has ended by itself, or never will."""
RESTART_FIRST_S = 0.25
RESTART_LONGEST_S = 30.0
STEADY_AFTER_S = 60.0
"""An engine that lived for so long is restarted as if it were the first time."""
RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """How long the host waits for its engine."""

    start_timeout_s: float = 600.0
    heartbeat_timeout_s: float = 10.0
    step_timeout_s: float = 120.0
    restart_wait_s: float = 30.0
    """How long a request waits while the engine restarts."""


class EngineClient:
    """One engine process at a time, supervised from `start` to `stop`.

    Args:
        health_changed: called when `check` begins or ceases to raise, or gives another reason.
    """

    def __init__(
        self,
        settings: EngineSettings,
        limits: EngineLimits,
        log: logging.Logger,
        health_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._log = log
        self._health_changed = health_changed
        self._process: EngineProcess | None = None
        self._connection: EngineConnection | None = None
        self._facts: ModelFacts | None = None
        self._is_ready = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._why_not = "the engine is not started"
        self._past = Stats()
        self.restarts = 0
        """How often the engine was started again."""

    @property
    def facts(self) -> ModelFacts:
        """What the engine said of its model when it last became ready. Raises BackendUnavailableError before that."""
        if self._facts is None:
            raise BackendUnavailableError(self._why_not)
        return self._facts

    @property
    def stats(self) -> Stats:
        """The engine's figures; counters go on over restarts."""
        now = self._connection.stats if self._connection is not None else Stats()
        return _sum(self._past, now)

    @property
    def pid(self) -> int | None:
        """Id of the engine's process, None while there is none."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Starts the engine and waits until its model is loaded. Starting twice is starting once.

        Raises:
            BackendUnavailableError: why it can't serve.
        """
        if self._supervisor is not None:
            return
        await self._begin()
        self._supervisor = asyncio.create_task(self._supervise(), name="supervisor of the engine")

    async def stop(self) -> None:
        """Ends the engine; what it was doing ends with an error. May be called at any time."""
        self._is_ready.clear()
        self._why_not = "the engine is stopped"
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        await self._end("was stopped")

    def check(self) -> None:
        """Raises BackendUnavailableError, with the reason, while no engine is ready."""
        if self._supervisor is not None and self._supervisor.done():
            raise BackendUnavailableError("the engine's supervisor has failed; restart the host")
        if not self._is_ready.is_set():
            raise BackendUnavailableError(self._why_not, retry_after_s=RETRY_AFTER_S)

    @overload
    def stream(self, request: Submit) -> AsyncGenerator[AnswerEvent, None]: ...
    @overload
    def stream(self, request: Embed) -> AsyncGenerator[VectorEvent, None]: ...
    async def stream(self, request: Submit | Embed) -> AsyncGenerator[Any, None]:
        """A request's events up to `Done`; closing the generator cancels the request within a step.

        Raises:
            BackendUnavailableError: the engine ended, or did not come back in time.
            HitchpostError: what the engine has against the request.
        """
        connection = await self._ready_connection()
        async with aclosing(connection.stream(request)) as events:
            async for event in events:
                yield event

    async def _ready_connection(self) -> EngineConnection:
        if self._connection is None and self._supervisor is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_ready.wait(), self._limits.restart_wait_s)
        if self._connection is None:
            raise BackendUnavailableError(self._why_not, retry_after_s=RETRY_AFTER_S)
        return self._connection

    async def _begin(self) -> None:
        """Starts a process and waits until it is ready."""
        try:
            process = self._process = await EngineProcess.launch(self._settings, self._log)
        except OSError as error:
            raise BackendUnavailableError(f"the engine process can't be started: {error.strerror}") from error
        try:
            ready = await self._await_ready(process)
        except BaseException:
            await self._end("")
            raise
        self._connection = EngineConnection(process.reader, process.writer, ready)
        self._facts = ready.facts
        self._is_ready.set()
        self._health_changed()
        self._log.info("engine %d is ready: %s on %s", process.pid, ready.facts.dtype, ready.facts.device)

    async def _await_ready(self, process: EngineProcess) -> Ready:
        limit_s = self._limits.start_timeout_s
        try:
            answer = await asyncio.wait_for(read_from_engine(process.reader), limit_s)
        except TimeoutError as error:
            raise BackendUnavailableError(f"the engine was not ready after {limit_s:g} s (start_timeout_s)") from error
        except ProtocolError as error:
            raise BackendUnavailableError(f"the engine said what can't be understood: {error}") from error
        if isinstance(answer, Ready):
            return answer
        if isinstance(answer, Failed):
            raise BackendUnavailableError(answer.message)
        status = await process.end(END_WITHIN_S)
        raise BackendUnavailableError(f"the engine ended while it was loading ({status}); its log may say why")

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        delay_s = RESTART_FIRST_S
        while True:
            began = loop.time()
            if self._connection is not None:
                reason = await self._attend(self._connection)
                self._is_ready.clear()
                self._why_not = "the engine is restarting"
                self._health_changed()
                await self._end(reason)
            if loop.time() - began > STEADY_AFTER_S:
                delay_s = RESTART_FIRST_S
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RESTART_LONGEST_S)
            self.restarts += 1
            try:
                await self._begin()
            except BackendUnavailableError as error:
                self._why_not = error.message
                self._health_changed()
                self._log.error("engine could not be restarted: %s", error.message)

    async def _attend(self, connection: EngineConnection) -> str:
        """Serves a connection until it is of no use any more, and says why."""
        receiving = asyncio.create_task(connection.receive())
        watching = asyncio.create_task(connection.watch(self._limits.heartbeat_timeout_s, self._limits.step_timeout_s))
        tasks = {receiving, watching}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                return watching.result()
            try:
                reason = receiving.result()
            except ProtocolError as error:
                return f"sent what can't be read: {error}"
            return f"gave up: {reason}" if reason else "ended unexpectedly"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _end(self, reason: str) -> str:
        """Ends process and connection, if there are any; whoever waits for an answer is told the reason."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._past = _sum(
                replace(connection.stats, running=0, waiting=0, slots_in_use=0, texts_waiting=0), self._past
            )
            connection.fail(
                BackendUnavailableError(f"the engine process {reason}; the answer is lost", retry_after_s=RETRY_AFTER_S)
            )
        process = self._process
        if process is None:
            return "no process"
        status = await process.end(STOP_WITHIN_S if reason == "was stopped" else END_WITHIN_S)
        if connection is not None and reason != "was stopped":
            self._log.error("engine %d %s (%s)", process.pid, reason, status)
        self._process = None
        return status


def _sum(past: Stats, now: Stats) -> Stats:
    return replace(
        now,
        steps=past.steps + now.steps,
        prompt_tokens=past.prompt_tokens + now.prompt_tokens,
        generated_tokens=past.generated_tokens + now.generated_tokens,
        embedded_texts=past.embedded_texts + now.embedded_texts,
        embedded_tokens=past.embedded_tokens + now.embedded_tokens,
    )


__all__ = ["EngineClient", "EngineLimits"]
