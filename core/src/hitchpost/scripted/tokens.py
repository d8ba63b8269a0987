"""Tokens as `inline::scripted` counts them: words with the space before them, and log probabilities that are made up but consistent."""

import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple
from zlib import crc32

from hitchpost.api import TokenLogprob, TopLogprob

_WORD = re.compile(r"\s*\S+|\s+")
_OTHERS = (" the", " a", " of", " and", " to", " in", " is", " it", " that", " for", " on", " with", " as", " was", " at", " by", " be",
           " this", " are", " or", " an")  # fmt: skip


def count_tokens(text: str) -> int:
    """How many tokens a text has."""
    return len(text.split()) + text[-1:].isspace()


class End(NamedTuple):
    """Where a text ends under the limits: after how many characters, how many of them are shown, and why it ends early if it does."""

    made: int
    shown: int
    stop_text: str | None = None
    is_cut: bool = False


def find_end(text: str, stop: Sequence[str] = (), limit: int | None = None) -> End:
    """The end of a text at the first stop string or the limit.

    Args:
        stop: texts that end it and are not shown; they may span tokens and begin within one.
        limit: how many tokens may be made; None for any number.
    """
    made, is_cut = len(text), False
    if limit is None and not stop:
        return End(made, made)
    if limit is not None:
        tokens = _WORD.finditer(text)
        within = deque(islice(tokens, limit), maxlen=1)
        is_cut = next(tokens, None) is not None
        if is_cut:
            made = within[0].end() if within else 0
    # The stop string that is complete first ends the text, as it would while tokens arrive one by one.
    found = min(((at + len(s), at, s) for s in stop if s and (at := text.find(s, 0, made)) >= 0), default=None)
    if found is None:
        return End(made, made, is_cut=is_cut)
    made, shown, stop_text = found
    return End(made, shown, stop_text)


def find_tokens(text: str, made: int) -> Iterator[re.Match[str]]:
    """The tokens within the first `made` characters of a text, one at a time."""
    return _WORD.finditer(text, 0, made)


def token_logprob(token: str, top_k: int) -> TokenLogprob:
    """Log probability of a token, the same for the same token; with the `top_k` most likely ones, of which it is the first."""
    chosen = 0.5 + crc32(token.encode()) % 1000 / 2500
    top: list[TopLogprob] | None = None
    if top_k > 0:
        rest = [(1 - chosen) / 2 ** (place + 1) for place in range(top_k - 1)]
        others = [other for other in _OTHERS if other != token]
        top = [_top(token, chosen), *(_top(other, share) for other, share in zip(others, rest, strict=False))]
    return TokenLogprob(token=token, logprob=math.log(chosen), bytes=list(token.encode()), top=top)


def _top(token: str, probability: float) -> TopLogprob:
    return TopLogprob(token=token, logprob=math.log(probability), bytes=list(token.encode()))


__all__ = ["End", "count_tokens", "find_end", "find_tokens", "token_logprob"]
