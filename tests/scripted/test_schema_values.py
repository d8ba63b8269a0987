"""JSON values for schemas, compared with an independent validator."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.errors import UnsupportedError
from hitchpost.scripted.schema_values import satisfies, value_for

NODE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
    "required": ["value", "next"],
}
TREE = {
    "type": "object",
    "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    "required": ["children"],
}
SATISFIABLE: list[Any] = [
    True,
    {},
    {"type": "string"},
    {"type": "string", "minLength": 9, "maxLength": 9},
    {"type": "string", "maxLength": 2},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "uuid", "maxLength": 3},
    {"type": "string", "pattern": r"^[A-Z]{2}-\d{4}$"},
    {"type": "string", "pattern": "^[a-z0-9_]+$", "minLength": 5},
    {"type": "string", "pattern": r"^\+?\.\$"},
    {"type": "integer", "minimum": 3},
    {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
    {"type": "string", "format": "email", "pattern": "^(?:[a-z]+\\.)*[a-z]+@(?:[a-z]+\\.)+[a-z]{2,}$"},
    {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "number"}},
    {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 4},
    {"type": "integer", "minimum": 10, "multipleOf": 7},
    {"type": "integer", "maximum": -3, "multipleOf": 2},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
    {"type": "number", "minimum": 1.1, "multipleOf": 0.25},
    {"type": ["null", "string"]},
    {"type": ["integer", "string"], "minimum": 1},
    {"enum": ["red", "green"]},
    {"enum": ["red", 3], "type": "integer"},
    {"const": {"a": [1]}},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
    {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "array", "items": False},
    {"type": "array", "uniqueItems": True, "items": {"type": "integer"}},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False},
    {"type": "object", "properties": {"a": {"not": {}}}},
    {"type": "object", "required": ["b"], "additionalProperties": {"type": "integer"}},
    {"properties": {"a": {"const": 1}}, "required": ["a"]},
    {"anyOf": [{"type": "string", "minLength": 5, "maxLength": 2}, {"type": "integer"}]},
    {"oneOf": [{"type": "number"}, {"type": "integer"}], "minimum": 0.5},
    {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 0}]},
    {"allOf": [{"type": "integer"}, {"minimum": 4}, {"maximum": 5}]},
    {"allOf": [{"type": "number"}, {"type": "integer"}]},
    {"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]},
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"type": "object", "properties": {"a": {"minimum": 7}, "b": {"type": "null"}}, "required": ["b"]},
        ]
    },
    {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    {"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "null"}}},
    {"type": "object", "properties": {"child": {"$ref": "#"}}},
    {"$defs": {"tree": TREE}, "$ref": "#/$defs/tree"},
    {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Name", "default": None, "description": "whose"},
]  # fmt: skip
REFUSED: list[tuple[Any, str]] = [
    (False, "nothing is allowed here"),
    ([], "not a schema"),
    ({"type": "string", "not": {}}, "keyword 'not'"),
    ({"type": "set"}, "no type 'set'"),
    ({"type": 3}, "'type' can't be 3"),
    ({"minimum": "low"}, "'minimum' can't be 'low'"),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "nothing satisfies it"),
    ({"type": "integer", "minimum": 10**400}, "'minimum' can't be"),
    ({"type": "string", "minLength": 10**9}, "more than 10000 characters"),
    ({"type": "string", "pattern": "(a+)+$"}, "too hard"),
    ({"type": "string", "pattern": r"\bword"}, "too hard"),
    ({"type": "string", "pattern": "a{9999}"}, "more than 1000 characters"),
    ({"type": "array", "minItems": 10**9}, "more than 1000 items"),
    ({"type": "array", "minItems": 1, "items": False}, "nothing is allowed here"),
    ({"$ref": "https://example.com/schema"}, "only references within"),
    ({"$ref": "#/$defs/missing"}, "names nothing"),
    ({"$ref": "#"}, "contains itself without end"),
    ({"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]}, "$.me.me: '#' contains itself"),
    ({"type": "object", "properties": {"a": {"if": {}}}, "required": ["a"]}, "$.a: the keyword 'if'"),
]


@pytest.mark.parametrize("schema", SATISFIABLE, ids=str)
def test_value_satisfies_its_schema(schema: Any) -> None:
    value = value_for(schema, param="response_format")

    jsonschema.Draft202012Validator(schema).validate(value)
    assert value_for(schema, param="response_format") == value


@pytest.mark.parametrize(("schema", "reason"), REFUSED, ids=lambda value: str(value)[:60])
def test_schema_that_can_not_be_satisfied_or_understood_is_refused_with_its_place(schema: Any, reason: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        value_for(schema, param="tools")

    assert reason in refused.value.message
    assert refused.value.param == "tools"


def test_deep_schema_is_refused() -> None:
    schema: Any = {"type": "integer"}
    for _ in range(300):
        schema = {"type": "array", "minItems": 1, "items": schema}

    with pytest.raises(UnsupportedError, match="nested too deep"):
        value_for(schema, param="response_format")


def test_schema_of_many_combinations_is_refused_after_a_bounded_effort() -> None:
    choices = {"anyOf": [{"minimum": number} for number in range(10)]}

    with pytest.raises(UnsupportedError, match="too much work"):
        value_for({"allOf": [choices] * 20, "type": "integer", "maximum": -1}, param="response_format")


def test_optional_properties_are_filled_where_they_can_be() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"$ref": "#"}, "c": {"not": {}}},
        "required": ["a"],
    }

    assert value_for(schema, param="response_format") == {"a": 0, "b": {"a": 0}}


SCALARS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("integer")},
        optional={"minimum": st.integers(-50, 0), "maximum": st.integers(0, 50), "multipleOf": st.integers(1, 9)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": st.integers(0, 9), "maxLength": st.integers(9, 20)}
    ),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": ["a", 1, None]}, {"const": [1, "x"]}]),
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 3), "maxItems": st.integers(3, 5)}
        ),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda parts: {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
    ),
    max_leaves=8,
)  # fmt: skip


@given(SCHEMAS)
def test_schemas_that_can_be_satisfied_are(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(value_for(schema, param="response_format"))


@given(
    SCHEMAS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-60, 60) | st.sampled_from(["a", "text", "x" * 12]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_check_agrees_with_an_independent_validator(schema: dict[str, Any], value: Any) -> None:
    assert satisfies(value, schema) == jsonschema.Draft202012Validator(schema).is_valid(value)
