"""The pattern language of the topic files: text with alternatives, as in `(start|run) (|the) host`.

A word in capitals that `words` knows stands for one of its values; a value may be a pattern itself.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence

_INNERMOST_GROUP = re.compile(r"\(([^()]*)\)")
_SPACES = re.compile(r"\s+")

Words = Mapping[str, Sequence[str] | Callable[[random.Random], str]]

COMMON_WORDS: Words = {
    "WHAT": (
        "(what is|what is|what's|whats|what are|what exactly is|please explain|explain|describe|define|tell me about"
        "|tell me what is|can you explain|could you explain|can you describe|i want to know what is|what means)",
    ),
    "HOW": (
        "(how do i|how do i|how can i|how to|how does one|how would i|how should i|how do you|how could i"
        "|what must i do to|what is the way to|what do i do to|explain how to|tell me how to|show me how to"
        "|i want to|is there a way to)",
    ),
    "WHICH": ("(which|which|what)",),
    "DOES": ("(does Hitchpost|does Hitchpost|does it|can Hitchpost|can it|will Hitchpost|does the host)",),
}


def draw(pattern: str, rng: random.Random, words: Words = COMMON_WORDS) -> str:
    """Return one of the texts that the pattern stands for, each choice drawn from `rng`."""
    text = pattern
    while group := _INNERMOST_GROUP.search(text):
        text = text[: group.start()] + rng.choice(group[1].split("|")) + text[group.end() :]

    def value(match: re.Match[str]) -> str:
        values = words[match[0]]
        return values(rng) if callable(values) else draw(rng.choice(values), rng, words)

    return _SPACES.sub(" ", re.sub(rf"\b({'|'.join(words)})\b", value, text)).strip()
