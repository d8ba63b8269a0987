"""A JSON value that satisfies a JSON schema, the same one each time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hitchpost.errors import UnsupportedError, quoted
from hitchpost.scripted.schema_check import (
    FORMATS,
    BudgetError,
    NoValueError,
    SchemaReader,
    is_same,
    patterned_text,
    types_of,
)

MAX_STRING_LENGTH = 10_000
MAX_ITEMS = 1_000

_UPPER = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_LOWER = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}


def value_for(schema: Any, *, param: str) -> Any:
    """The value: all properties that can be filled, one item per array, the first alternative that works.

    Args:
        param: the request field that holds the schema, for the error.

    Raises:
        UnsupportedError: the schema can't be satisfied within our limits, or uses what is not understood here; the message names the place.
    """
    try:
        return _Generator(schema).value(schema, _Place())
    except NoValueError as error:
        raise UnsupportedError(f"no JSON is made for this schema: {error}", param=param) from None


def satisfies(value: Any, schema: Any) -> bool:
    """Whether a value satisfies a schema; False where the schema isn't understood."""
    try:
        return SchemaReader(schema).is_valid(value, schema)
    except NoValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the schema, for messages; the references that are being followed; how deep."""

    path: str = "$"
    refs: tuple[str, ...] = ()
    depth: int = 0

    def below(self, step: str = "") -> "_Place":
        return replace(self, path=self.path + step, depth=self.depth + 1)


class _Generator:
    def __init__(self, root: Any) -> None:
        self._reader = SchemaReader(root)

    def value(self, schema: Any, place: _Place) -> Any:
        """The first candidate of the first alternative that satisfies the schema."""
        reason = NoValueError(f"{place.path}: nothing satisfies it")
        for said, followed in self._alternatives(schema, place):
            try:
                for candidate in self._candidates(said, followed):
                    if self._reader.is_valid(candidate, schema, place.depth):
                        return candidate
            except BudgetError:
                raise
            except NoValueError as error:
                reason = error
        raise reason

    def _alternatives(self, schema: Any, place: _Place) -> Iterator[tuple[dict[str, Any], _Place]]:
        """The schema without references and combinations, once for every way of choosing among them."""
        said = self._reader.keywords(schema, place.path, place.depth)
        groups: list[list[Any]] = []
        if "$ref" in said:
            reference = said.pop("$ref")
            if reference in place.refs:
                raise NoValueError(f"{place.path}: {quoted(reference)} contains itself without end")
            place = replace(place, refs=(*place.refs, reference))
            groups.append([self._reader.resolve(reference, place.path)])
        groups += [[part] for part in said.pop("allOf", ())]
        groups += [said.pop(key) for key in ("anyOf", "oneOf") if key in said]
        yield from self._choose(said, groups, place)

    def _choose(
        self, said: dict[str, Any], groups: list[list[Any]], place: _Place
    ) -> Iterator[tuple[dict[str, Any], _Place]]:
        if not groups:
            yield said, place
            return
        options, *others = groups
        reason: NoValueError | None = None
        for option in options:
            try:
                for chosen, followed in self._alternatives(option, place.below()):
                    yield from self._choose(_merged(said, chosen), others, followed)
            except BudgetError:
                raise
            except NoValueError as error:
                reason = reason or error
        if reason is not None:
            raise reason

    def _candidates(self, said: dict[str, Any], place: _Place) -> Iterator[Any]:
        if "const" in said:
            yield said["const"]
        elif "enum" in said:
            yield from said["enum"]
        else:
            for name in types_of(said):
                yield from self._of_type(name, said, place)

    def _of_type(self, name: str, said: dict[str, Any], place: _Place) -> Iterator[Any]:
        match name:
            case "object":
                yield self._object(said, place)
            case "array":
                yield self._array(said, place)
            case "string":
                yield from _texts(said, place)
            case "integer" | "number":
                yield from _numbers(said, is_whole=name == "integer")
            case "boolean":
                yield from (True, False)
            case "null":
                yield None
            case _:
                raise NoValueError(f"{place.path}: there is no type {quoted(name)}")

    def _object(self, said: dict[str, Any], place: _Place) -> dict[str, Any]:
        required = said.get("required", [])
        result: dict[str, Any] = {}
        for name, part in said.get("properties", {}).items():
            try:
                result[name] = self.value(part, place.below(f".{quoted(name, '')}"))
            except BudgetError:
                raise
            except NoValueError:
                if name in required:
                    raise
        for name in required:
            if name not in result:
                result[name] = self.value(said.get("additionalProperties", True), place.below(f".{quoted(name, '')}"))
        return result

    def _array(self, said: dict[str, Any], place: _Place) -> list[Any]:
        first, least = said.get("prefixItems", []), said.get("minItems", 0)
        if least > MAX_ITEMS:
            raise NoValueError(f"{place.path}: more than {MAX_ITEMS} items are not made")
        wanted = max(least, min(len(first) or 1, said.get("maxItems", MAX_ITEMS)))
        items: list[Any] = []
        for index in range(wanted):
            part = first[index] if index < len(first) else said.get("items", True)
            try:
                items.append(self.value(part, place.below(f"[{index}]")))
            except BudgetError:
                raise
            except NoValueError:
                if index < least:
                    raise
                break
        return items


def _merged(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Both schemas in one. What can't be merged is taken from the right; values are checked against the originals anyway."""
    result = {**left, **right}
    for key in left.keys() & right.keys():
        mine, other = left[key], right[key]
        if key in _LOWER:
            result[key] = max(mine, other)
        elif key in _UPPER:
            result[key] = min(mine, other)
        elif key == "required":
            result[key] = [*mine, *(name for name in other if name not in mine)]
        elif key == "enum":
            result[key] = [option for option in mine if any(is_same(option, allowed) for allowed in other)]
        elif key == "type":
            result[key] = _common_types(types_of(left), types_of(right))
        elif key == "properties":
            both = {name: {"allOf": [mine[name], other[name]]} for name in mine.keys() & other.keys()}
            result[key] = {**mine, **other, **both}
        elif key in {"items", "additionalProperties"}:
            result[key] = {"allOf": [mine, other]}
    return result


def _common_types(left: list[str], right: list[str]) -> list[str]:
    wider = {"integer": "number"}
    return [name for name in left if name in right or wider.get(name) in right] + [
        name for name in right if name not in left and wider.get(name) in left
    ]


def _texts(said: dict[str, Any], place: _Place) -> Iterator[str]:
    least, most = said.get("minLength", 0), said.get("maxLength", MAX_STRING_LENGTH)
    if least > MAX_STRING_LENGTH:
        raise NoValueError(f"{place.path}: more than {MAX_STRING_LENGTH} characters are not made")
    if "pattern" in said:
        yield patterned_text(said, place.path)
        return
    if said.get("format") in FORMATS:
        yield FORMATS[said["format"]]
    yield ("text" * (least // 4 + 1))[: max(least, min(most, 4))]


def _numbers(said: dict[str, Any], *, is_whole: bool) -> Iterator[float]:
    """Zero, then numbers near the bounds, then the multiples next to them."""
    lower = max(said.get("minimum", -math.inf), said.get("exclusiveMinimum", -math.inf))
    upper = min(said.get("maximum", math.inf), said.get("exclusiveMaximum", math.inf))
    yield 0
    near: list[float] = []
    if lower > -math.inf:
        near += [lower, lower + 1, math.ceil(lower), math.floor(lower) + 1]
    if upper < math.inf:
        near += [upper, upper - 1, math.floor(upper), math.ceil(upper) - 1]
    if lower > -math.inf and upper < math.inf:
        near.append(lower + (upper - lower) / 2)
    step = said.get("multipleOf", 0)
    multiples = [turns * step for number in near for turns in _turns(number, step)]
    for number in (*near, *multiples):
        if not is_whole:
            yield number
        elif float(number).is_integer():
            yield int(number)


def _turns(number: float, step: float) -> tuple[int, ...]:
    """How often `step` goes into `number`, rounded either way and one further."""
    if step <= 0 or abs(number / step) > 1e15:
        return ()
    turns = math.floor(number / step)
    return turns - 1, turns, turns + 1, turns + 2


__all__ = ["satisfies", "value_for"]
