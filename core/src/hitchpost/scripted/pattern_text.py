"""A text that matches a simple regular expression, made without running it.

Simple: a row of characters, character classes and escapes, each with an optional count; no groups, alternatives, lookarounds or references.
"""

import re

from hitchpost.errors import quoted

MAX_LENGTH = 1_000

_ATOM = re.compile(
    r"(?P<group>\[(?!\^)(?P<first>\\.|[^\]\\])(?:\\.|[^\]\\])*\])|(?P<escape>\\.)|(?P<any>\.)|(?P<literal>[^\\^$*+?{}\[\]|()])", re.S
)  # fmt: skip
_COUNT = re.compile(r"(?P<sign>[*+?])\??|\{(?P<least>\d{1,4})(?P<open>,(?P<most>\d{1,4})?)?\}\??")
_ESCAPED = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t", "r": "\r"}


class PatternTooHardError(ValueError):
    """The pattern is not simple."""


def text_of_pattern(pattern: str, min_length: int = 0) -> str:
    """The text: as short as the pattern permits, and lengthened to `min_length` where a count is open.

    Raises:
        PatternTooHardError: the pattern is not simple, or its text would be longer than 1,000 characters.
    """
    body = pattern.removeprefix("^")
    parts: list[tuple[str, int, int]] = []
    position = 0
    while position < len(body) and body[position:] != "$":
        atom = _ATOM.match(body, position)
        if atom is None:
            raise PatternTooHardError(f"the pattern {quoted(pattern)} is too hard from position {position} on")
        count = _COUNT.match(body, atom.end())
        parts.append((_character(atom, pattern), *_bounds(count)))
        position = count.end() if count else atom.end()
    missing = max(0, min_length - sum(least for _, least, _ in parts))
    if sum(least for _, least, _ in parts) + missing > MAX_LENGTH:
        raise PatternTooHardError(f"the pattern {quoted(pattern)} asks for more than {MAX_LENGTH} characters")
    texts = []
    for character, least, most in parts:
        more = min(missing, most - least)
        missing -= more
        texts.append(character * (least + more))
    return "".join(texts)


def _character(atom: re.Match[str], pattern: str) -> str:
    if atom["any"]:
        return "a"
    text = atom["first"] or atom["escape"] or atom["literal"]
    if not text.startswith("\\"):
        return text
    name = text[1]
    if name in _ESCAPED:
        return _ESCAPED[name]
    if name.isalnum():
        raise PatternTooHardError(f"the pattern {quoted(pattern)} is too hard: {text}")
    return name


def _bounds(count: re.Match[str] | None) -> tuple[int, int]:
    """The least and the most repetitions."""
    if count is None:
        return 1, 1
    match count["sign"]:
        case "*":
            return 0, MAX_LENGTH
        case "+":
            return 1, MAX_LENGTH
        case "?":
            return 0, 1
    least = int(count["least"])
    if not count["open"]:
        return least, least
    return least, int(count["most"]) if count["most"] else MAX_LENGTH


__all__ = ["MAX_LENGTH", "PatternTooHardError", "text_of_pattern"]
