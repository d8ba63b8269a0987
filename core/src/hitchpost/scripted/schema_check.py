"""Whether a JSON value satisfies a JSON schema, for the keywords that `inline::scripted` understands.

The schema comes from a request, so it may be hostile: its keywords are checked for their types, the work is counted, and no regular
expression of it is ever run: a text satisfies a `pattern` only if it is the one that we would make for it.
"""

import math
from collections.abc import Mapping
from typing import Any

from hitchpost.errors import quoted
from hitchpost.scripted.pattern_text import PatternTooHardError, text_of_pattern

MAX_STEPS = 20_000
MAX_DEPTH = 50
MAX_NUMBER = 2**53
"""Schemas that come from JavaScript bound each whole number by what is exact there."""
FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
"""An example of each `format`."""

_KEYWORDS: dict[str, type | tuple[type, ...]] = {
    "$ref": str,
    "type": (str, list),
    "const": object,
    "enum": list,
    "allOf": list,
    "anyOf": list,
    "oneOf": list,
    "properties": dict,
    "required": list,
    "additionalProperties": (dict, bool),
    "propertyNames": (dict, bool),
    "minProperties": int,
    "maxProperties": int,
    "items": (dict, bool),
    "prefixItems": list,
    "minItems": int,
    "maxItems": int,
    "uniqueItems": bool,
    "minimum": (int, float),
    "maximum": (int, float),
    "exclusiveMinimum": (int, float),
    "exclusiveMaximum": (int, float),
    "multipleOf": (int, float),
    "minLength": int,
    "maxLength": int,
    "pattern": str,
    "format": str,
}
_ANNOTATIONS = {"$anchor", "$comment", "$defs", "$id", "$schema", "contentEncoding", "contentMediaType", "default", "definitions",
                "deprecated", "description", "example", "examples", "readOnly", "title", "writeOnly"}  # fmt: skip
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


class NoValueError(Exception):
    """There is no value for this place of the schema, or none that is found here."""


class BudgetError(NoValueError):
    """The schema takes too much work; no alternative is tried any more."""


class SchemaReader:
    """A schema with its references, and the work that was spent on it."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0

    def keywords(self, schema: Any, at: str, depth: int) -> dict[str, Any]:
        """The keywords of a schema that say anything about values; `at` is the path for messages.

        Raises:
            NoValueError: the schema permits nothing, is malformed, or uses what is not understood.
        """
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise BudgetError("it takes too much work")
        if depth > MAX_DEPTH:
            raise NoValueError(f"{at}: it is nested too deep")
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise NoValueError(f"{at}: {'nothing is allowed here' if schema is False else 'this is not a schema'}")
        found = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
        for key, value in found.items():
            _check_keyword(key, value, at)
        return found

    def resolve(self, reference: str, at: str) -> Any:
        """The part of the schema that a `$ref` names.

        Raises:
            NoValueError: it names nothing, or another document.
        """
        if not reference.startswith("#"):
            raise NoValueError(f"{at}: only references within the schema are supported, not {quoted(reference)}")
        target = self._root
        for part in filter(None, reference.removeprefix("#").split("/")):
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                raise NoValueError(f"{at}: {quoted(reference)} names nothing")
            target = target[name]
        return target

    def is_valid(self, value: Any, schema: Any, depth: int = 0) -> bool:
        """Whether the value satisfies the schema.

        Raises:
            NoValueError: as `keywords` does.
        """
        if schema is False:
            return False
        said = self.keywords(schema, "$", depth)
        below = depth + 1
        if "$ref" in said and not self.is_valid(value, self.resolve(said["$ref"], "$"), below):
            return False
        if not all(self.is_valid(value, part, below) for part in said.get("allOf", ())):
            return False
        if "anyOf" in said and not any(self.is_valid(value, part, below) for part in said["anyOf"]):
            return False
        if "oneOf" in said and sum(self.is_valid(value, part, below) for part in said["oneOf"]) != 1:
            return False
        if "type" in said and not any(_is_of_type(value, name) for name in types_of(said)):
            return False
        if "const" in said and not is_same(value, said["const"]):
            return False
        if "enum" in said and not any(is_same(value, option) for option in said["enum"]):
            return False
        match value:
            case dict():
                return self._is_valid_object(value, said, below)
            case list():
                return self._is_valid_array(value, said, below)
            case str():
                return _is_valid_text(value, said)
            case bool() | None:
                return True
        return _is_valid_number(value, said)

    def _is_valid_object(self, value: dict[str, Any], said: dict[str, Any], depth: int) -> bool:
        properties, others = said.get("properties", {}), said.get("additionalProperties", True)
        return (
            said.get("minProperties", 0) <= len(value) <= said.get("maxProperties", math.inf)
            and all(name in value for name in said.get("required", ()))
            and all(self.is_valid(name, said.get("propertyNames", True), depth) for name in value)
            and all(self.is_valid(item, properties.get(name, others), depth) for name, item in value.items())
        )

    def _is_valid_array(self, value: list[Any], said: dict[str, Any], depth: int) -> bool:
        first = said.get("prefixItems", [])
        parts = [*first[: len(value)], *[said.get("items", True)] * (len(value) - len(first))]
        repeats = said.get("uniqueItems", False) and any(
            is_same(item, other) for index, item in enumerate(value) for other in value[:index]
        )
        return (
            said.get("minItems", 0) <= len(value) <= said.get("maxItems", math.inf)
            and not repeats
            and all(self.is_valid(item, part, depth) for item, part in zip(value, parts, strict=True))
        )


def _check_keyword(key: str, value: Any, at: str) -> None:
    wanted = _KEYWORDS.get(key)
    if wanted is None:
        raise NoValueError(f"{at}: the keyword {quoted(key)} is not supported")
    is_right = isinstance(value, wanted)
    if is_right and wanted in (int, (int, float)):
        is_right = not isinstance(value, bool) and abs(value) <= MAX_NUMBER
    if is_right and key in {"type", "required"}:
        is_right = all(isinstance(name, str) for name in value)
    if not is_right:
        raise NoValueError(f"{at}: {quoted(key)} can't be {value!r:.40}")


def types_of(said: Mapping[str, Any]) -> list[str]:
    """The names under `type`; without any, the one that the other keywords are about."""
    names = said.get("type")
    if names is None:
        about = (
            ("object", ("properties", "required", "additionalProperties", "minProperties")),
            ("array", ("items", "prefixItems", "minItems")),
            ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
        )
        return [name for name, keys in about if any(key in said for key in keys)] or ["string"]
    return [names] if isinstance(names, str) else list(names)


def is_same(left: Any, right: Any) -> bool:
    """Equality of JSON values, in which true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return bool(left == right)


def _is_of_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(name, ()))


def _is_valid_text(value: str, said: Mapping[str, Any]) -> bool:
    if not said.get("minLength", 0) <= len(value) <= said.get("maxLength", math.inf):
        return False
    return "pattern" not in said or value == patterned_text(said, "$")


def patterned_text(said: Mapping[str, Any], at: str) -> str:
    """The text that is made for a `pattern`, or the example of its `format`, which patterns that are too hard spell out as a rule.

    Raises:
        NoValueError: there is neither.
    """
    try:
        return text_of_pattern(said["pattern"], said.get("minLength", 0))
    except PatternTooHardError as error:
        if said.get("format") not in FORMATS:
            raise NoValueError(f"{at}: {error}") from None
        return FORMATS[said["format"]]


def _is_valid_number(value: float, said: Mapping[str, Any]) -> bool:
    step = said.get("multipleOf")
    return (
        said.get("minimum", -math.inf) <= value <= said.get("maximum", math.inf)
        and said.get("exclusiveMinimum", -math.inf) < value < said.get("exclusiveMaximum", math.inf)
        and (step is None or (step > 0 and (value / step).is_integer()))
    )


__all__ = ["FORMATS", "BudgetError", "NoValueError", "SchemaReader", "is_same", "patterned_text", "types_of"]
