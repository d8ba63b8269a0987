"""OpenAI's answers, whole or in chunks, as our events. Pure; nothing that a server leaves out, repeats or misspells is an exception of Python's.

A whole answer is read as one chunk whose pieces are complete, so that streamed and whole answers can't disagree.
"""

import base64
import binascii
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hitchpost.api import (
    CompletionEvent,
    Finish,
    FinishReason,
    InferenceEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from hitchpost.errors import BadBackendAnswerError
from hitchpost_remote_openai.tool_calls import StreamedCalls
from hitchpost_remote_openai.values import Unreadable, integer, items, number, object_, optional_text, text

LEAST_LOGPROB = -9999.0
"""In place of the logarithm of 0, which JSON can't say; vLLM's own."""

_REASONS = {
    "length": FinishReason.length,
    "max_tokens": FinishReason.length,
    "model_length": FinishReason.length,
    "content_filter": FinishReason.content_filter,
    "tool_calls": FinishReason.tool_calls,
    "function_call": FinishReason.tool_calls,
}
_FAILURES = frozenset({"abort", "error"})


class ChatEvents:
    """Reads the chunks of a chat completion.

    Args:
        n: how many choices were asked for.
        name: what messages call the server.
    """

    def __init__(self, n: int, name: str) -> None:
        self._n = n
        self._name = name
        self._is_finished: dict[int, bool] = {}
        """Of the choices that have begun."""
        self._calls: dict[int, StreamedCalls] = {}
        self._usage: Usage | None = None

    def chunk(self, chunk: Any) -> list[InferenceEvent]:
        """The events of one chunk.

        Raises:
            BadBackendAnswerError: it can't be read, or the server says that the answer failed.
        """
        try:
            return self._events(object_(chunk), "delta")
        except Unreadable as error:
            raise error.told_of(self._name) from None

    def whole(self, answer: Any) -> list[InferenceEvent]:
        """The events of a whole answer. Raises as `chunk` and `end` do."""
        try:
            events = self._events(object_(answer), "message")
        except Unreadable as error:
            raise error.told_of(self._name) from None
        return [*events, *self.end()]

    def end(self) -> list[InferenceEvent]:
        """What is told at the end of the stream.

        Raises:
            BadBackendAnswerError: a choice has not been finished.
        """
        _check_end(self._is_finished, self._n, self._name)
        return [] if self._usage is None else [self._usage]

    def _events(self, chunk: dict[str, Any], field_name: str) -> list[InferenceEvent]:
        if usage := chunk.get("usage"):
            self._usage = _usage(object_(usage))
        events: list[InferenceEvent] = []
        for choice in items(chunk.get("choices")):
            self._choice(object_(choice), field_name, events)
        return events

    def _choice(self, choice: dict[str, Any], field_name: str, events: list[InferenceEvent]) -> None:
        # Once per token: what a choice has not, or is as it is by the book, is looked at here and costs no call.
        index = choice.get("index")
        if type(index) is not int:
            index = integer(index, 0)
        is_finished = self._is_finished.get(index)
        if is_finished:
            return
        if is_finished is None:
            _check_index(index, self._n)
            self._is_finished[index] = False
        said = object_(choice.get(field_name) or {})
        if reasoning := said.get("reasoning_content") or said.get("reasoning"):
            events.append(ReasoningDelta(text(reasoning), index))
        content, tokens = said.get("content"), choice.get("logprobs")
        if type(content) is not str:
            content = _content(content)
        if tokens:
            tokens = _chat_logprobs(tokens)
        if content or tokens:
            events.append(TextDelta(content, index, tokens or None))
        if refusal := said.get("refusal"):
            events.append(RefusalDelta(text(refusal), index))
        if (pieces := said.get("tool_calls")) is not None:
            self._add_calls(items(pieces), index, events)
        if reason := choice.get("finish_reason"):
            self._is_finished[index] = True
            events.append(self._finish(text(reason), index, choice))

    def _add_calls(self, pieces: list[Any], index: int, events: list[InferenceEvent]) -> None:
        for piece in pieces:
            calls = self._calls.get(index)
            if calls is None:
                calls = self._calls[index] = StreamedCalls()
            events += calls.piece(object_(piece), index)

    def _finish(self, reason: str, index: int, choice: dict[str, Any]) -> Finish:
        calls = self._calls.get(index)
        if calls is not None:
            calls.check_names()
        return Finish(_reason(reason, self._name, has_calls=calls is not None), index, _stop_text(choice))


class CompletionEvents:
    """Reads the chunks of a text completion, which have the form of whole ones. Args and methods as those of `ChatEvents`."""

    def __init__(self, n: int, name: str) -> None:
        self._n = n
        self._name = name
        self._is_finished: dict[int, bool] = {}
        self._usage: Usage | None = None

    def chunk(self, chunk: Any) -> list[CompletionEvent]:
        """The events of one chunk, or of a whole answer but for its end."""
        try:
            return list(self._events(object_(chunk)))
        except Unreadable as error:
            raise error.told_of(self._name) from None

    def whole(self, answer: Any) -> list[CompletionEvent]:
        """The events of a whole answer."""
        return [*self.chunk(answer), *self.end()]

    def end(self) -> list[CompletionEvent]:
        """What is told at the end of the stream."""
        _check_end(self._is_finished, self._n, self._name)
        return [] if self._usage is None else [self._usage]

    def _events(self, chunk: dict[str, Any]) -> Iterator[CompletionEvent]:
        if usage := chunk.get("usage"):
            self._usage = _usage(object_(usage))
        for given in items(chunk.get("choices")):
            choice = object_(given)
            index = integer(choice.get("index"), 0)
            _check_index(index, self._n)
            if self._is_finished.setdefault(index, False):
                continue
            said = optional_text(choice.get("text")) or ""
            tokens = _completion_logprobs(choice.get("logprobs"))
            if said or tokens:
                yield TextDelta(said, index, tokens)
            reason = optional_text(choice.get("finish_reason"))
            if reason:
                self._is_finished[index] = True
                yield Finish(_reason(reason, self._name, has_calls=False), index, _stop_text(choice))


def _check_index(index: int, n: int) -> None:
    if not 0 <= index < n:
        raise Unreadable(f"choice {index} of {n}")


def _check_end(is_finished: Mapping[int, bool], n: int, name: str) -> None:
    if not is_finished or not all(is_finished.values()):
        raise BadBackendAnswerError(f"{name} ended the answer before its end")
    if len(is_finished) < n:
        raise BadBackendAnswerError(f"{name} gave {len(is_finished)} of {n} answers; it may not know of `n`")


def vectors(answer: Any, name: str) -> tuple[list[list[float]], Usage | None]:
    """The vectors of an answer of POST /embeddings, in the order of its texts.

    Raises:
        BadBackendAnswerError: it can't be read.
    """
    try:
        given = [object_(item) for item in items(object_(answer).get("data"))]
        places = [integer(item.get("index"), position) for position, item in enumerate(given)]
        if sorted(places) != list(range(len(given))):
            raise Unreadable("the indexes of its vectors")
        ordered = sorted(zip(places, given, strict=True), key=lambda pair: pair[0])
        usage = object_(answer).get("usage")
        return [_vector(item.get("embedding")) for _, item in ordered], _usage(object_(usage)) if usage else None
    except Unreadable as error:
        raise error.told_of(name) from None


def _vector(value: Any) -> list[float]:
    if not isinstance(value, str):
        vector = [number(item) for item in items(value)]
    else:
        try:
            data = base64.b64decode(value, validate=True)
            vector = [number(item) for (item,) in struct.iter_unpack("<f", data)]
        except (binascii.Error, struct.error):
            raise Unreadable("a vector") from None
    if not vector:
        raise Unreadable("an empty vector")
    return vector


def _reason(reason: str, name: str, *, has_calls: bool) -> FinishReason:
    if reason in _FAILURES:
        raise BadBackendAnswerError(f"{name} gave the answer up ({reason})")
    # Some servers say `stop` although tools were called; and what nobody knows ends an answer like any other word.
    meant = _REASONS.get(reason, FinishReason.stop)
    return FinishReason.tool_calls if has_calls and meant is FinishReason.stop else meant


def _stop_text(choice: dict[str, Any]) -> str | None:
    """vLLM names the stop string, or the number of the token, that ended the answer."""
    given = choice.get("stop_reason")
    return given if isinstance(given, str) else None


def _content(content: Any) -> str:
    """The text of a content that isn't text: nothing, or parts."""
    return "".join(text(part.get("text", "")) for part in map(object_, items(content)) if part.get("type") == "text")


def _usage(usage: dict[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details")
    cached = object_(details).get("cached_tokens") if details else None
    prompt = integer(usage.get("prompt_tokens"), 0)
    return Usage(prompt, integer(usage.get("completion_tokens"), 0), None if cached is None else integer(cached, 0))


# --- log probabilities ---


def _chat_logprobs(logprobs: Any) -> list[TokenLogprob] | None:
    content = object_(logprobs).get("content")
    return [_token(object_(token)) for token in items(content)] if content else None


def _token(token: dict[str, Any]) -> TokenLogprob:
    top = [
        TopLogprob(text(other.get("token")), _logprob(other.get("logprob")), _bytes(other.get("bytes")))
        for other in map(object_, items(token.get("top_logprobs")))
    ]
    return TokenLogprob(
        text(token.get("token")), _logprob(token.get("logprob")), _bytes(token.get("bytes")), top or None
    )


def _completion_logprobs(logprobs: Any) -> list[TokenLogprob] | None:
    if not logprobs:
        return None
    lists = object_(logprobs)
    if "content" in lists:
        # llama.cpp tells them in the form of chats.
        return _chat_logprobs(lists)
    tokens = items(lists.get("tokens"))
    chosen = items(lists.get("token_logprobs"))
    top = items(lists.get("top_logprobs")) or [None] * len(tokens)
    if not len(tokens) == len(chosen) == len(top):
        raise Unreadable("its log probabilities")
    return [
        TokenLogprob(text(token), _logprob(logprob), None, list(_top(others)) or None)
        for token, logprob, others in zip(tokens, chosen, top, strict=True)
    ] or None


def _top(others: Any) -> Iterable[TopLogprob]:
    listed = [TopLogprob(token, _logprob(logprob)) for token, logprob in object_(others or {}).items()]
    return sorted(listed, key=lambda other: -other.logprob)


def _logprob(value: Any) -> float:
    return LEAST_LOGPROB if value is None else max(number(value), LEAST_LOGPROB)


def _bytes(value: Any) -> list[int] | None:
    return None if value is None else [integer(item, 0) for item in items(value)]


__all__ = ["ChatEvents", "CompletionEvents", "vectors"]
