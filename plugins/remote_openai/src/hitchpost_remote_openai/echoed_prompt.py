"""Prompts that a server was asked to repeat and doesn't: llama.cpp's and `transformers serve` take `echo` and ignore it."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hitchpost.api import Finish, TextDelta, TokenLogprob

EventT = TypeVar("EventT")


def with_prompt(read: Callable[[Any], list[EventT]], prompt: str) -> Callable[[Any], list[EventT]]:
    """`read`, with the text of each choice beginning with the prompt, whether or not the server has repeated it.

    Args:
        read: from a chunk, or a whole answer, to its events.
        prompt: what each text is to begin with.
    """
    beginnings = _Beginnings(prompt)
    return lambda chunk: [ours for event in read(chunk) for ours in beginnings(event)]


class _Beginnings:
    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._held: dict[int, str] = {}
        self._tokens: dict[int, list[TokenLogprob]] = {}
        self._decided: set[int] = set()

    def __call__(self, event: Any) -> Iterator[Any]:
        if not isinstance(event, TextDelta | Finish) or event.choice in self._decided:
            yield event
            return
        choice = event.choice
        held = self._held.get(choice, "")
        if isinstance(event, TextDelta):
            held = self._held[choice] = held + event.text
            self._tokens.setdefault(choice, []).extend(event.logprobs or [])
            if len(held) < len(self._prompt) and self._prompt.startswith(held):
                return
        self._decided.add(choice)
        if not held.startswith(self._prompt):
            yield TextDelta(self._prompt, choice)
        if held:
            yield TextDelta(held, choice, self._tokens.get(choice) or None)
        if isinstance(event, Finish):
            yield event


__all__ = ["with_prompt"]
