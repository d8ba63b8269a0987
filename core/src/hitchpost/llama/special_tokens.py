"""Prompts as segments, in which only a `SpecialToken` can become a special token of the tokenizer."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """A control token, by its spelling, such as `<|eot_id|>`."""

    token: str


Prompt = list[str | SpecialToken]
"""A prompt, in order. Tokenize each `str` by itself, with special tokens disabled: users wrote it, and it may spell anything."""

BEGIN_OF_TEXT = SpecialToken("<|begin_of_text|>")
END_OF_TEXT = SpecialToken("<|end_of_text|>")
START_HEADER = SpecialToken("<|start_header_id|>")
END_HEADER = SpecialToken("<|end_header_id|>")
END_OF_MESSAGE = SpecialToken("<|eom_id|>")
END_OF_TURN = SpecialToken("<|eot_id|>")
PYTHON_TAG = SpecialToken("<|python_tag|>")
IMAGE = SpecialToken("<|image|>")
STOP_TOKENS = (END_OF_TEXT, END_OF_MESSAGE, END_OF_TURN)
"""Any of these ends what a Llama 3 model generates."""

LLAMA2_BEGIN = SpecialToken("<s>")
LLAMA2_END = SpecialToken("</s>")

_LLAMA3_SPELLING = re.compile(r"<\|(?=[^|<>\s]{1,64}\|>)")
_LLAMA2_SPELLING = re.compile(r"<(?=/?s>|unk>)")


def prompt_text(prompt: Prompt, *, with_begin: bool = True) -> str:
    """One string, for backends that take no token ids and look for special tokens in the text themselves.

    What merely spells a special token is broken up by one space (`<| eot_id|>`). A visible space is the safest change that keeps the
    text readable: no tokenizer's normalization removes it, as it may remove zero-width characters, and unlike dropping the spelling it can
    never make the text around it join into a new one.

    Args:
        with_begin: False leaves the first token out, for backends that put it there themselves.
    """
    spelling = _LLAMA2_SPELLING if prompt[:1] == [LLAMA2_BEGIN] else _LLAMA3_SPELLING
    parts: list[str] = []
    words = ""
    # Neighbouring texts are looked at as one, since a spelling may begin in one and end in the next.
    for segment in prompt if with_begin else prompt[1:]:
        if isinstance(segment, str):
            words += segment
        else:
            parts += (_without(spelling, words), segment.token)
            words = ""
    return "".join([*parts, _without(spelling, words)])


def _without(spelling: re.Pattern[str], words: str) -> str:
    return spelling.sub(lambda found: found[0] + " ", words) if "<" in words else words


__all__ = [
    "BEGIN_OF_TEXT",
    "END_HEADER",
    "END_OF_MESSAGE",
    "END_OF_TEXT",
    "END_OF_TURN",
    "IMAGE",
    "LLAMA2_BEGIN",
    "LLAMA2_END",
    "PYTHON_TAG",
    "START_HEADER",
    "STOP_TOKENS",
    "Prompt",
    "SpecialToken",
    "prompt_text",
]
