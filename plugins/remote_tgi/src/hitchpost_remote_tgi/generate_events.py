"""What `/generate` and `/generate_stream` answer, as events. Pure: a whole answer is read as the stream that it would have been."""

from collections.abc import Iterable, Sequence
from typing import Any

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
from hitchpost.llama import END_OF_MESSAGE, PYTHON_TAG, STOP_TOKENS, ToolCallParser
from hitchpost.remote import parse_json
from hitchpost_remote_tgi.refusals import NAME, find_error
from hitchpost_remote_tgi.stop_text import StopText

_REASONS = {"eos_token": FinishReason.stop, "stop_sequence": FinishReason.stop, "length": FinishReason.length}
_STOP_TOKENS = {token.token for token in STOP_TOKENS}


class GenerateEvents:
    """Reads the answer to one request.

    Args:
        stops: the stop strings.
        tools: names of the tools that may be called.
        top: how many alternatives of each token were asked for; None: no log probabilities.
        only_one_call: whether further calls are left out.
    """

    def __init__(
        self,
        *,
        stops: Sequence[str] = (),
        tools: Iterable[str] = (),
        top: int | None = None,
        only_one_call: bool = False,
    ) -> None:
        names = list(tools)
        self.is_over = self.is_whole = False
        self._stop = StopText(stops)
        self._parser = ToolCallParser(names) if names else None
        """None: all that comes is text."""
        self._shown_tokens = {PYTHON_TAG.token} if names else set()
        self._top = top
        self._only_one_call = only_one_call
        self._end_token = ""

    def feed(self, data: bytes) -> list[InferenceEvent]:
        """See `AnswerEvents`."""
        return self._feed(parse_json(NAME, data))

    def end(self) -> list[InferenceEvent]:
        """See `AnswerEvents`."""
        raise _broken("ended its stream before the answer's end")

    def whole(self, answer: Any, prompt_tokens: int | None) -> list[InferenceEvent]:
        """See `AnswerEvents`."""
        answer = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
        details = answer.get("details") if isinstance(answer, dict) else None
        tokens = details.get("tokens") if isinstance(details, dict) else None
        if details is None or not isinstance(tokens, list):
            raise _broken("answered without the details that it was asked for")
        tops = details.get("top_tokens") or [()] * len(tokens)
        events: list[InferenceEvent] = []
        for token, top in zip(tokens, tops, strict=False):
            events += self._token(token, top)
            if self.is_over:
                break
        return [*events, *self._end({**details, "input_length": prompt_tokens})]

    def _feed(self, chunk: Any) -> list[InferenceEvent]:
        error = find_error(chunk)
        if error is not None:
            raise error
        if not isinstance(chunk, dict):
            raise _broken("sent an event that is no object")
        events = self._token(chunk.get("token"), chunk.get("top_tokens"))
        return events if chunk.get("generated_text") is None else [*events, *self._end(chunk.get("details"))]

    def _token(self, token: Any, top: Any) -> list[InferenceEvent]:
        text = token.get("text") if isinstance(token, dict) else None
        if not isinstance(text, str):
            raise _broken("sent a token without a text")
        if self._end_token:
            # A server that was not told of this token goes on after it; the model's turn is over.
            return self._over(FinishReason.stop)
        logprobs = None
        if token.get("special"):
            self._end_token = text if text in _STOP_TOKENS else ""
            text = text if text in self._shown_tokens else ""
        elif self._top is not None:
            logprobs = [_logprob(token, top, self._top)]
        text, tokens = self._stop.feed(text, logprobs)
        events = self._said(text, tokens) if text or tokens else []
        if self._stop.found is not None:
            events += self._over(FinishReason.stop, self._stop.found)
        return events

    def _end(self, details: Any) -> list[InferenceEvent]:
        reason = _REASONS.get(str(details.get("finish_reason"))) if isinstance(details, dict) else None
        if reason is None or not isinstance(details, dict):
            raise _broken("did not say why the answer ended")
        self.is_whole = True
        prompt, generated = details.get("input_length"), details.get("generated_tokens")
        events = [] if self.is_over else self._over(reason)
        if isinstance(prompt, int) and isinstance(generated, int):
            events.append(Usage(prompt, generated))
        return events

    def _over(self, reason: FinishReason, stop_text: str | None = None) -> list[InferenceEvent]:
        self.is_over = True
        events: list[InferenceEvent] = []
        if stop_text is None:
            text, tokens = self._stop.rest()
            events += self._said(text, tokens) if text or tokens else []
        if reason is FinishReason.stop and self._end_token == END_OF_MESSAGE.token:
            reason = FinishReason.end_of_message
        if self._parser is None:
            return [*events, Finish(reason, stop_text=stop_text)]
        return [*events, *self._allowed(self._parser.finish(reason, stop_text))]

    def _said(self, text: str, tokens: list[TokenLogprob]) -> list[InferenceEvent]:
        if self._parser is None:
            return [TextDelta(text, logprobs=tokens or None)]
        return self._allowed(self._parser.feed(text, tokens or None))

    def _allowed(self, events: Iterable[InferenceEvent]) -> list[InferenceEvent]:
        if not self._only_one_call:
            return list(events)
        return [event for event in events if not (isinstance(event, ToolCallStart | ToolCallDelta) and event.index > 0)]


def _logprob(token: dict[str, Any], top: Any, count: int) -> TokenLogprob:
    others = [other for other in top if isinstance(other, dict)] if isinstance(top, list) else []
    alternatives = [TopLogprob(str(other.get("text")), _number(other.get("logprob"))) for other in others]
    alternatives.sort(key=lambda other: -other.logprob)
    return TokenLogprob(token["text"], _number(token.get("logprob")), top=alternatives[:count] if count else None)


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise _broken("sent a token without its log probability")
    return float(value)


def _broken(what: str) -> BadBackendAnswerError:
    return BadBackendAnswerError(f"{NAME} {what}")


__all__ = ["GenerateEvents"]
