"""Values of JSON that a server sent, held against what they must be."""

import math
from typing import Any

from hitchpost.errors import BadBackendAnswerError


class Unreadable(Exception):  # noqa: N818 - never leaves this package
    """Part of an answer isn't what its field must be; says which."""

    def told_of(self, name: str) -> BadBackendAnswerError:
        """What callers are told of the answer of the server called `name`."""
        return BadBackendAnswerError(f"{name} answered in a form that can't be read: {self}")


def object_(value: Any) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise Unreadable(f"{_kind(value)} where an object belongs")
    return value


def items(value: Any) -> list[Any]:
    """A list; null and nothing are an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable(f"{_kind(value)} where a list belongs")
    return value


def text(value: Any) -> str:
    """Text."""
    if not isinstance(value, str):
        raise Unreadable(f"{_kind(value)} where text belongs")
    return value


def optional_text(value: Any) -> str | None:
    """Text, or nothing."""
    return None if value is None else text(value)


def integer(value: Any, default: int) -> int:
    """A whole number; the default where there is none."""
    if type(value) is int:
        return value
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise Unreadable(f"{_kind(value)} where a whole number belongs")


def number(value: Any) -> float:
    """A number, infinities excepted: they become the largest there are."""
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
        raise Unreadable(f"{_kind(value)} where a number belongs")
    return min(max(float(value), -1e308), 1e308)


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "nothing"}.get(
        type(value), "a number"
    )


__all__ = ["Unreadable", "integer", "items", "number", "object_", "optional_text", "text"]
