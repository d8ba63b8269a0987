import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import to_json

from hitchpost.api import ToolCall, ToolDefinition, ToolParamDefinition


def call(arguments: Any) -> ToolCall:
    return ToolCall.model_validate({"call_id": "1", "tool_name": "f", "arguments": arguments})


@pytest.mark.parametrize(
    "text", ['{"a":1}', '{ "a" : 1.0 }', "{not json", "", "[1]", '{"a": 1e400}', '{"é": "\\u00e9"}']
)
def test_arguments_that_come_as_text_are_kept_word_for_word(text: str) -> None:
    assert call(text).arguments_json == text


def test_arguments_that_come_as_an_object_become_its_text() -> None:
    assert call({"a": [1, None, {"b": "é"}]}).arguments_json == '{"a": [1, null, {"b": "é"}]}'


@pytest.mark.parametrize("arguments", [None, 7, ["a"], True])
def test_other_arguments_are_refused_at_their_wire_name(arguments: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        call(arguments)

    assert refused.value.errors()[0]["loc"] == ("arguments",)


def test_field_may_be_filled_by_its_own_name() -> None:
    assert ToolCall(call_id="1", tool_name="f", arguments_json="{}").arguments_json == "{}"


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("{}", {}),
        ("[1]", None),
        ("null", None),
        ('"text"', None),
        ("{", None),
        ('{"a": 1} more', None),
        ("[" * 100_000, None),
        ('{"a":' * 100_000, None),
        ('{"a": ' + "9" * 5000 + "}", None),
    ],
)
def test_arguments_are_read_or_said_to_be_unreadable(text: str, arguments: Any) -> None:
    assert call(text).find_arguments() == arguments


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_arguments_given_as_an_object_are_found_again(arguments: dict[str, Any]) -> None:
    assert call(arguments).find_arguments() == arguments
    assert call(json.dumps(arguments)).find_arguments() == arguments


# --- definitions ---


def test_parameters_become_a_schema() -> None:
    definition = ToolDefinition.model_validate(
        {
            "tool_name": "f",
            "parameters": {
                "city": {"param_type": "str", "description": "where"},
                "days": {"param_type": "int", "required": False, "default": 3},
                "odd": {"param_type": "list[str]", "required": None},
            },
        }
    )

    assert definition.arguments_schema() == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "where"},
            "days": {"type": "integer", "default": 3},
            "odd": {},
        },
        "required": ["city"],
    }


@pytest.mark.parametrize(
    ("param_type", "json_type"),
    [
        ("float", "number"),
        ("double", "number"),
        ("bool", "boolean"),
        ("dict", "object"),
        ("list", "array"),
        ("string", "string"),
        ("null", "null"),
    ],
)
def test_names_of_types_are_understood(param_type: str, json_type: str) -> None:
    assert ToolParamDefinition(param_type=param_type).json_schema() == {"type": json_type}


def test_whole_schema_wins_over_parameters() -> None:
    schema = {"type": "object", "additionalProperties": False}
    definition = ToolDefinition(
        tool_name="f", json_schema=schema, parameters={"a": ToolParamDefinition(param_type="int")}
    )

    assert definition.arguments_schema() == schema


def test_tool_without_parameters_takes_an_empty_object() -> None:
    assert ToolDefinition(tool_name="brave_search").arguments_schema() == {
        "type": "object",
        "properties": {},
        "required": [],
    }


# --- calls on the wire ---


@given(
    st.one_of(st.text(), st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), JSON).map(json.dumps))
)
def test_call_that_is_written_is_read_again(arguments: Any) -> None:
    written = to_json(call(arguments), inf_nan_mode="null")

    again = ToolCall.model_validate_json(written)

    assert to_json(again, inf_nan_mode="null") == written
    assert (again.find_arguments() is None) == (call(arguments).find_arguments() is None)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_arguments_are_written_at_most_one_level_deep_with_what_is_deeper_as_text(arguments: dict[str, Any]) -> None:
    written = call(arguments).model_dump()["arguments"]

    inner = [one for value in written.values() for one in (value.values() if isinstance(value, dict) else [value])]
    inner = [one for value in inner for one in (value if isinstance(value, list) else [value])]
    assert not [one for one in inner if isinstance(one, dict | list)]
    assert {name: unfolded(value, arguments[name]) for name, value in written.items()} == arguments


def unfolded(written: Any, meant: Any) -> Any:
    """What was written, with texts read where a list or an object was meant."""
    if isinstance(written, str) and isinstance(meant, dict | list):
        return json.loads(written)
    if isinstance(written, dict):
        return {key: unfolded(value, meant[key]) for key, value in written.items()}
    if isinstance(written, list):
        return [unfolded(value, inner) for value, inner in zip(written, meant, strict=True)]
    return written


@pytest.mark.parametrize("text", ["{not json", "[1]", "null", '"text"'])
def test_arguments_that_nobody_can_read_stay_the_text_of_the_model(text: str) -> None:
    assert call(text).model_dump() == {"call_id": "1", "tool_name": "f", "arguments": text}
