"""From an answer to the events that spell it, under the limits of the request."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
from hitchpost.scripted.tokens import generate, split_tokens, token_logprob


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request says about length and form of each choice."""

    choices: int = 1
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    top_logprobs: int | None = None
    """None: no log probabilities."""

    @classmethod
    def of(cls, sampling: SamplingParams, logprobs: LogProbConfig | None) -> "Limits":
        """The limits that a request states."""
        return cls(
            choices=sampling.n,
            max_tokens=sampling.max_tokens or None,
            stop=sampling.stop or (),
            top_logprobs=None if logprobs is None else logprobs.top_k or 0,
        )


@dataclass(slots=True)
class _Choice:
    """The events of one choice while they are made."""

    number: int
    limits: Limits
    events: list[InferenceEvent]
    used: int = 0
    ended: Finish | None = None

    def left(self) -> int | None:
        return None if self.limits.max_tokens is None else self.limits.max_tokens - self.used

    def take(self, text: str, stop: Sequence[str] = ()) -> list[str]:
        """The tokens of a text that may still be made; notes it when the choice ends with them."""
        if self.ended is not None:
            return []
        made = generate(text, stop, self.left())
        self.used += made.used
        if made.stop_text is not None:
            self.ended = Finish(FinishReason.stop, self.number, made.stop_text)
        elif made.is_cut:
            self.ended = Finish(FinishReason.length, self.number)
        return made.tokens

    def logprobs(self, token: str) -> list[TokenLogprob] | None:
        top_k = self.limits.top_logprobs
        return None if top_k is None else [token_logprob(token, top_k)]


def play(answer: Answer, limits: Limits, prompt: Iterable[str], call_prefix: str) -> list[InferenceEvent]:
    """All events of all choices, which take turns; the last one is the last `Finish`, and before it comes the `Usage`.

    Args:
        prompt: the texts that count as prompt tokens.
        call_prefix: begins the ids of the tool calls, so that they differ within a conversation.
    """
    choices = [_play_choice(answer.variant(number), number, limits, call_prefix) for number in range(limits.choices)]
    *events, last = choices[0].events if len(choices) == 1 else _taking_turns([choice.events for choice in choices])
    prompt_tokens = sum(len(split_tokens(text)) for text in prompt)
    return [*events, Usage(prompt_tokens, sum(choice.used for choice in choices)), last]


def _taking_turns(rows: Sequence[Sequence[InferenceEvent]]) -> Iterator[InferenceEvent]:
    return (event for events in zip_longest(*rows) for event in events if event is not None)


def _play_choice(answer: Answer, number: int, limits: Limits, call_prefix: str) -> _Choice:
    choice = _Choice(number, limits, [])
    events = choice.events
    events += [ReasoningDelta(token, number) for token in choice.take(answer.reasoning)]
    events += [TextDelta(token, number, choice.logprobs(token)) for token in choice.take(answer.text, limits.stop)]
    events += [RefusalDelta(token, number) for token in choice.take(answer.refusal)]
    for index, call in enumerate(answer.calls):
        if not choice.take(call.name):
            break
        events.append(ToolCallStart(index, f"{call_prefix}_{number}_{index}", call.name, number))
        events += [ToolCallDelta(index, token, number) for token in choice.take(call.arguments)]
    events.append(choice.ended or Finish(answer.finish, number))
    return choice


__all__ = ["Limits", "play"]
