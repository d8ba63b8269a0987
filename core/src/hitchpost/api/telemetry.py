"""The API telemetry: events of traces are logged and traces are read."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, Field

from hitchpost.api.context import RequestContext
from hitchpost.api.routes import route
from hitchpost.api.wire_model import FewEntries, Identifier, WireModel

# --- values ---


class LogSeverity(StrEnum):
    """From the least to the most important."""

    verbose = "verbose"
    debug = "debug"
    info = "info"
    warn = "warn"
    error = "error"
    critical = "critical"


class SpanStatus(StrEnum):
    """How a span ended."""

    ok = "ok"
    error = "error"


def _tellable(moment: datetime) -> datetime:
    try:
        moment.astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        raise ValueError("must be a time that has a name in UTC, in the years 1 to 9999") from None
    return moment


class TelemetryEventBase(WireModel):
    """What every event has: where it belongs and when it happened."""

    trace_id: Identifier
    span_id: Identifier
    timestamp: Annotated[datetime, AfterValidator(_tellable)]
    """A time without a zone is the host's local time."""
    attributes: Annotated[dict[str, Any], FewEntries] | None = Field(default_factory=dict)


class UnstructuredLogEvent(TelemetryEventBase):
    """A line of a log."""

    type: Literal["unstructured_log"] = "unstructured_log"
    message: str
    severity: LogSeverity


class MetricEvent(TelemetryEventBase):
    """A measured value."""

    type: Literal["metric"] = "metric"
    metric: str
    value: int | Annotated[float, Field(allow_inf_nan=False)]
    unit: str


class SpanStartPayload(WireModel):
    """A span begins; without `parent_span_id` it is the root of its trace."""

    type: Literal["span_start"] = "span_start"
    name: str
    parent_span_id: Identifier | None = None


class SpanEndPayload(WireModel):
    """A span ends."""

    type: Literal["span_end"] = "span_end"
    status: SpanStatus


class StructuredLogEvent(TelemetryEventBase):
    """A span begins or ends."""

    type: Literal["structured_log"] = "structured_log"
    payload: Annotated[SpanStartPayload | SpanEndPayload, Field(discriminator="type")]


TelemetryEvent = Annotated[
    UnstructuredLogEvent | MetricEvent | StructuredLogEvent,
    Field(discriminator="type"),
]

# --- requests ---


class LogEventRequest(WireModel):
    """Keep an event."""

    event: TelemetryEvent


class GetTraceRequest(WireModel):
    """Names a trace."""

    trace_id: Identifier


# --- responses ---


class Trace(WireModel):
    """A trace: its root span and its time; `end_time` is None while the root span lasts."""

    trace_id: str
    root_span_id: str
    start_time: datetime
    end_time: datetime | None = None


# --- protocol ---


class Telemetry(Protocol):
    """What a telemetry provider, and the router in front of it, answers."""

    @route("POST", "/telemetry/log-event", LogEventRequest)
    async def log_event(self, request: LogEventRequest, context: RequestContext) -> None:
        """Keep an event."""
        ...

    @route("GET", "/telemetry/get-trace", GetTraceRequest)
    async def get_trace(self, request: GetTraceRequest, context: RequestContext) -> Trace:
        """A trace that is kept; NotFoundError where it is unknown or too old."""
        ...


class SpanSink(Protocol):
    """Takes the spans of the host's own requests. Never blocks and never raises: tracing is not to slow down or break what is traced."""

    def record(self, event: UnstructuredLogEvent | MetricEvent | StructuredLogEvent) -> None:
        """Take an event."""
        ...


__all__ = [
    "GetTraceRequest",
    "LogEventRequest",
    "LogSeverity",
    "MetricEvent",
    "SpanEndPayload",
    "SpanSink",
    "SpanStartPayload",
    "SpanStatus",
    "StructuredLogEvent",
    "Telemetry",
    "TelemetryEvent",
    "TelemetryEventBase",
    "Trace",
    "UnstructuredLogEvent",
]
