"""The keyword arguments of a call in Python's syntax, to and from JSON.

Written token by token instead of with `ast`, whose parser recurses and warns about what models write.
"""

import json
import re
from typing import Any

MAX_NESTING = 64
"""Values nested deeper are not read."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>\"{3}[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*\"{3} | '{3}[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'{3}
               | "[^"\\]*(?:\\.[^"\\]*)*" | '[^'\\]*(?:\\.[^'\\]*)*')
      | (?P<open>[\[({]) | (?P<close>[\])}]) | (?P<comma>,) | (?P<colon>:)
      | (?P<name>[^\s=(),:\[\]{}"'\\]++)\s*+=
      | (?P<atom>[^\s=(),:\[\]{}"'\\]++)
      )\s*""",
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r"""[^\s=(),:\[\]{}"'\\]+""")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|(.))", re.DOTALL)
_SIMPLE_ESCAPES = {
    "\n": "", "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_CONSTANTS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
_PYTHON_CONSTANT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|true|false|null', re.DOTALL)
_PYTHON_NAMES = {"true": "True", "false": "False", "null": "None"}


def find_arguments_json(text: str) -> str | None:
    """`city="Paris", days=[1, 2]` as the text of a JSON object; None where it isn't keyword arguments with literal values.

    Tuples become arrays. `true`, `false` and `null` are understood as well.
    """
    text = text.strip()
    parts = ["{"]
    position = depth = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or depth > MAX_NESTING:
            return None
        position = token.end()
        kind = token.lastgroup
        value = token[kind] if kind else ""
        if kind == "name":
            if depth or parts[-1] not in "{,":
                return None
            parts.append(json.dumps(value, ensure_ascii=False) + ":")
        elif kind == "open":
            depth += 1
            parts.append("[" if value == "(" else value)
        elif kind == "close":
            depth -= 1
            _drop_last_comma(parts)
            parts.append("]" if value == ")" else value)
        else:
            parts.append(_json_scalar(kind, value))
    _drop_last_comma(parts)
    return _checked("".join([*parts, "}"]))


def find_python_arguments(arguments: dict[str, Any]) -> str | None:
    """JSON values as keyword arguments; None where a key can't be written as a name, or a value not as a literal."""
    if not all(_NAME.fullmatch(name) for name in arguments):
        return None
    try:
        values = [json.dumps(value, ensure_ascii=False, allow_nan=False) for value in arguments.values()]
    except (ValueError, RecursionError):
        return None
    literals = [_PYTHON_CONSTANT.sub(lambda found: _PYTHON_NAMES.get(found[0], found[0]), value) for value in values]
    return ", ".join(f"{name}={literal}" for name, literal in zip(arguments, literals, strict=True))


def _drop_last_comma(parts: list[str]) -> None:
    """Python lets a comma follow the last item."""
    if parts[-1] == "," and parts[-2] not in {"[", "{"}:
        parts.pop()


def _json_scalar(kind: str | None, value: str) -> str:
    if kind == "string":
        return _json_string(value)
    if kind != "atom" or value in _CONSTANTS:
        return _CONSTANTS.get(value, value)
    if _JSON_NUMBER.fullmatch(value):
        return value
    try:
        return repr(float(value))  # `.5`, `1.` and `+1` are no JSON
    except ValueError:
        return value


def _json_string(literal: str) -> str:
    width = 3 if literal[:3] in ('"""', "'''") and len(literal) >= 6 else 1
    value = _ESCAPE.sub(_unescaped, literal[width:-width])
    try:
        value.encode()
    except UnicodeEncodeError:  # halves of a surrogate pair, which are one character once they are JSON escapes
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def _unescaped(found: re.Match[str]) -> str:
    hexadecimal = found[1] or found[2] or found[3]
    if hexadecimal or found[4]:
        code = int(hexadecimal, 16) if hexadecimal else int(found[4], 8)
        return chr(code) if code < 0x110000 else found[0]
    return _SIMPLE_ESCAPES.get(found[5], found[0])


def _checked(text: str) -> str | None:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return text


__all__ = ["MAX_NESTING", "find_arguments_json", "find_python_arguments"]
