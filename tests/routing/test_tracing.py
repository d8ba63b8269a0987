"""Spans: their ids, their ends, and a telemetry provider that comes, goes or breaks its promise."""

import logging
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import SpanEndPayload, SpanStartPayload, StructuredLogEvent
from hitchpost.routing.tracing import Tracer, caller_span

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Sink:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def record(self, event: Any) -> None:
        self.events.append(event)


class BrokenSink:
    def record(self, event: Any) -> None:
        raise RuntimeError("full")


def test_span_is_told_at_its_beginning_and_at_its_end() -> None:
    sink = Sink()
    tracer = Tracer(lambda: sink)
    root = tracer.begin_request("GET /x", None, request_id="r")
    assert root is not None

    child = tracer.begin(root.trace_id, root.span_id, "inference.completion", resource="m")
    child.end("overloaded")
    root.end(status=503)

    assert [StructuredLogEvent.model_validate(event.model_dump()) for event in sink.events] == sink.events
    assert [(event.trace_id, event.span_id) for event in sink.events] == [
        (root.trace_id, root.span_id),
        (root.trace_id, child.span_id),
        (root.trace_id, child.span_id),
        (root.trace_id, root.span_id),
    ]
    assert [event.payload for event in sink.events] == [
        SpanStartPayload(name="GET /x"),
        SpanStartPayload(name="inference.completion", parent_span_id=root.span_id),
        SpanEndPayload(status="error"),
        SpanEndPayload(status="ok"),
    ]
    assert [event.attributes for event in sink.events] == [
        {"request_id": "r"},
        {"resource": "m"},
        {"outcome": "overloaded"},
        {"outcome": "ok", "status": 503},
    ]


def test_only_the_first_end_counts() -> None:
    sink = Sink()
    span = Tracer(lambda: sink).begin("t", None, "work")

    span.end("cancelled")
    span.end()

    assert [event.attributes for event in sink.events[1:]] == [{"outcome": "cancelled"}]


def test_ids_are_random_and_fit_into_an_address() -> None:
    tracer = Tracer(Sink)
    spans = [tracer.begin_request("x", None) for _ in range(1000)]

    ids = {identifier for span in spans if span for identifier in (span.trace_id, span.span_id)}

    assert len(ids) == 2000
    assert all(re.fullmatch(r"[0-9a-f]{16}|[0-9a-f]{32}", identifier) for identifier in ids)


def test_nothing_begins_while_nobody_takes_it() -> None:
    assert Tracer(lambda: None).begin_request("x", None) is None


def test_sink_that_goes_away_takes_nothing_with_it() -> None:
    sinks = [Sink()]
    tracer = Tracer(lambda: sinks[0] if sinks else None)
    span = tracer.begin_request("x", None)
    assert span is not None

    sinks.clear()

    span.end()


def test_sink_that_raises_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    tracer = Tracer(BrokenSink)

    with caplog.at_level(logging.ERROR, "hitchpost.routing"):
        spans = [tracer.begin_request("x", None) for _ in range(3)]

    assert all(spans)
    assert [record.message for record in caplog.records] == [
        "the telemetry provider fails to take spans; this is said only once"
    ]


# --- the caller's span ---


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    ],
)
def test_span_of_the_caller_is_adopted(header: str) -> None:
    sink = Sink()

    span = Tracer(lambda: sink).begin_request("x", header)

    assert caller_span(header) == (TRACE, SPAN)
    assert span is not None
    assert (span.trace_id, sink.events[0].payload.parent_span_id) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0",
    ],
)
def test_header_that_is_not_well_formed_is_ignored(header: str | None) -> None:
    sink = Sink()

    span = Tracer(lambda: sink).begin_request("x", header)

    assert caller_span(header) == (None, None)
    assert span is not None
    assert span.trace_id != TRACE
    assert sink.events[0].payload.parent_span_id is None


@given(st.text())
def test_any_header_is_read_without_harm(header: str) -> None:
    trace_id, span_id = caller_span(header)

    assert (trace_id is None) == (span_id is None)
