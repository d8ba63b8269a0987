"""The built-in telemetry keeps what it is told, forgets what is old, and never holds up the host."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from hitchpost.api import (
    GetTraceRequest,
    LogEventRequest,
    LogSeverity,
    MetricEvent,
    RequestContext,
    SpanEndPayload,
    SpanStartPayload,
    SpanStatus,
    StructuredLogEvent,
    TelemetryEvent,
    UnstructuredLogEvent,
)
from hitchpost.errors import BackendUnavailableError, BadRequestError, NotFoundError
from hitchpost.plugin import ProviderDeps
from hitchpost.store import MemoryStoreConfig, SqliteStoreConfig, open_store
from hitchpost.telemetry.provider import MAX_WAITING, StoredTelemetry, TelemetryConfig

CONTEXT = RequestContext(request_id="test")
Start = Callable[..., Awaitable[StoredTelemetry]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a provider with the given config; all are stopped in the end."""
    started: list[StoredTelemetry] = []

    async def make(**config: object) -> StoredTelemetry:
        deps = ProviderDeps(provider_id="telemetry", state_dir=tmp_path / "state", log=logging.getLogger("telemetry"))
        provider = StoredTelemetry(TelemetryConfig.model_validate(config), deps)
        await provider.start()
        started.append(provider)
        return provider

    yield make
    for provider in started:
        await provider.stop()


def span(trace_id: str, *, ends: bool = False, ago_s: float = 0) -> StructuredLogEvent:
    payload = SpanEndPayload(status=SpanStatus.ok) if ends else SpanStartPayload(name="work")
    moment = datetime.now(UTC) - timedelta(seconds=ago_s)
    return StructuredLogEvent(trace_id=trace_id, span_id="root", timestamp=moment, payload=payload)


async def log(provider: StoredTelemetry, event: TelemetryEvent) -> None:
    await provider.log_event(LogEventRequest(event=event), CONTEXT)


async def get(provider: StoredTelemetry, trace_id: str) -> datetime | None:
    return (await provider.get_trace(GetTraceRequest(trace_id=trace_id), CONTEXT)).end_time


async def test_logged_trace_can_be_read_at_once(start: Start) -> None:
    provider = await start()

    await log(provider, span("t"))
    before = await get(provider, "t")
    await log(provider, span("t", ends=True))

    assert before is None
    assert await get(provider, "t") is not None


async def test_trace_outlasts_the_provider(start: Start) -> None:
    first = await start()
    await log(first, span("t"))
    await first.stop()

    second = await start()
    await log(second, span("t", ends=True))

    assert await get(second, "t") is not None


async def test_unknown_trace_is_not_found(start: Start) -> None:
    provider = await start(store={"type": "memory"})

    with pytest.raises(NotFoundError, match="trace 'nobody' is not known"):
        await get(provider, "nobody")


async def test_trace_older_than_the_retention_is_not_found(start: Start) -> None:
    provider = await start(store={"type": "memory"}, retention_s=60)
    await log(provider, span("old", ago_s=61))
    await log(provider, span("young", ago_s=59))

    with pytest.raises(NotFoundError):
        await get(provider, "old")
    assert await get(provider, "young") is None


async def test_old_traces_leave_the_store(start: Start, tmp_path: Path) -> None:
    store = {"type": "sqlite", "db_path": str(tmp_path / "traces.db")}
    provider = await start(store=store, retention_s=60)
    await log(provider, span("old", ago_s=61))
    await provider.stop()

    await start(store=store, retention_s=60)

    async with asyncio.timeout(5):
        while await kept_keys(tmp_path / "traces.db"):
            await asyncio.sleep(0.01)


async def kept_keys(path: Path) -> list[str]:
    store = await open_store(SqliteStoreConfig(db_path=path))
    try:
        return [key async for key, _ in store.scan("telemetry:")]
    finally:
        await store.close()


async def test_recorded_events_are_written_without_waiting(start: Start) -> None:
    provider = await start(store={"type": "memory"})

    provider.record(span("t"))
    provider.record(span("t", ends=True))

    assert await get(provider, "t") is not None


async def test_events_beyond_the_queue_are_dropped_and_counted(start: Start) -> None:
    provider = await start(store={"type": "memory"})

    for _ in range(MAX_WAITING + 3):
        provider.record(span("t"))

    assert {metric.name: metric.value for metric in provider.metrics()}["dropped_events_total"] == 3


async def test_log_lines_go_to_the_log_on_one_line(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    provider = await start(store={"type": "memory"})
    event = UnstructuredLogEvent(
        trace_id="t",
        span_id="s",
        timestamp=datetime.now(UTC),
        message="two\nlines",
        severity=LogSeverity.warn,
    )

    await log(provider, event)

    assert ("telemetry", logging.WARNING, "two\\nlines (trace t)") in caplog.record_tuples


async def test_metrics_go_to_the_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    provider = await start(store={"type": "memory"})
    event = MetricEvent(trace_id="t", span_id="s", timestamp=datetime.now(UTC), metric="loss", value=0.5, unit="nats")

    await log(provider, event)

    assert "loss = 0.5 nats (trace t)" in caplog.messages


async def test_event_that_the_store_refuses_is_an_error_of_its_own_request(start: Start) -> None:
    provider = await start(store={"type": "memory"})
    too_long_for_a_key = "\N{HORSE}" * 512

    refused, kept = await asyncio.gather(
        log(provider, span(too_long_for_a_key)), log(provider, span("t")), return_exceptions=True
    )

    assert isinstance(refused, BadRequestError)
    assert kept is None
    assert await get(provider, "t") is None


async def test_starting_twice_is_starting_once_and_stopping_twice_stopping_once(start: Start) -> None:
    provider = await start()

    await provider.start()
    await provider.stop()
    await provider.stop()

    with pytest.raises(BackendUnavailableError):
        await provider.health()


def test_stores_of_a_config_are_told_apart_by_their_type() -> None:
    assert isinstance(TelemetryConfig.model_validate({"store": {"type": "memory"}}).store, MemoryStoreConfig)
    assert isinstance(TelemetryConfig.model_validate({"store": {"db_path": "t.db"}}).store, SqliteStoreConfig)


@pytest.mark.parametrize("retention_s", [0, -1, float("inf"), float("nan"), 1e12])
def test_retention_is_some_seconds_up_to_ten_years(retention_s: float) -> None:
    with pytest.raises(ValidationError, match="retention_s"):
        TelemetryConfig.model_validate({"retention_s": retention_s})


async def test_longest_retention_answers_traces(start: Start) -> None:
    provider = await start(store={"type": "memory"}, retention_s=10 * 365 * 24 * 3600)
    await log(provider, span("t", ends=True))

    assert await get(provider, "t") is not None


async def test_event_that_can_not_be_written_fails_alone(start: Start) -> None:
    provider = await start()
    unwritable = span("bad")
    unwritable.attributes = {"half": "\ud800"}

    with pytest.raises(ValueError, match="utf-8"):
        await log(provider, unwritable)
    await log(provider, span("good", ends=True))

    assert await get(provider, "good") is not None


async def test_trace_that_begins_in_the_future_is_forgotten_like_any_other(start: Start) -> None:
    provider = await start(retention_s=0.05)
    await log(provider, span("t", ends=True, ago_s=-1e6))

    async def is_forgotten() -> bool:
        try:
            await get(provider, "t")
        except NotFoundError:
            return True
        return False

    async with asyncio.timeout(5):
        while not await is_forgotten():
            await asyncio.sleep(0.01)
