"""From an answer to the events that spell it, under the limits of the request."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from hitchpost.api import (
    Finish,
    FinishReason,
    InferenceEvent,
    LogProbConfig,
    ReasoningDelta,
    RefusalDelta,
    SamplingParams,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from hitchpost.scripted.answer import Answer
from hitchpost.scripted.tokens import count_tokens, find_end, find_tokens, token_logprob


def play(
    answer: Answer, sampling: SamplingParams, logprobs: LogProbConfig | None, prompt: Iterable[str], call_prefix: str
) -> Iterator[InferenceEvent]:
    """The events of all choices, which take turns; the last one is the last `Finish`, and before it comes the `Usage`.

    They are made one at a time: all events of a long answer would take a thousand times the memory of its text.

    Args:
        prompt: the texts that count as prompt tokens.
        call_prefix: begins the ids of the tool calls, so that they differ within a conversation.
    """
    choices = [_Choice(number, sampling, logprobs) for number in range(sampling.n)]
    played = [choice.play(answer.variant(choice.number), call_prefix) for choice in choices]
    events = played[0] if len(played) == 1 else _taking_turns(played)
    last = next(events)
    for event in events:
        yield last
        last = event
    yield Usage(sum(map(count_tokens, prompt)), sum([choice.used for choice in choices]))
    yield last


def _taking_turns(rows: Iterable[Iterator[InferenceEvent]]) -> Iterator[InferenceEvent]:
    return (event for events in zip_longest(*rows) for event in events if event is not None)


class _Choice:
    """One choice while its events are made."""

    def __init__(self, number: int, sampling: SamplingParams, logprobs: LogProbConfig | None) -> None:
        self.number = number
        self.used = 0
        self._max_tokens = sampling.max_tokens or None
        self._stop = sampling.stop or ()
        self._top_logprobs = None if logprobs is None else logprobs.top_k or 0
        self._ended: Finish | None = None

    def play(self, answer: Answer, call_prefix: str) -> Iterator[InferenceEvent]:
        """The events up to the `Finish`."""
        number = self.number
        if answer.reasoning:
            for token in self._take(answer.reasoning):
                yield ReasoningDelta(token, number)
        if answer.text:
            for token in self._take(answer.text, self._stop):
                yield TextDelta(token, number, self._logprobs(token))
        if answer.refusal:
            for token in self._take(answer.refusal):
                yield RefusalDelta(token, number)
        for index, call in enumerate(answer.calls):
            if not list(self._take(call.name)):
                break
            yield ToolCallStart(index, f"{call_prefix}_{number}_{index}", call.name, number)
            for token in self._take(call.arguments):
                yield ToolCallDelta(index, token, number)
        yield self._ended or Finish(answer.finish, number)

    def _take(self, text: str, stop: Sequence[str] = ()) -> Iterator[str]:
        """The tokens of a text that may still be made; notes it when the choice ends with them."""
        if self._ended is not None or not text:
            return
        end = find_end(text, stop, None if self._max_tokens is None else self._max_tokens - self.used)
        if end.stop_text is not None:
            self._ended = Finish(FinishReason.stop, self.number, end.stop_text)
        elif end.is_cut:
            self._ended = Finish(FinishReason.length, self.number)
        for token in find_tokens(text, end.made):
            self.used += 1
            start = token.start()
            if start < end.shown:
                yield token[0][: end.shown - start]

    def _logprobs(self, token: str) -> list[TokenLogprob] | None:
        return None if self._top_logprobs is None else [token_logprob(token, self._top_logprobs)]


__all__ = ["play"]
