"""Tokens as `inline::scripted` counts them: words with the space before them, and log probabilities that are made up but consistent."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from hitchpost.api import TokenLogprob, TopLogprob

_WORD = re.compile(r"\s*\S+|\s+")
_OTHERS = (" the", " a", " of", " and", " to", " in", " is", " it", " that", " for", " on", " with", " as", " was", " at", " by", " be",
           " this", " are", " or", " an")  # fmt: skip


def split_tokens(text: str) -> list[str]:
    """The tokens of a text; joined they are the text again."""
    return _WORD.findall(text)


@dataclass(frozen=True, slots=True)
class Generated:
    """What was made of a text under the limits: the tokens to show, how many it took, and why it ended early if it did."""

    tokens: list[str]
    used: int
    stop_text: str | None = None
    is_cut: bool = False


def generate(text: str, stop: Sequence[str] = (), limit: int | None = None) -> Generated:
    """The tokens of a text up to the first stop string or the limit.

    Args:
        stop: texts that end it and are not shown; they may span tokens and begin within one.
        limit: how many tokens may be made; None for any number.
    """
    tokens = split_tokens(text)
    is_cut = limit is not None and len(tokens) > limit
    if is_cut:
        tokens = tokens[:limit]
    made = "".join(tokens)
    # The stop string that is complete first ends the text, as it would while tokens arrive one by one.
    found = min(((at + len(text), at, text) for text in stop if text and (at := made.find(text)) >= 0), default=None)
    if found is None:
        return Generated(tokens, len(tokens), is_cut=is_cut)
    end, start, stop_text = found
    shown: list[str] = []
    used = position = 0
    for token in tokens:
        if position >= end:
            break
        used += 1
        if position < start:
            shown.append(token[: start - position])
        position += len(token)
    return Generated(shown, used, stop_text)


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


__all__ = ["Generated", "generate", "split_tokens", "token_logprob"]
