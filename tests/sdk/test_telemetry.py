"""Traces through the SDK."""

from datetime import UTC, datetime
from typing import Any

import llama_stack_client
import pytest
from llama_stack_client import LlamaStackClient
from llama_stack_client.types import Trace

from tests.sdk.decoded import whole


def event(kind: str, **fields: Any) -> Any:
    moment = datetime(2024, 11, 20, 10, tzinfo=UTC).replace(year=datetime.now(UTC).year + 1).isoformat()
    return {"type": kind, "trace_id": "of-the-sdk", "span_id": "root", "timestamp": moment, **fields}


def test_logged_span_makes_a_trace(client: LlamaStackClient) -> None:
    start = event("structured_log", payload={"type": "span_start", "name": "work"}, attributes={"a": 1})
    end = event("structured_log", payload={"type": "span_end", "status": "ok"})

    assert client.telemetry.log_event(event=start) is None
    open_trace = whole(client.telemetry.get_trace(trace_id="of-the-sdk"), Trace)
    client.telemetry.log_event(event=end)
    trace = whole(client.telemetry.get_trace(trace_id="of-the-sdk"), Trace)

    assert (open_trace.root_span_id, open_trace.end_time) == ("root", None)
    assert (trace.trace_id, trace.start_time) == ("of-the-sdk", open_trace.start_time)
    assert trace.end_time is not None


@pytest.mark.parametrize(
    "sent",
    [
        event("unstructured_log", message="said", severity="info"),
        event("metric", metric="tokens", value=3, unit="1"),
        event("metric", metric="seconds", value=0.5, unit="s"),
    ],
)
def test_other_events_are_taken(sent: Any, client: LlamaStackClient) -> None:
    assert client.telemetry.log_event(event=sent) is None


def test_unknown_trace_is_a_400(client: LlamaStackClient) -> None:
    with pytest.raises(llama_stack_client.BadRequestError, match="is not known or no longer kept"):
        client.telemetry.get_trace(trace_id="nobody")
