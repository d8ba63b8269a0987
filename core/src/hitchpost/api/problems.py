"""What is wrong with a value that doesn't validate, in words that follow the name of its field: `temperature` `must be at most 2`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from hitchpost.errors import quoted

_TYPES = {
    "string": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
    "model_attributes": "an object",
}
_WORDS: dict[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "finite_number": "must be a finite number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "has too many digits",
    **{f"{name}_type": f"must be {what}" for name, what in _TYPES.items()},
    **{f"{name}_parsing": f"must be {what}" for name, what in _TYPES.items()},
}
_WORDS_WITH: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda told: f"must be more than {_number(told['gt'])}",
    "greater_than_equal": lambda told: f"must be at least {_number(told['ge'])}",
    "less_than": lambda told: f"must be less than {_number(told['lt'])}",
    "less_than_equal": lambda told: f"must be at most {_number(told['le'])}",
    "string_too_short": lambda told: f"must have at least {_count(told['min_length'], 'character')}",
    "string_too_long": lambda told: f"must have at most {_count(told['max_length'], 'character')}",
    "string_pattern_mismatch": lambda told: f"must have the form {told['pattern']}",
    "too_short": lambda told: f"must have at least {_count(told['min_length'], 'entry', 'entries')}",
    "too_long": lambda told: f"must have at most {_count(told['max_length'], 'entry', 'entries')}",
    "literal_error": lambda told: f"must be {told['expected']}",
    "enum": lambda told: f"must be {told['expected']}",
    "union_tag_invalid": lambda told: f"must be one of {told['expected_tags']}, not {quoted(told['tag'])}",
    "union_tag_not_found": lambda told: "is missing",
    "value_error": lambda told: str(told["error"]),
    "json_invalid": lambda told: f"is not JSON: {told['error']}",
}


def problem_words(detail: ErrorDetails) -> str:
    """The words for a problem that pydantic found, for which its context must have been asked; they quote nothing long of the value."""
    kind = detail["type"]
    if kind in _WORDS:
        return _WORDS[kind]
    words = _WORDS_WITH.get(kind)
    return detail["msg"] if words is None else words(detail.get("ctx", {}))


def problem_location(detail: ErrorDetails) -> Sequence[int | str]:
    """The steps to the field that is to blame. Where no member of a union is named, pydantic blames the object that should name it."""
    loc = detail["loc"]
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return (*loc, detail["ctx"]["discriminator"].strip("'"))
    return loc


def _number(limit: float) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


__all__ = ["problem_location", "problem_words"]
