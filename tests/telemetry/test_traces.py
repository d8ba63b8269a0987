"""A trace is the same whatever the order in which its events come."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import (
    LogSeverity,
    SpanEndPayload,
    SpanStartPayload,
    SpanStatus,
    StructuredLogEvent,
    UnstructuredLogEvent,
)
from hitchpost.telemetry.traces import MAX_ATTRIBUTE_BYTES, MAX_SPANS, Event, KeptTrace

NOON = datetime(2024, 11, 20, 12, 0, 0, tzinfo=UTC)


def started(span_id: str, after_s: float = 0, parent: str | None = None, **attributes: object) -> StructuredLogEvent:
    return StructuredLogEvent(
        trace_id="t",
        span_id=span_id,
        timestamp=NOON + timedelta(seconds=after_s),
        attributes=attributes,
        payload=SpanStartPayload(name=f"span {span_id}", parent_span_id=parent),
    )


def ended(span_id: str, after_s: float, status: SpanStatus = SpanStatus.ok) -> StructuredLogEvent:
    return StructuredLogEvent(
        trace_id="t",
        span_id=span_id,
        timestamp=NOON + timedelta(seconds=after_s),
        payload=SpanEndPayload(status=status),
    )


def trace_of(*events: Event) -> KeptTrace:
    trace = KeptTrace.begun_by(events[0])
    for event in events:
        trace.add(event)
    return trace


WHOLE = (started("root"), started("child", 1, "root"), ended("child", 2, SpanStatus.error), ended("root", 3))


def test_trace_lasts_from_the_start_of_its_root_to_its_end() -> None:
    answer = trace_of(*WHOLE).answer()

    assert (answer.root_span_id, answer.start_time, answer.end_time) == ("root", NOON, NOON + timedelta(seconds=3))


def test_trace_without_the_end_of_its_root_has_no_end() -> None:
    assert trace_of(*WHOLE[:3]).answer().end_time is None


@given(st.permutations(WHOLE))
def test_order_of_events_does_not_matter(events: list[Event]) -> None:
    trace, expected = trace_of(*events), trace_of(*WHOLE)

    assert trace.answer() == expected.answer()
    assert {name: (span.status, span.end_time) for name, span in trace.spans.items()} == {
        name: (span.status, span.end_time) for name, span in expected.spans.items()
    }


def test_trace_that_only_has_a_log_line_begins_with_it() -> None:
    event = UnstructuredLogEvent(trace_id="t", span_id="s", timestamp=NOON, message="hello", severity=LogSeverity.info)

    answer = trace_of(event).answer()

    assert (answer.root_span_id, answer.start_time, answer.end_time) == ("s", NOON, None)


def test_time_without_a_zone_is_the_hosts_local_time() -> None:
    local = NOON.astimezone().replace(tzinfo=None)
    event = UnstructuredLogEvent(trace_id="t", span_id="s", timestamp=local, message="hello", severity=LogSeverity.info)

    assert trace_of(event).start_time == local.astimezone(UTC)


def test_spans_of_one_trace_are_bounded() -> None:
    events = [started(str(number), parent="root") for number in range(MAX_SPANS + 5)]

    assert len(trace_of(started("root"), *events).spans) == MAX_SPANS


def test_attributes_of_one_trace_are_bounded() -> None:
    large = "x" * (MAX_ATTRIBUTE_BYTES // 2)

    trace = trace_of(started("root", a=large), started("second", b=large), started("third", c="small"))

    assert [bool(span.attributes) for span in trace.spans.values()] == [True, False, True]


@pytest.mark.parametrize("status", list(SpanStatus))
def test_status_of_a_span_is_kept(status: SpanStatus) -> None:
    assert trace_of(started("root"), ended("root", 1, status)).spans["root"].status is status
