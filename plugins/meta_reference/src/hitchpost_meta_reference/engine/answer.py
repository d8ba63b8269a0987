"""Tokens of a request's choices into its events: text, log probabilities, and how each choice ended."""

from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from hitchpost.api import TokenLogprob, TopLogprob
from hitchpost_meta_reference.engine.detokenizer import Detokenizer
from hitchpost_meta_reference.engine.protocol import Done, End, EndCause, Event, Submit, Text, TextPrompt
from hitchpost_meta_reference.engine.scheduler import EndReason
from hitchpost_meta_reference.engine.stop_strings import StopMatcher, StopStrings
from hitchpost_meta_reference.engine.vocabulary import Vocabulary

LOWEST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON can't say."""


class Sampled(Protocol):
    """A token that was chosen."""

    token: int
    logprob: float
    top: Collection[tuple[int, float]]
    """The most likely tokens with their log probabilities, most likely first."""


class _Choice:
    def __init__(self, text_bytes: Callable[[int], bytes], stops: StopStrings, *, strips_space: bool) -> None:
        self.detokenizer = Detokenizer(text_bytes)
        self.matcher: StopMatcher = stops.matcher()
        self.strips_space = strips_space
        self.is_over = False

    def push(self, token: int) -> str:
        """The text that is certain after one more token."""
        text = self.detokenizer.push(token)
        if self.strips_space and text:
            self.strips_space = False
            text = text.removeprefix(" ")
        return self.matcher.push(text)

    def finish(self) -> str:
        """The text that was held back until the end."""
        return self.matcher.push(self.detokenizer.finish()) + self.matcher.finish()


class Answer:
    """The answer to one request while it is being made.

    Args:
        submit: the request.
        prompt_tokens: how many its prompt has.
    """

    def __init__(self, submit: Submit, prompt_tokens: int, vocabulary: Vocabulary) -> None:
        self._request_id = submit.request_id
        self._top_logprobs = submit.top_logprobs
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0
        self._vocabulary = vocabulary
        stops = StopStrings(submit.stop)
        text_bytes = vocabulary.text_bytes_with(submit.visible_tokens)
        strips = vocabulary.has_space_prefix and not isinstance(submit.prompt, TextPrompt)
        self._choices = [_Choice(text_bytes, stops, strips_space=strips) for _ in range(submit.n)]
        self._unfinished = submit.n

    @property
    def is_done(self) -> bool:
        """Whether all choices have ended."""
        return self._unfinished == 0

    def is_over(self, choice: int) -> bool:
        """Whether a choice has ended."""
        return self._choices[choice].is_over

    def take(self, choice: int, sampled: Sampled, end: EndReason | None) -> Iterator[Event]:
        """The events of a choice's next token. With the last one of the last choice comes `Done`.

        Args:
            end: why this was the last token, if it was. A stop string ends the choice all the same.
        """
        state = self._choices[choice]
        self._completion_tokens += 1
        is_end_token = end is EndReason.stopped
        text = "" if is_end_token else state.push(sampled.token)
        if end is not None:
            text += state.finish()
        logprobs = None
        if self._top_logprobs is not None and not is_end_token:
            logprobs = [self._logprob(sampled, self._top_logprobs)]
        if text or logprobs:
            yield Text(self._request_id, choice, text, logprobs)
        if end is not None or state.matcher.stop_text is not None:
            state.is_over = True
            self._unfinished -= 1
            yield End(self._request_id, choice, self._cause(state, sampled, end), state.matcher.stop_text)
            if self.is_done:
                yield Done(self._request_id, self._prompt_tokens, self._completion_tokens)

    def _cause(self, state: _Choice, sampled: Sampled, end: EndReason | None) -> EndCause:
        if state.matcher.stop_text is not None:
            return "stop_string"
        if end is EndReason.length:
            return "length"
        return "end_of_message" if sampled.token == self._vocabulary.end_of_message else "stopped"

    def _logprob(self, sampled: Sampled, top: int) -> TokenLogprob:
        spelling, data = self._spell(sampled.token)
        likeliest = [TopLogprob(*self._named(token, logprob)) for token, logprob in list(sampled.top)[:top]]
        return TokenLogprob(spelling, max(sampled.logprob, LOWEST_LOGPROB), data, likeliest or None)

    def _named(self, token: int, logprob: float) -> tuple[str, float, list[int]]:
        spelling, data = self._spell(token)
        return spelling, max(logprob, LOWEST_LOGPROB), data

    def _spell(self, token: int) -> tuple[str, list[int]]:
        data = self._vocabulary.spelling(token)
        return data.decode("utf-8", "replace"), list(data)


__all__ = ["LOWEST_LOGPROB", "Answer", "Sampled"]
