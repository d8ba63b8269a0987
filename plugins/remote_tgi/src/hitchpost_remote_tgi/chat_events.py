"""What `/v1/chat/completions` answers, as events. Pure: a whole answer is read as one large chunk of a stream.

The server's own ways: every id is empty, or counted; a stream with a tool call ends without a reason; the end reason of a call is `stop`;
older versions have a call's arguments as an object, one call in place of the list, and no `[DONE]`.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from hitchpost.api import (
    Finish,
    FinishReason,
    InferenceEvent,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    TopLogprob,
    Usage,
)
from hitchpost.errors import BadBackendAnswerError
from hitchpost.remote import parse_json
from hitchpost_remote_tgi.refusals import NAME, find_error
from hitchpost_remote_tgi.stop_text import StopText

_REASONS = {
    "stop": FinishReason.stop,
    "eos_token": FinishReason.stop,
    "stop_sequence": FinishReason.stop,
    "length": FinishReason.length,
}
_DONE = b"[DONE]"


class ChatEvents:
    """Reads the answer to one request.

    Args:
        stops: the stop strings.
        top: how many alternatives of each token were asked for; None: no log probabilities.
    """

    def __init__(self, *, stops: Sequence[str] = (), top: int | None = None) -> None:
        self.is_over = self.is_whole = False
        self._stop = StopText(stops)
        self._top = top
        self._arguments: dict[Any, list[str]] = {}
        self._is_finished = False

    def feed(self, data: bytes) -> list[InferenceEvent]:
        """See `AnswerEvents`."""
        if data.strip() == _DONE:
            return self.end()
        return self._feed(parse_json(NAME, data))

    def end(self) -> list[InferenceEvent]:
        """See `AnswerEvents`."""
        if self.is_over:
            return []
        self.is_over = self.is_whole = True
        if self._is_finished:
            return []
        if not self._arguments or not all(map(_is_object, self._arguments.values())):
            raise _broken("ended its stream before the answer's end")
        return self._finish(FinishReason.tool_calls)

    def whole(self, answer: Any, prompt_tokens: int | None) -> list[InferenceEvent]:
        """See `AnswerEvents`."""
        if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
            raise _broken("answered without choices")
        choices = [
            {**choice, "delta": choice.get("message")} for choice in answer["choices"] if isinstance(choice, dict)
        ]
        events = self._feed({**answer, "choices": choices})
        return events if self.is_over else [*events, *self.end()]

    def _feed(self, chunk: Any) -> list[InferenceEvent]:
        error = find_error(chunk)
        if error is not None:
            raise error
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        if not isinstance(choices, list):
            raise _broken("sent an event without choices")
        events: list[InferenceEvent] = []
        for choice in choices:
            if self._is_finished:
                break
            events += self._choice(choice)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            events += _usage(usage)
        return events

    def _choice(self, choice: Any) -> list[InferenceEvent]:
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict):
            raise _broken("sent a choice without its message")
        events: list[InferenceEvent] = []
        content = delta.get("content")
        if isinstance(content, str) and content:
            events += self._text(content, _logprobs(choice.get("logprobs"), content, self._top))
        calls = delta.get("tool_calls") or []
        for call in calls if isinstance(calls, list) else [calls]:
            events += self._call(call)
        reason = choice.get("finish_reason")
        if reason and not self._is_finished:
            if reason not in _REASONS:
                raise _broken("ended the answer for a reason that nobody knows")
            events += self._finish(_REASONS[reason])
        return events

    def _text(self, content: str, logprobs: list[TokenLogprob] | None) -> list[InferenceEvent]:
        text, tokens = self._stop.feed(content, logprobs)
        events: list[InferenceEvent] = [TextDelta(text, logprobs=tokens or None)] if text or tokens else []
        if self._stop.found is not None:
            self.is_over = self._is_finished = True
            events.append(Finish(FinishReason.stop, stop_text=self._stop.found))
        return events

    def _call(self, call: Any) -> list[InferenceEvent]:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise _broken("sent a tool call without its function")
        key, name, arguments = call.get("index", call.get("id")), function.get("name"), function.get("arguments")
        events: list[InferenceEvent] = []
        if key not in self._arguments:
            if not isinstance(name, str) or not name:
                raise _broken("sent a tool call without a name")
            self._arguments[key] = []
            # The server counts ids anew in each answer, so that two in one conversation would be the same.
            events.append(ToolCallStart(len(self._arguments) - 1, f"call_{uuid4().hex}", name))
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(arguments, str) and arguments:
            self._arguments[key].append(arguments)
            events.append(ToolCallDelta(list(self._arguments).index(key), arguments))
        return events

    def _finish(self, reason: FinishReason) -> list[InferenceEvent]:
        self._is_finished = True
        text, tokens = self._stop.rest()
        events: list[InferenceEvent] = [TextDelta(text, logprobs=tokens or None)] if text or tokens else []
        if self._arguments and reason is FinishReason.stop:
            reason = FinishReason.tool_calls
        return [*events, Finish(reason)]


def _is_object(pieces: list[str]) -> bool:
    try:
        return isinstance(json.loads("".join(pieces) or "{}"), dict)
    except ValueError:
        return False


def _logprobs(logprobs: Any, content: str, top: int | None) -> list[TokenLogprob] | None:
    listed = logprobs.get("content") if isinstance(logprobs, dict) else None
    if top is None or not isinstance(listed, list):
        return None
    tokens: list[TokenLogprob] = []
    left = len(content)
    for entry in listed:
        # The end token is listed too, and is no part of the text.
        if left <= 0:
            break
        token = _logprob(entry, top)
        left -= len(token.token)
        tokens.append(token)
    return tokens


def _logprob(entry: Any, top: int) -> TokenLogprob:
    try:
        others = [TopLogprob(str(other["token"]), float(other["logprob"])) for other in entry.get("top_logprobs") or ()]
        token, logprob = str(entry["token"]), float(entry["logprob"])
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _broken("sent log probabilities that can't be read") from None
    others.sort(key=lambda other: -other.logprob)
    return TokenLogprob(token, logprob, top=others[:top] if top else None)


def _usage(usage: dict[str, Any]) -> list[InferenceEvent]:
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return [Usage(prompt, completion)] if isinstance(prompt, int) and isinstance(completion, int) else []


def _broken(what: str) -> BadBackendAnswerError:
    return BadBackendAnswerError(f"{NAME} {what}")


__all__ = ["ChatEvents"]
