from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hitchpost.api import (
    GetTraceRequest,
    LogEventRequest,
    MetricEvent,
    SpanEndPayload,
    SpanStartPayload,
    StructuredLogEvent,
    Telemetry,
    Trace,
    UnstructuredLogEvent,
    routes_of,
)

BASE = {"trace_id": "t", "span_id": "s", "timestamp": "2024-11-20T10:00:00"}
START = {"type": "span_start", "name": "work"}


def event(**fields: Any) -> Any:
    return LogEventRequest.model_validate({"event": {**BASE, **fields}}).event


def test_declared_routes_are_the_published_ones() -> None:
    assert [(route.verb, route.path) for route in routes_of(Telemetry)] == [
        ("POST", "/telemetry/log-event"),
        ("GET", "/telemetry/get-trace"),
    ]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"type": "unstructured_log", "message": "m", "severity": "warn"}, UnstructuredLogEvent),
        ({"type": "metric", "metric": "m", "value": 1, "unit": "s"}, MetricEvent),
        ({"type": "metric", "metric": "m", "value": 1.5, "unit": "s"}, MetricEvent),
        ({"type": "structured_log", "payload": START}, StructuredLogEvent),
        ({"type": "structured_log", "payload": {"type": "span_end", "status": "ok"}}, StructuredLogEvent),
    ],
)
def test_events_are_told_apart_by_their_type(fields: dict[str, Any], kind: type) -> None:
    assert type(event(**fields)) is kind


def test_value_of_a_metric_stays_whole_or_broken() -> None:
    values = [event(type="metric", metric="m", value=value, unit="s").value for value in (3, 3.5)]

    assert values == [3, 3.5]
    assert [type(value) for value in values] == [int, float]


@pytest.mark.parametrize("attributes", [{}, {"attributes": None}, {"attributes": {"a": [1]}}])
def test_attributes_are_optional(attributes: dict[str, Any]) -> None:
    assert event(type="structured_log", payload=START, **attributes).attributes == attributes.get("attributes", {})


def test_span_begins_with_or_without_a_parent_and_ends_with_a_status() -> None:
    assert event(type="structured_log", payload=START).payload == SpanStartPayload(name="work")
    child = event(type="structured_log", payload={**START, "parent_span_id": "p"}).payload
    assert child == SpanStartPayload(name="work", parent_span_id="p")
    end = event(type="structured_log", payload={"type": "span_end", "status": "error"}).payload
    assert end == SpanEndPayload(status="error")


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "x"},
        {"type": "unstructured_log", "message": "m", "severity": "loud"},
        {"type": "metric", "metric": "m", "value": "many", "unit": "s"},
        {"type": "metric", "metric": "m", "value": float("inf"), "unit": "s"},
        {"type": "structured_log", "payload": {"type": "span_end", "status": "fine"}},
        {"type": "structured_log", "payload": {"type": "x"}},
        {"type": "structured_log", "payload": START, "trace_id": ""},
        {"type": "structured_log", "payload": START, "trace_id": "x" * 513},
        {"type": "structured_log", "payload": START, "span_id": "a\nb"},
        {"type": "structured_log", "payload": {**START, "parent_span_id": "x" * 513}},
        {"type": "structured_log", "payload": START, "timestamp": "yesterday"},
        {"type": "structured_log", "payload": START, "timestamp": "0001-01-01T00:00:00+14:00"},
        {"type": "structured_log", "payload": START, "timestamp": "9999-12-31T23:59:59-14:00"},
        {"type": "structured_log", "payload": START, "attributes": {str(key): 1 for key in range(10_001)}},
    ],
)
def test_event_without_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        event(**fields)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.datetimes(timezones=st.none() | st.timezones())))
def test_every_time_that_is_accepted_has_a_name_in_utc(timestamp: Any) -> None:
    try:
        accepted = event(type="structured_log", payload=START, timestamp=timestamp)
    except ValidationError:
        return

    assert accepted.timestamp.astimezone(UTC).tzinfo is UTC


@pytest.mark.parametrize("trace_id", ["", "x" * 513, "\n"])
def test_trace_is_asked_for_by_a_name(trace_id: str) -> None:
    with pytest.raises(ValidationError):
        GetTraceRequest(trace_id=trace_id)


def test_trace_has_every_field() -> None:
    trace = Trace(trace_id="t", root_span_id="s", start_time=datetime(2024, 11, 20, tzinfo=UTC))

    assert trace.model_dump(mode="json") == {
        "trace_id": "t", "root_span_id": "s", "start_time": "2024-11-20T00:00:00Z", "end_time": None,
    }  # fmt: skip
