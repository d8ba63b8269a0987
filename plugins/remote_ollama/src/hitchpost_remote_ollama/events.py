"""What Ollama answers into our events. Pure; a whole answer is translated as the only line of a stream."""

import json
from collections.abc import Iterator, Sequence
from uuid import uuid4

from hitchpost.api import (
    CompletionEvent,
    Finish,
    FinishReason,
    InferenceEvent,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    TopLogprob,
    Usage,
)
from hitchpost.errors import BadBackendAnswerError
from hitchpost_remote_ollama.wire import Answer, ChatAnswer, GenerateAnswer, Logprob, ToolCall

_REASONS = {None: FinishReason.stop, "": FinishReason.stop, "stop": FinishReason.stop, "length": FinishReason.length}
"""Before 0.1.38 Ollama didn't say."""


class ChatEvents:
    """Translates the lines of one answer to a conversation.

    Args:
        only_one_call: whether calls after the first are left out.
    """

    def __init__(self, *, only_one_call: bool) -> None:
        self._only_one_call = only_one_call
        self._call_ids: set[str] = set()

    def translate(self, answer: ChatAnswer) -> Iterator[InferenceEvent]:
        """The events of one line.

        Raises:
            BadBackendAnswerError: it ended for a reason that is none.
        """
        message = answer.message
        if message.thinking:
            yield ReasoningDelta(message.thinking)
        if message.content:
            yield TextDelta(message.content, logprobs=_logprobs(answer.logprobs))
        elif answer.logprobs and not message.thinking and not message.tool_calls:
            # Tokens whose bytes make no whole character yet.
            yield TextDelta("", logprobs=_logprobs(answer.logprobs))
        for call in message.tool_calls or ():
            yield from self._call(call)
        if answer.done:
            reason = _reason(answer)
            # Ollama says `stop` also where it called tools.
            has_called = bool(self._call_ids) and reason is FinishReason.stop
            yield _usage(answer)
            yield Finish(FinishReason.tool_calls if has_called else reason)

    def _call(self, call: ToolCall) -> Iterator[InferenceEvent]:
        index = len(self._call_ids)
        if index and self._only_one_call:
            return
        call_id = call.id if call.id and call.id not in self._call_ids else f"call_{uuid4().hex[:24]}"
        self._call_ids.add(call_id)
        yield ToolCallStart(index, call_id, call.function.name)
        yield ToolCallDelta(index, json.dumps(call.function.arguments, ensure_ascii=False, separators=(",", ":")))


def completion_events(answer: GenerateAnswer) -> Iterator[CompletionEvent]:
    """The events of one line of a completion.

    Raises:
        BadBackendAnswerError: it ended for a reason that is none.
    """
    if answer.response or answer.logprobs:
        yield TextDelta(answer.response, logprobs=_logprobs(answer.logprobs))
    if answer.done:
        reason = _reason(answer)
        yield _usage(answer)
        yield Finish(reason)


def _reason(answer: Answer) -> FinishReason:
    reason = _REASONS.get(answer.done_reason)
    if reason is None:
        raise BadBackendAnswerError(f"Ollama ended its answer for the reason {str(answer.done_reason)[:40]!r}")
    return reason


def _usage(answer: Answer) -> Usage:
    return Usage(answer.prompt_eval_count, answer.eval_count)


def _logprobs(tokens: Sequence[Logprob] | None) -> list[TokenLogprob] | None:
    if not tokens:
        return None
    return [
        TokenLogprob(
            token.token,
            token.logprob,
            token.bytes,
            [TopLogprob(other.token, other.logprob, other.bytes) for other in token.top_logprobs] or None,
        )
        for token in tokens
    ]


__all__ = ["ChatEvents", "completion_events"]
