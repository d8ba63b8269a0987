"""Checks of what limits and shapes an answer: choices, stop strings, length, seed, log probabilities."""

import math
from typing import Any

from hitchpost.api import (
    Capability,
    ChatChoice,
    Finish,
    FinishReason,
    InferenceEvent,
    TextDelta,
    TokenLogprob,
)
from hitchpost.conformance.check import CheckFailed, NotApplicable, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.inference.subject import InferenceSubject
from hitchpost.plugin import chat_of

CHOICES = 3
FEW_TOKENS = 3
TOP_K = 2


class SamplingChecks(InferenceSubject):
    """A field that the type declares has its effect."""

    @check(
        "sampling.n",
        why="a caller that asks for several choices reads all of them by their index",
        advice="yield the events of choice 0 to n-1 with a Finish each, or take `n` out of the capabilities",
        needs=(Capability.chat, Capability.n),
    )
    async def test_n_choices_are_answered(self, harness: Harness) -> None:
        """With `n` 3 there are the choices 0, 1 and 2, each with text and one `Finish`, streamed and whole."""
        request = self.chat(sampling_params={"n": CHOICES, "temperature": 1})
        events = await self.events(harness, request)
        finished = sorted(event.choice for event in events if isinstance(event, Finish))
        if finished != list(range(CHOICES)):
            raise CheckFailed(f"of {CHOICES} choices these finished: {finished}")
        for choices in (chat_of(events, CHOICES).choices, (await self.whole(harness, request)).choices):
            if [choice.index for choice in choices if choice.text] != list(range(CHOICES)):
                listed = {choice.index: choice.text[:40] for choice in choices}
                raise CheckFailed(f"of {CHOICES} choices there are: {listed}")

    @check(
        "sampling.stop",
        why="callers cut protocols out of text by stop strings; one that leaks, or that spans two tokens unseen, breaks them",
        advice="pass `stop` to the backend, or hold text back while it may still become a stop string",
        needs=(Capability.chat, Capability.stop),
    )
    async def test_stop_string_ends_the_answer(self, harness: Harness) -> None:
        """An answer asked for again with one of its own words as stop string ends before it, for the reason `stop`."""
        text = (await self._one(harness, self.long_prompt)).text
        words = [word for word in text.split() if len(word) > 2]
        if len(words) < 2:
            raise NotApplicable(f"the answer to long_prompt is {text[:80]!r}, in which there is no word to stop at")
        # A piece that begins within one word and ends within the next spans tokens.
        stop = words[len(words) // 2][1:]
        choice = await self._one(harness, self.long_prompt, {"stop": [stop]})
        if stop in choice.text:
            raise CheckFailed(f"the stop string {stop!r} is in the answer {choice.text!r}")
        if choice.finish_reason is not FinishReason.stop:
            raise CheckFailed(f"the answer ended for the reason {choice.finish_reason}")
        if choice.stop_text not in (None, stop):
            raise CheckFailed(f"stop_text is {choice.stop_text!r}, but {stop!r} was asked for")
        if self.repeatable and choice.text != text[: text.index(stop)]:
            raise CheckFailed(f"up to the stop string it should say {text[: text.index(stop)]!r}, not {choice.text!r}")

    @check(
        "sampling.max-tokens",
        why="it bounds what a request costs, and callers tell by the reason that there would be more",
        advice="pass max_tokens to the backend, 0 meaning the rest of the context, and translate its reason to `length`",
        needs=Capability.chat,
    )
    async def test_max_tokens_cuts_the_answer(self, harness: Harness) -> None:
        """With `max_tokens` 3 the answer to `long_prompt` is shorter and ends for the reason `length`."""
        long = await self._one(harness, self.long_prompt)
        answer = await self.whole(harness, self.chat(self.long_prompt, sampling_params={"max_tokens": FEW_TOKENS}))
        [short] = answer.choices
        if short.finish_reason is not FinishReason.length:
            raise CheckFailed(f"{short.text!r} ended for the reason {short.finish_reason}")
        if len(short.text) >= len(long.text):
            raise CheckFailed(f"{len(short.text)} characters with max_tokens {FEW_TOKENS}, {len(long.text)} without")
        if answer.usage is not None and answer.usage.completion_tokens > FEW_TOKENS:
            raise CheckFailed(f"the usage says {answer.usage.completion_tokens} tokens")

    @check(
        "sampling.seed",
        why="callers repeat experiments by the seed",
        advice="pass `seed` to the backend, or take it out of the capabilities",
        needs=(Capability.chat, Capability.seed),
    )
    async def test_same_seed_gives_the_same_answer(self, harness: Harness) -> None:
        """At temperature 1 the same seed gives the same text twice."""
        sampling = {"seed": 7, "temperature": 1}
        first, second = [(await self._one(harness, self.long_prompt, sampling)).text for _ in range(2)]
        if first != second:
            raise CheckFailed(f"with one seed it said {first!r} and then {second!r}"[:500])

    @check(
        "sampling.accepted",
        why="what the type declares reaches it; to refuse it then is a promise that isn't kept",
        advice="translate the field, or take its capability out of the declaration",
        needs=Capability.chat,
    )
    async def test_declared_fields_are_taken(self, harness: Harness) -> None:
        """Requests with each sampling field that the capabilities declare are answered."""
        fields: dict[Capability | None, dict[str, Any]] = {
            None: {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "strategy": "top_k"},
            Capability.penalties: {"presence_penalty": 0.5, "frequency_penalty": -0.5},
            Capability.logit_bias: {"logit_bias": {"5": -1.0}},
        }
        for capability, sampling in fields.items():
            if capability is None or capability in harness.capabilities:
                choice = await self._one(harness, self.chat_prompt, sampling)
                if not choice.text and not choice.tool_calls:
                    raise CheckFailed(f"with {', '.join(sampling)} nothing was said")

    @check(
        "logprobs.shape",
        why="callers add the values up and align them with the text",
        advice="give each TextDelta one TokenLogprob per token of its text, natural logarithms, `top` with top_k entries, the best first",
        needs=(Capability.chat, Capability.logprobs),
    )
    async def test_logprobs_belong_to_the_tokens(self, harness: Harness) -> None:
        """With `logprobs` every token has its value and, with `top_k` 2, the two likeliest; without, there are none."""
        for top_k in (0, TOP_K):
            events = await self.events(harness, self.chat(logprobs={"top_k": top_k}))
            tokens = _tokens(events)
            if not tokens:
                raise CheckFailed(f"with logprobs (top_k {top_k}) no event has any")
            for token in tokens:
                problem = _problem_of(token, top_k)
                if problem:
                    raise CheckFailed(f"with top_k {top_k} token {token.token!r} has {problem}")
            _check_spelling(events, tokens)
        if _tokens(await self.events(harness, self.chat())):
            raise CheckFailed("there are log probabilities though none were asked for")

    async def _one(self, harness: Harness, prompt: str, sampling: object = None) -> ChatChoice:
        [choice] = (await self.whole(harness, self.chat(prompt, sampling_params=sampling or {}))).choices
        return choice


def _tokens(events: list[InferenceEvent]) -> list[TokenLogprob]:
    return [token for event in events if isinstance(event, TextDelta) for token in event.logprobs or ()]


def _problem_of(token: TokenLogprob, top_k: int) -> str:
    if not math.isfinite(token.logprob) or token.logprob > 0:
        return f"the log probability {token.logprob}"
    top = token.top or []
    if len(top) > top_k or (top_k and not top):
        return f"{len(top)} alternatives"
    values = [other.logprob for other in top]
    return f"alternatives in the order {values}" if values != sorted(values, reverse=True) else ""


def _check_spelling(events: list[InferenceEvent], tokens: list[TokenLogprob]) -> None:
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    if all(token.bytes is not None for token in tokens):
        said = b"".join(bytes(token.bytes or ()) for token in tokens).decode(errors="replace")
    else:
        said = "".join(token.token for token in tokens)
    if text.strip() not in said:
        raise CheckFailed(f"the tokens spell {said!r}, the text is {text!r}"[:500])


__all__ = ["SamplingChecks"]
