"""What Converse and ConverseStream answer, as events. Pure; a whole answer is read as the stream that would have told it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hitchpost.api import (
    Finish,
    FinishReason,
    InferenceEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from hitchpost.errors import BadBackendAnswerError, quoted

_REASONS = {
    "end_turn": FinishReason.stop,
    "stop_sequence": FinishReason.stop,
    "tool_use": FinishReason.tool_calls,
    "max_tokens": FinishReason.length,
    "model_context_window_exceeded": FinishReason.length,
    "guardrail_intervened": FinishReason.content_filter,
    "content_filtered": FinishReason.content_filter,
}


class ChatEvents:
    """Translates the events of one ConverseStream.

    Args:
        only_one_call: whether calls after the first are left out.
    """

    is_cut = False
    """Bedrock itself ends at stop strings."""

    def __init__(self, *, only_one_call: bool) -> None:
        self._only_one_call = only_one_call
        self._calls: dict[int, int] = {}
        """From the index of a content block to that of the call."""
        self._reason: FinishReason | None = None
        self._trace: Any = None

    def translate(self, event: Mapping[str, Any]) -> Iterator[InferenceEvent]:
        """The events of ours that are certain after this one of Bedrock's. Members that nobody knows yet are passed over.

        Raises:
            BadBackendAnswerError: it can't be read, or says that the model failed.
        """
        match event:
            case {"contentBlockDelta": {"contentBlockIndex": int(block), "delta": delta}}:
                yield from self._delta(block, delta)
            case {"contentBlockStart": {"contentBlockIndex": int(block), "start": {"toolUse": use}}}:
                yield from self._start(block, use)
            case {"messageStop": {"stopReason": reason}}:
                self._reason = reason_of(reason)
            case {"metadata": metadata}:
                self._trace = metadata.get("trace")
                yield from usage_of(metadata.get("usage"))

    def finish(self) -> Iterator[InferenceEvent]:
        """The end of the choice, once the stream has ended.

        Raises:
            BadBackendAnswerError: it ended before Bedrock said why.
        """
        if self._reason is None:
            raise BadBackendAnswerError("Bedrock's answer broke off before its end")
        yield Finish(self._reason, extra=extra_of(self._trace))

    def _start(self, block: int, use: Mapping[str, Any]) -> Iterator[InferenceEvent]:
        call_id, name = use.get("toolUseId"), use.get("name")
        if not isinstance(call_id, str) or not isinstance(name, str):
            raise BadBackendAnswerError("a tool call in Bedrock's answer has no id or no name")
        index = self._calls[block] = len(self._calls)
        if not self._is_left_out(index):
            yield ToolCallStart(index, call_id, name)

    def _delta(self, block: int, delta: Mapping[str, Any]) -> Iterator[InferenceEvent]:
        match delta:
            case {"text": str(text)}:
                yield TextDelta(text)
            case {"toolUse": {"input": str(arguments)}}:
                index = self._calls.get(block)
                if index is None:
                    raise BadBackendAnswerError("Bedrock sent arguments of a tool call that had not begun")
                if arguments and not self._is_left_out(index):
                    yield ToolCallDelta(index, arguments)
            case {"reasoningContent": {"text": str(text)}}:
                yield ReasoningDelta(text)

    def _is_left_out(self, index: int) -> bool:
        return self._only_one_call and index > 0


def stream_of(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The events in which ConverseStream would tell an answer of Converse.

    Raises:
        BadBackendAnswerError: it has no message.
    """
    match answer:
        case {"output": {"message": {"content": list(blocks)}}, "stopReason": reason}:
            for number, block in enumerate(blocks):
                yield from _stream_of_block(number, block)
            yield {"messageStop": {"stopReason": reason}}
            yield {"metadata": answer}
        case _:
            raise BadBackendAnswerError("Bedrock answered without a message")


def _stream_of_block(number: int, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match block:
        case {"text": str()}:
            yield _delta_event(number, {"text": block["text"]})
        case {"toolUse": {"input": arguments, **use}}:
            yield {"contentBlockStart": {"contentBlockIndex": number, "start": {"toolUse": use}}}
            text = json.dumps(arguments, ensure_ascii=False)
            yield _delta_event(number, {"toolUse": {"input": text}})
        case {"reasoningContent": {"reasoningText": {"text": str(text)}}}:
            yield _delta_event(number, {"reasoningContent": {"text": text}})


def _delta_event(number: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": number, "delta": delta}}


def reason_of(reason: Any) -> FinishReason:
    """Why it ended, in our words.

    Raises:
        BadBackendAnswerError: the model failed, or it is a reason that nobody knows.
    """
    try:
        return _REASONS[reason]
    except (KeyError, TypeError):
        raise BadBackendAnswerError(f"Bedrock's answer ended for the reason {quoted(reason)}") from None


def usage_of(usage: Any) -> Iterator[Usage]:
    """The tokens that Bedrock counted, if it did."""
    match usage:
        case {"inputTokens": int(prompt), "outputTokens": int(answer)}:
            cached = usage.get("cacheReadInputTokens")
            written = usage.get("cacheWriteInputTokens") or 0
            # Bedrock counts what it read from, or wrote to, its cache beside the input.
            yield Usage(prompt + (cached or 0) + written, answer, cached)


def extra_of(trace: Any) -> dict[str, Any] | None:
    """What the guardrail found, for callers who know Bedrock."""
    return {"amazon_bedrock_trace": trace} if trace else None


__all__ = ["ChatEvents", "extra_of", "reason_of", "stream_of", "usage_of"]
