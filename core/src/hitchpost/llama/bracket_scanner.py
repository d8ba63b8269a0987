"""Where a JSON value or the arguments of a Python call end, in text that is still arriving.

Only quotes and brackets are looked at, and depth is a number: no input makes this recurse. Each function reads, and returns False where the
text ends first.
"""

import re

from hitchpost.llama.incremental_text import IncrementalText, Reading

_SPACE = re.compile(r"\s*")
_JSON_SCALAR = re.compile(r'[^\s,{}\[\]"]*')
_JSON_PLAIN = re.compile(r'[^"{}\[\]]*')
_PYTHON_PLAIN = re.compile(r"""[^"'{}\[\]()]*""")
_UNQUOTED = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}


def scan_mark(text: IncrementalText, mark: str) -> Reading[bool]:
    """Read one punctuation mark, if it comes next, with the space around it."""
    yield from text.run(_SPACE)
    if (yield from text.peek()) != mark:
        return False
    text.advance()
    yield from text.run(_SPACE)
    return True


def scan_json_value(text: IncrementalText) -> Reading[bool]:
    """Read one JSON value; what is between its brackets is not checked."""
    depth = 0
    while char := (yield from text.peek()):
        if char == '"':
            text.advance()
            if not (yield from scan_quoted(text, char)):
                return False
        elif char in "{[":
            text.advance()
            depth += 1
        elif depth and char in "}]":
            text.advance()
            depth -= 1
        else:
            before = text.position
            yield from text.run(_JSON_PLAIN if depth else _JSON_SCALAR)
            if text.position == before:
                return False
        if not depth:
            return True
    return False


def scan_quoted(text: IncrementalText, quote: str) -> Reading[bool]:
    """Read the rest of a string, up to and with its closing quote."""
    while True:
        yield from text.run(_UNQUOTED[quote])
        char = yield from text.peek()
        if not char:
            return False
        text.advance()
        if char == quote:
            return True
        if not (yield from text.peek()):
            return False
        text.advance()


def scan_python_arguments(text: IncrementalText) -> Reading[bool]:
    """Read up to the `)` that closes the call, without it; False also where another bracket closes there."""
    depth = 0
    while True:
        yield from text.run(_PYTHON_PLAIN)
        char = yield from text.peek()
        if not char or (char in ")]}" and not depth):
            return char == ")"
        text.advance()
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif not (yield from _scan_python_quoted(text, char)):
            return False


def _scan_python_quoted(text: IncrementalText, quote: str) -> Reading[bool]:
    if (yield from text.peek()) != quote:
        return (yield from scan_quoted(text, quote))
    text.advance()
    if (yield from text.peek()) != quote:
        return True
    text.advance()
    while (yield from scan_quoted(text, quote)):
        if (yield from text.peek()) == quote:
            text.advance()
            if (yield from text.peek()) == quote:
                text.advance()
                return True
    return False


__all__ = ["scan_json_value", "scan_mark", "scan_python_arguments", "scan_quoted"]
