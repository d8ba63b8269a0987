"""A trace as it is kept: one JSON text, to which events are added."""

from datetime import UTC, datetime

from pydantic import BaseModel, Field
from pydantic_core import to_json

from hitchpost.api import (
    MetricEvent,
    SpanEndPayload,
    SpanStartPayload,
    SpanStatus,
    StructuredLogEvent,
    Trace,
    UnstructuredLogEvent,
)

Event = StructuredLogEvent | UnstructuredLogEvent | MetricEvent

MAX_SPANS = 1000
"""Spans of one trace that are kept; further ones still move its end."""
MAX_ATTRIBUTE_BYTES = 64 * 1024
"""Attributes of one trace that are kept, as JSON."""
MAX_NAME_CHARS = 200
"""Of the name of a span; what is longer is cut."""


class KeptSpan(BaseModel):
    """A span of a trace."""

    name: str
    parent_span_id: str | None = None
    start_time: datetime
    end_time: datetime | None = None
    status: SpanStatus | None = None
    attributes: dict[str, object] = Field(default_factory=dict)


class KeptTrace(BaseModel):
    """A trace with its spans. Its root is the span without a parent; until that is known, the first span that was heard of."""

    trace_id: str
    root_span_id: str
    start_time: datetime
    end_time: datetime | None = None
    has_root: bool = False
    attribute_bytes: int = 0
    spans: dict[str, KeptSpan] = Field(default_factory=dict)

    @classmethod
    def begun_by(cls, event: Event) -> "KeptTrace":
        """The trace of which `event` is the first that is seen; the event itself is still to be added."""
        return cls(trace_id=event.trace_id, root_span_id=event.span_id, start_time=in_utc(event.timestamp))

    def add(self, event: Event) -> None:
        """Take in an event. Events of a trace may come in any order."""
        at = in_utc(event.timestamp)
        self.start_time = min(self.start_time, at)
        if not isinstance(event, StructuredLogEvent):
            return
        match event.payload:
            case SpanStartPayload():
                self._start(event, event.payload, at)
            case SpanEndPayload():
                self._end(event, event.payload, at)

    def answer(self) -> Trace:
        """What a reader gets."""
        return Trace(
            trace_id=self.trace_id,
            root_span_id=self.root_span_id,
            start_time=self.start_time,
            end_time=self.end_time,
        )

    def _start(self, event: StructuredLogEvent, payload: SpanStartPayload, at: datetime) -> None:
        if payload.parent_span_id is None and not self.has_root:
            self.root_span_id, self.has_root = event.span_id, True
        span = self._span(event.span_id, at)
        if span is None:
            return
        span.name, span.parent_span_id, span.start_time = payload.name[:MAX_NAME_CHARS], payload.parent_span_id, at
        self._keep_attributes(span, event)
        if event.span_id == self.root_span_id:
            self.end_time = span.end_time

    def _end(self, event: StructuredLogEvent, payload: SpanEndPayload, at: datetime) -> None:
        if event.span_id == self.root_span_id:
            self.end_time = at
        span = self._span(event.span_id, at)
        if span is None:
            return
        span.end_time, span.status = at, payload.status
        self._keep_attributes(span, event)

    def _keep_attributes(self, span: KeptSpan, event: StructuredLogEvent) -> None:
        size = len(to_json(event.attributes)) if event.attributes else 0
        if event.attributes and self.attribute_bytes + size <= MAX_ATTRIBUTE_BYTES:
            self.attribute_bytes += size
            span.attributes |= event.attributes

    def _span(self, span_id: str, at: datetime) -> KeptSpan | None:
        span = self.spans.get(span_id)
        if span is None and len(self.spans) < MAX_SPANS:
            span = self.spans[span_id] = KeptSpan(name="", start_time=at)
        return span


def in_utc(moment: datetime) -> datetime:
    """A moment with its zone; without one it is the host's local time."""
    return moment.astimezone(UTC)


__all__ = ["MAX_ATTRIBUTE_BYTES", "MAX_NAME_CHARS", "MAX_SPANS", "Event", "KeptSpan", "KeptTrace", "in_utc"]
