"""Answers and events in the native form. It has one choice, no usage and no reasoning, and shows a refusal as text."""

import json
import math
from collections.abc import Callable
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionEvent,
    CompletionRequest,
    CompletionResponse,
    EmbeddingsResponse,
    Finish,
    FinishReason,
    InferenceEvent,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
)
from hitchpost.host.json_text import json_string, json_value
from hitchpost.host.native import wire
from hitchpost.host.native.errors import NATIVE
from hitchpost.host.sse import StreamEncoder
from hitchpost.host.surface import Surface

STOP_REASONS: dict[FinishReason, wire.StopReasonName] = {
    FinishReason.stop: "end_of_turn",
    FinishReason.tool_calls: "end_of_turn",
    FinishReason.content_filter: "end_of_turn",
    FinishReason.length: "out_of_tokens",
    FinishReason.end_of_message: "end_of_message",
}
LOWEST_LOGPROB = -9999.0
"""In place of minus infinity, which JSON can't say."""


# --- whole answers ---


def chat_completion(answer: ChatCompletionResponse) -> wire.ChatCompletionAnswer:
    """The answer of chat-completion: choice 0. Calls of which one can't be read go out as text, none of them as a call."""
    choice = answer.choices[0]
    calls = [native_tool_call(call) for call in choice.tool_calls]
    readable = [call for call in calls if call is not None]
    text = choice.text + choice.refusal
    if len(readable) < len(calls):
        readable = []
        text += "".join(call.arguments_json for call in choice.tool_calls)
    return {
        "completion_message": {
            "role": "assistant",
            "content": text,
            "stop_reason": STOP_REASONS[choice.finish_reason],
            "tool_calls": readable,
        },
        "logprobs": logprobs(choice.logprobs),
    }


def completion(answer: CompletionResponse) -> wire.CompletionAnswer:
    """The answer of completion: choice 0."""
    choice = answer.choices[0]
    return {
        "content": choice.text,
        "stop_reason": STOP_REASONS[choice.finish_reason],
        "logprobs": logprobs(choice.logprobs),
    }


def embeddings(answer: EmbeddingsResponse) -> wire.EmbeddingsAnswer:
    """The answer of embeddings."""
    return {"embeddings": answer.embeddings}


ENCODED: dict[type, tuple[Callable[[Any], Any], type]] = {
    ChatCompletionResponse: (chat_completion, wire.ChatCompletionAnswer),
    CompletionResponse: (completion, wire.CompletionAnswer),
    EmbeddingsResponse: (embeddings, wire.EmbeddingsAnswer),
}
"""Per type of answer whose native form differs: what writes it, and that form."""


def native_answer(answer: Any) -> Any:
    """An operation's answer in its native form."""
    encoded = ENCODED.get(type(answer))
    return answer if encoded is None else encoded[0](answer)


# --- parts ---


def logprobs(tokens: list[TokenLogprob] | None) -> list[wire.TokenLogProbs] | None:
    """One entry per token: the most likely tokens that were asked for, and the chosen one."""
    if tokens is None:
        return None
    return [
        {
            "logprobs_by_token": {
                **{top.token: _finite(top.logprob) for top in token.top or ()},
                token.token: _finite(token.logprob),
            }
        }
        for token in tokens
    ]


def _finite(number: float) -> float:
    return number if math.isfinite(number) else LOWEST_LOGPROB


def native_tool_call(call: ToolCall) -> wire.ToolCallAnswer | None:
    """A call with arguments at most one level deep; None where the model's text isn't a JSON object."""
    arguments = call.find_arguments()
    if arguments is None:
        return None
    return {
        "call_id": call.call_id,
        "tool_name": call.tool_name,
        "arguments": {name: _shallow(value) for name, value in arguments.items()},
    }


def _shallow(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _primitive(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_primitive(inner) for inner in value]
    return value


def _primitive(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


# --- streams ---


class ChatEvents:
    """Encodes the events of a chat completion. `complete` is held until the stream has ended well."""

    surface: Surface = NATIVE
    holds_status = False

    def __init__(self) -> None:
        self._has_started = False
        self._calls: dict[int, ToolCallStart] = {}
        self._arguments: dict[int, list[str]] = {}
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
            case ToolCallStart():
                self._calls[event.index] = event
                return _chat_chunk("progress", _call_delta('""', "started"))
            case ToolCallDelta():
                self._arguments.setdefault(event.index, []).append(event.arguments)
                return _chat_chunk("progress", _call_delta(json_string(event.arguments), "in_progress"))
            case Finish():
                self._stop_reason = STOP_REASONS[event.reason]
                return "".join(self._closed_calls())
        return ""

    def _closed_calls(self) -> list[str]:
        """Only the end of the answer tells that a call has no more arguments."""
        chunks = []
        for index, start in sorted(self._calls.items()):
            arguments = "".join(self._arguments.get(index, ()))
            call = native_tool_call(
                ToolCall(call_id=start.call_id, tool_name=start.name, arguments_json=arguments or "{}")
            )
            delta = _call_delta('""', "failure") if call is None else _call_delta(json_value(call), "success")
            chunks.append(_chat_chunk("progress", delta, stop_reason=self._stop_reason))
        return chunks


def _chat_chunk(
    event_type: str, delta: str, tokens: str = "null", stop_reason: wire.StopReasonName | None = None
) -> str:
    reason = "null" if stop_reason is None else f'"{stop_reason}"'
    return f'data: {{"event":{{"event_type":"{event_type}","delta":{delta},"logprobs":{tokens},"stop_reason":{reason}}}}}\n\n'


def _call_delta(content: str, parse_status: str) -> str:
    return f'{{"content":{content},"parse_status":"{parse_status}"}}'


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


STREAMED: dict[type, tuple[Callable[[], StreamEncoder[Any]], type]] = {
    ChatCompletionRequest: (ChatEvents, wire.ChatChunkAnswer),
    CompletionRequest: (CompletionEvents, wire.CompletionChunkAnswer),
}
"""Per type of request that may ask for a stream: what writes it, and the form of its chunks."""

__all__ = [
    "ENCODED",
    "STOP_REASONS",
    "STREAMED",
    "ChatEvents",
    "CompletionEvents",
    "chat_completion",
    "completion",
    "embeddings",
    "logprobs",
    "native_answer",
    "native_tool_call",
]
