"""Spans of the host's own work: one for each request, and one inside it for each call of a provider.

A span is handed on by the request's context and by nothing else: context variables leak between async generators, and so would mix requests.
"""

import logging
import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from hitchpost.api import SpanEndPayload, SpanSink, SpanStartPayload, SpanStatus, StructuredLogEvent

log = logging.getLogger("hitchpost.routing")

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


class Span:
    """A piece of work with a beginning and an end. What is done inside it names `trace_id` and `span_id`.

    Args:
        tracer: where it is told.
        trace_id: the trace that it belongs to.
        name: of the work; bounded, so that equal work has equal names.
        parent_span_id: the span that it is a part of; None: it is the root of its trace.
        attributes: known at its beginning. Nothing of contents, keys or provider data goes in.
    """

    __slots__ = ("_has_ended", "_tracer", "span_id", "trace_id")

    def __init__(
        self, tracer: "Tracer", trace_id: str, name: str, parent_span_id: str | None, attributes: Mapping[str, Any]
    ) -> None:
        self.trace_id = trace_id
        self.span_id = f"{random.getrandbits(64) or 1:016x}"
        self._tracer = tracer
        self._has_ended = False
        self._tell(SpanStartPayload(name=name, parent_span_id=parent_span_id), attributes)

    def end(self, outcome: str = "ok", **attributes: Any) -> None:
        """The work is over; `outcome` is `ok` or says in a word how it failed. Only the first end counts."""
        if self._has_ended:
            return
        self._has_ended = True
        status = SpanStatus.ok if outcome == "ok" else SpanStatus.error
        self._tell(SpanEndPayload(status=status), {"outcome": outcome, **attributes})

    def _tell(self, payload: SpanStartPayload | SpanEndPayload, attributes: Mapping[str, Any]) -> None:
        self._tracer.record(
            StructuredLogEvent.model_construct(
                trace_id=self.trace_id,
                span_id=self.span_id,
                timestamp=datetime.now(UTC),
                attributes=dict(attributes),
                payload=payload,
            )
        )


class Tracer:
    """Begins spans, while there is a telemetry provider that serves.

    Args:
        find_sink: the provider that takes the spans, if it serves at present.
    """

    def __init__(self, find_sink: Callable[[], SpanSink | None]) -> None:
        self._find_sink = find_sink
        self._has_complained = False

    def begin_request(self, name: str, traceparent: str | None, **attributes: Any) -> Span | None:
        """The span of a request to the host; None where nobody takes it.

        Args:
            name: of the span.
            traceparent: the caller's own span, as W3C Trace Context writes it in the header of this name; what isn't well-formed is ignored.
            attributes: of the span.
        """
        if self._find_sink() is None:
            return None
        trace_id, parent_span_id = caller_span(traceparent)
        # A name and no secret; W3C's form, so that it fits into a `traceparent`.
        return Span(self, trace_id or f"{random.getrandbits(128) or 1:032x}", name, parent_span_id, attributes)

    def begin(self, trace_id: str, parent_span_id: str | None, name: str, **attributes: Any) -> Span:
        """A span inside another one."""
        return Span(self, trace_id, name, parent_span_id, attributes)

    def record(self, event: StructuredLogEvent) -> None:
        """Hand an event on. A sink that breaks its promise and raises is reported once, and breaks nothing."""
        sink = self._find_sink()
        if sink is None:
            return
        try:
            sink.record(event)
        except Exception:
            if not self._has_complained:
                self._has_complained = True
                log.exception("the telemetry provider fails to take spans; this is said only once")


def caller_span(traceparent: str | None) -> tuple[str | None, str | None]:
    """Trace id and span id of a `traceparent` header, each None where it isn't well-formed."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None, None
    version, trace_id, span_id, more = found.groups()
    # Later versions may say more; ff is no version, and ids of zeros are no ids.
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None, None
    return trace_id, span_id


__all__ = ["Span", "Tracer", "caller_span"]
