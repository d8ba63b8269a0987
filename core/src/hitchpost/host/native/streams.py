"""Streams in the native form: one encoder per kind of request that may ask for a stream."""

from collections.abc import Callable
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionEvent,
    CompletionRequest,
    CreateTurnRequest,
    Finish,
    InferenceEvent,
    RefusalDelta,
    StepComplete,
    StepProgress,
    StepStart,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    TurnComplete,
    TurnEvent,
    TurnStart,
)
from hitchpost.errors import BadBackendAnswerError
from hitchpost.host.json_text import json_string, json_value
from hitchpost.host.native import wire
from hitchpost.host.native.encode import STOP_REASONS, logprobs, native_tool_call
from hitchpost.host.native.errors import NATIVE
from hitchpost.host.sse import StreamEncoder
from hitchpost.host.surface import Surface

# --- chat and completion ---


class ChatEvents:
    """Encodes the events of a chat completion. `complete` is held until the stream has ended well."""

    surface: Surface = NATIVE
    holds_status = False

    def __init__(self) -> None:
        self._has_started = False
        self._calls = _CallDeltas()
        self._stop_reason: wire.StopReasonName | None = None

    def encode(self, event: InferenceEvent) -> str:
        """See `StreamEncoder`."""
        if self._has_started:
            return self._encode(event)
        self._has_started = True
        return _chat_chunk("start", '""') + self._encode(event)

    def end(self) -> str:
        """See `StreamEncoder`."""
        return _chat_chunk("complete", '""', stop_reason=self._stop_reason)

    def _encode(self, event: InferenceEvent) -> str:
        if getattr(event, "choice", 0) != 0:
            return ""
        match event:
            case TextDelta():
                if not event.text and event.logprobs is None:
                    return ""
                tokens = "null" if event.logprobs is None else json_value(logprobs(event.logprobs))
                return _chat_chunk("progress", json_string(event.text), tokens)
            case RefusalDelta():
                return _chat_chunk("progress", json_string(event.text))
            case ToolCallStart() | ToolCallDelta():
                return _chat_chunk("progress", self._calls.progress(event))
            case Finish():
                self._stop_reason = STOP_REASONS[event.reason]
                closed = self._calls.closed()
                return "".join(_chat_chunk("progress", delta, stop_reason=self._stop_reason) for delta in closed)
        return ""


def _chat_chunk(
    event_type: str, delta: str, tokens: str = "null", stop_reason: wire.StopReasonName | None = None
) -> str:
    reason = "null" if stop_reason is None else f'"{stop_reason}"'
    return f'data: {{"event":{{"event_type":"{event_type}","delta":{delta},"logprobs":{tokens},"stop_reason":{reason}}}}}\n\n'


class CompletionEvents:
    """Encodes the events of a completion; the last chunk is held until the stream has ended well."""

    surface: Surface = NATIVE
    holds_status = False

    def __init__(self) -> None:
        self._stop_reason: wire.StopReasonName | None = None

    def encode(self, event: CompletionEvent) -> str:
        """See `StreamEncoder`."""
        if isinstance(event, TextDelta) and event.choice == 0:
            if not event.text and event.logprobs is None:
                return ""
            tokens = "null" if event.logprobs is None else json_value(logprobs(event.logprobs))
            return f'data: {{"delta":{json_string(event.text)},"stop_reason":null,"logprobs":{tokens}}}\n\n'
        if isinstance(event, Finish) and event.choice == 0:
            self._stop_reason = STOP_REASONS[event.reason]
        return ""

    def end(self) -> str:
        """See `StreamEncoder`."""
        return f'data: {{"delta":"","stop_reason":{json_value(self._stop_reason)},"logprobs":null}}\n\n'


# --- turns of agents ---


class TurnEvents:
    """Encodes the events of an agent's turn. Clients decode a chunk only when it is whole, so every field of its kind is always there."""

    surface: Surface = NATIVE
    holds_status = False

    def __init__(self) -> None:
        self._calls = _CallDeltas()
        self._has_completed = False

    def encode(self, event: TurnEvent) -> str:
        """See `StreamEncoder`."""
        match event:
            case StepProgress():
                return self._progress(event)
            case TurnStart():
                return _turn_chunk(f'"event_type":"turn_start","turn_id":{json_string(event.turn_id)}')
            case StepStart():
                self._calls = _CallDeltas()
                metadata = json_value(event.metadata)
                return _turn_chunk(f'"event_type":"step_start",{_step(event)},"metadata":{metadata}')
            case StepComplete():
                details = f'"step_type":"{event.step.step_type}","step_details":{json_value(event.step)}'
                return _turn_chunk(f'"event_type":"step_complete",{details}')
            case TurnComplete():
                self._has_completed = True
                return _turn_chunk(f'"event_type":"turn_complete","turn":{json_value(event.turn)}')

    def end(self) -> str:
        """See `StreamEncoder`."""
        if not self._has_completed:
            raise BadBackendAnswerError("the turn ended without being complete")
        return ""

    def _progress(self, progress: StepProgress) -> str:
        match progress.event:
            case None:
                tool_text = progress.tool_response_text
                return _step_progress(progress, tool_text="null" if tool_text is None else json_string(tool_text))
            case TextDelta(text=text) | RefusalDelta(text=text):
                return _step_progress(progress, text=json_string(text)) if text else ""
            case ToolCallStart() | ToolCallDelta() as event:
                return _step_progress(progress, text='""', call=self._calls.progress(event))
            case Finish():
                return "".join(_step_progress(progress, text='""', call=delta) for delta in self._calls.closed())
        return ""


def _step(event: StepStart | StepProgress) -> str:
    return f'"step_type":"{event.step_type}","step_id":{json_string(event.step_id)}'


def _step_progress(progress: StepProgress, *, text: str = "null", call: str = "null", tool_text: str = "null") -> str:
    deltas = f'"model_response_text_delta":{text},"tool_call_delta":{call},"tool_response_text_delta":{tool_text}'
    return _turn_chunk(f'"event_type":"step_progress",{_step(progress)},{deltas}')


def _turn_chunk(payload: str) -> str:
    return f'data: {{"event":{{"payload":{{{payload}}}}}}}\n\n'


# --- tool calls in a stream ---


class _CallDeltas:
    """The calls of one answer as deltas: `started`, `in_progress`, and in the end `success` or `failure`."""

    def __init__(self) -> None:
        self._starts: dict[int, ToolCallStart] = {}
        self._arguments: dict[int, list[str]] = {}

    def progress(self, event: ToolCallStart | ToolCallDelta) -> str:
        if isinstance(event, ToolCallStart):
            self._starts[event.index] = event
            return _call_delta('""', "started")
        self._arguments.setdefault(event.index, []).append(event.arguments)
        return _call_delta(json_string(event.arguments), "in_progress")

    def closed(self) -> list[str]:
        """Only the end of the answer tells that a call has no more arguments."""
        deltas = []
        for index, start in sorted(self._starts.items()):
            arguments = "".join(self._arguments.get(index, ()))
            call = native_tool_call(
                ToolCall(call_id=start.call_id, tool_name=start.name, arguments_json=arguments or "{}")
            )
            deltas.append(_call_delta('""', "failure") if call is None else _call_delta(json_value(call), "success"))
        return deltas


def _call_delta(content: str, parse_status: str) -> str:
    return f'{{"content":{content},"parse_status":"{parse_status}"}}'


STREAMED: dict[type, tuple[Callable[[], StreamEncoder[Any]], type]] = {
    ChatCompletionRequest: (ChatEvents, wire.ChatChunkAnswer),
    CompletionRequest: (CompletionEvents, wire.CompletionChunkAnswer),
    CreateTurnRequest: (TurnEvents, wire.TurnChunkAnswer),
}
"""Per type of request that may ask for a stream: what writes it, and the form of its chunks."""

__all__ = ["STREAMED", "ChatEvents", "CompletionEvents", "TurnEvents"]
