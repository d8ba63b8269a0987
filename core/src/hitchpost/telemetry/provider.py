"""Traces in a key-value store, with an end: what is older than the retention goes.

Events wait in a bounded queue that one task writes from, so that the host's own requests never wait for the store.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitchpost.api import (
    GetTraceRequest,
    LogEventRequest,
    LogSeverity,
    MetricEvent,
    RequestContext,
    Trace,
    UnstructuredLogEvent,
)
from hitchpost.errors import BackendUnavailableError, HitchpostError, NotFoundError, OverloadedError
from hitchpost.plugin import Metric, ProviderDeps, TelemetryProvider
from hitchpost.store import KeyValueStore, SqliteStoreConfig, StoreConfig, open_store
from hitchpost.telemetry.traces import Event, KeptTrace

MAX_WAITING = 10_000
"""Events that wait to be written; more are dropped and counted."""
RECENT_TRACES = 256
"""Traces that are remembered beside the store, since most events belong to one of them."""
SWEEP_INTERVAL_S = 60.0
MAX_RETENTION_S = 10 * 365 * 24 * 3600.0
STOP_TIMEOUT_S = 10.0

LEVELS = {
    LogSeverity.verbose: logging.DEBUG,
    LogSeverity.debug: logging.DEBUG,
    LogSeverity.info: logging.INFO,
    LogSeverity.warn: logging.WARNING,
    LogSeverity.error: logging.ERROR,
    LogSeverity.critical: logging.CRITICAL,
}


class TelemetryConfig(BaseModel):
    """Config of `inline::meta-reference` of telemetry."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    store: StoreConfig | None = None
    """Where traces are kept; absent: a sqlite file of this provider."""
    retention_s: Annotated[float, Field(gt=0, le=MAX_RETENTION_S, allow_inf_nan=False)] = 7 * 24 * 3600.0
    """After how many seconds a trace is forgotten, counted from its beginning; at most ten years."""


class StoredTelemetry(TelemetryProvider[TelemetryConfig]):
    """Log lines go to the host's log, spans into the store."""

    def __init__(self, config: TelemetryConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._store: KeyValueStore | None = None
        self._queue: asyncio.Queue[tuple[Event | None, asyncio.Future[None] | None]] = asyncio.Queue(MAX_WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self._recent: OrderedDict[str, KeptTrace] = OrderedDict()
        self._dropped = 0

    async def start(self) -> None:
        """Open the store and begin to write."""
        if self._store is not None:
            return
        self._store = await open_store(
            self.config.store or SqliteStoreConfig(), default_path=self.deps.state_dir / "traces.db"
        )
        self._tasks = [
            asyncio.create_task(self._write(self._store), name="telemetry writer"),
            asyncio.create_task(self._sweep(self._store), name="telemetry retention"),
        ]

    async def stop(self) -> None:
        """Write what waits, then close the store."""
        if self._store is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), STOP_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.close()
        self._store = None

    async def health(self) -> None:
        """Whether the store answers."""
        await self._opened().health()

    def metrics(self) -> Iterable[Metric]:
        """Events that wait, and those that were lost."""
        yield Metric(
            name="waiting_events", kind="gauge", help="Events that wait to be written.", value=self._queue.qsize()
        )
        yield Metric(
            name="dropped_events_total",
            kind="counter",
            help="Events that came faster than the store took them, or that it refused.",
            value=self._dropped,
        )

    async def log_event(self, request: LogEventRequest, context: RequestContext) -> None:
        """Keep an event; it is written when this returns.

        Raises:
            OverloadedError: too many events wait.
            BackendUnavailableError: the store doesn't take it.
        """
        self._show(request.event)
        await self._written(request.event)

    async def get_trace(self, request: GetTraceRequest, context: RequestContext) -> Trace:
        """A trace that is kept.

        Raises:
            NotFoundError: it is unknown, or older than the retention.
        """
        await self._written(None)
        trace = await self._find(self._opened(), request.trace_id)
        if trace is None or trace.start_time < self._oldest():
            raise NotFoundError(f"trace {request.trace_id[:80]!r} is not known or no longer kept", param="trace_id")
        return trace.answer()

    def record(self, event: Event) -> None:
        """Take an event of the host's own; lost where too many wait."""
        try:
            self._queue.put_nowait((event, None))
        except asyncio.QueueFull:
            self._dropped += 1

    def _show(self, event: Event) -> None:
        """Log lines and metrics have no place in a trace's answer; the host's log has."""
        match event:
            case UnstructuredLogEvent():
                self.log.log(LEVELS[event.severity], "%s (trace %s)", _one_line(event.message), event.trace_id)
            case MetricEvent():
                what = f"{event.metric} = {event.value} {event.unit}"
                self.log.info("%s (trace %s)", _one_line(what), event.trace_id)

    async def _written(self, event: Event | None) -> None:
        """Returns when this event, and whatever waited before it, is in the store."""
        self._opened()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((event, done))
        except asyncio.QueueFull as error:
            message = f"{MAX_WAITING} events wait to be written; try again later"
            raise OverloadedError(message, provider_id=self.deps.provider_id, retry_after_s=1.0) from error
        await done

    async def _write(self, store: KeyValueStore) -> None:
        while True:
            waiting = [await self._queue.get()]
            while not self._queue.empty() and len(waiting) < 1000:
                waiting.append(self._queue.get_nowait())
            failures = await self._write_all(store, [event for event, _ in waiting if event is not None])
            for event, done in waiting:
                self._queue.task_done()
                failure = failures.get(event.trace_id) if event is not None else None
                if failure is not None:
                    self._dropped += 1
                if done is not None and not done.done():
                    done.set_result(None) if failure is None else done.set_exception(failure)

    async def _write_all(self, store: KeyValueStore, events: list[Event]) -> dict[str, Exception]:
        """Returns the traces that could not be written, with the reason. None of them ends the writing of the others."""
        by_trace: dict[str, list[Event]] = {}
        for event in events:
            by_trace.setdefault(event.trace_id, []).append(event)
        failures: dict[str, Exception] = {}
        for trace_id, of_trace in by_trace.items():
            try:
                await self._write_trace(store, trace_id, of_trace)
            except Exception as error:  # noqa: BLE001 - whoever waits for the event gets it
                self._recent.pop(trace_id, None)
                failures[trace_id] = error
        if failures:
            reason = next(iter(failures.values()))
            self.log.warning("events of %d traces were not kept: %s", len(failures), reason, exc_info=_defect(reason))
        return failures

    async def _write_trace(self, store: KeyValueStore, trace_id: str, events: list[Event]) -> None:
        trace = await self._find(store, trace_id)
        if trace is None:
            trace = KeptTrace.begun_by(events[0])
            await store.set(_time_key(trace), "")
        for event in events:
            trace.add(event)
        await store.set(_key(trace_id), trace.model_dump_json())
        self._recent[trace_id] = trace
        self._recent.move_to_end(trace_id)
        if len(self._recent) > RECENT_TRACES:
            self._recent.popitem(last=False)

    async def _find(self, store: KeyValueStore, trace_id: str) -> KeptTrace | None:
        trace = self._recent.get(trace_id)
        if trace is not None:
            return trace
        kept = await store.get(_key(trace_id))
        if kept is None:
            return None
        try:
            return KeptTrace.model_validate_json(kept)
        except ValidationError:
            self.log.warning("the trace %s in the store can't be read; it is begun anew", trace_id)
            return None

    async def _sweep(self, store: KeyValueStore) -> None:
        """Forget traces in the order of their beginning, up to the first that is young enough."""
        while True:
            try:
                async for key, _ in store.scan(_TIMES):
                    began, _, trace_id = key.removeprefix(_TIMES).partition("/")
                    if datetime.fromisoformat(began) >= self._oldest():
                        break
                    self._recent.pop(trace_id, None)
                    await store.delete(_key(trace_id))
                    await store.delete(key)
            except HitchpostError as error:
                self.log.warning("old traces were not forgotten: %s", error.message)
            await asyncio.sleep(min(SWEEP_INTERVAL_S, self.config.retention_s))

    def _oldest(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.config.retention_s)

    def _opened(self) -> KeyValueStore:
        if self._store is None:
            raise BackendUnavailableError("telemetry is not running", provider_id=self.deps.provider_id)
        return self._store


_TRACES = "telemetry:trace:"
_TIMES = "telemetry:began:"


def _key(trace_id: str) -> str:
    return f"{_TRACES}{trace_id}"


def _time_key(trace: KeptTrace) -> str:
    # A trace that says it begins in the future is not to be kept for ever.
    began = min(trace.start_time, datetime.now(UTC))
    return f"{_TIMES}{began.isoformat(timespec='microseconds')}/{trace.trace_id}"


def _defect(error: Exception) -> Exception | None:
    """The error where nobody foresaw it, so that the log has its traceback."""
    return None if isinstance(error, HitchpostError) else error


def _one_line(text: str) -> str:
    return text[:2000].encode("unicode_escape").decode("ascii") if not text.isprintable() else text[:2000]


__all__ = ["StoredTelemetry", "TelemetryConfig"]
