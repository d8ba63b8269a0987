"""Stop strings that a server leaves in its text, as `transformers serve` and TGI do; most servers cut them off.

Such servers notice a stop string when they have sent its beginning, so text that may become one is held back.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hitchpost.api import Finish, FinishReason, TextDelta, TokenLogprob

EventT = TypeVar("EventT")


@dataclass(slots=True)
class _Text:
    """What is held back of one choice."""

    held: str = ""
    tokens: list[TokenLogprob] = field(default_factory=list)
    begun: int = 0
    """Where in `held` the first of these tokens begins."""
    is_over: bool = False


def without_stops(read: Callable[[Any], list[EventT]], stops: Sequence[str]) -> Callable[[Any], list[EventT]]:
    """`read`, with the text of each choice ending before the first stop string.

    Args:
        read: from a chunk, or a whole answer, to its events.
        stops: the stop strings of the request; without any, `read` itself is returned.
    """
    wanted = [stop for stop in stops if stop]
    if not wanted:
        return read
    cut = _Cut(wanted)
    return lambda chunk: [ours for event in read(chunk) for ours in cut(event)]


class _Cut:
    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._texts: dict[int, _Text] = {}

    def __call__(self, event: Any) -> Iterator[Any]:
        choice = getattr(event, "choice", None)
        if choice is None:
            yield event
            return
        text = self._texts.setdefault(choice, _Text())
        if text.is_over:
            return
        if isinstance(event, TextDelta):
            yield from self._push(text, event)
            return
        if isinstance(event, Finish):
            yield from self._rest(text, choice)
        yield event

    def _push(self, text: _Text, event: TextDelta) -> Iterator[Any]:
        text.held += event.text
        text.tokens += event.logprobs or []
        # The one that ends first counts; of several that end there, the longest.
        hits = [(at + len(stop), at, stop) for stop in self._stops if (at := text.held.find(stop)) >= 0]
        if hits:
            _, at, stop = min(hits)
            yield from self._taken(text, at, event.choice)
            text.is_over = True
            yield Finish(FinishReason.stop, event.choice, stop)
            return
        undecided = max(_overlap(text.held, stop) for stop in self._stops)
        if undecided == 0:
            whole, text.held, tokens, text.tokens, text.begun = text.held, "", text.tokens, [], 0
            yield replace(event, text=whole, logprobs=tokens or None)
            return
        yield from self._taken(text, len(text.held) - undecided, event.choice)

    def _rest(self, text: _Text, choice: int) -> Iterator[TextDelta]:
        if text.held or text.tokens:
            yield TextDelta(text.held, choice, text.tokens or None)

    def _taken(self, text: _Text, length: int, choice: int) -> Iterator[TextDelta]:
        """So much of the held text, with the tokens that begin in it."""
        count = 0
        while count < len(text.tokens) and text.begun < length:
            text.begun += len(text.tokens[count].token)
            count += 1
        text.begun = max(0, text.begun - length)
        taken, text.held = text.held[:length], text.held[length:]
        tokens, text.tokens = text.tokens[:count], text.tokens[count:]
        if taken or tokens:
            yield TextDelta(taken, choice, tokens or None)


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin the stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)


__all__ = ["without_stops"]
