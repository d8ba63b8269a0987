"""Forms of answers, as the server's grammars."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import GrammarResponseFormat, JsonObjectResponseFormat, JsonSchemaResponseFormat
from hitchpost.errors import UnsupportedError
from hitchpost_remote_tgi.grammar import ANY_OBJECT, grammar

PERSON = {"type": "object", "properties": {"name": {"type": "string"}}}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(), SCALARS, max_size=3)


def test_schema_of_an_object_goes_as_it_is() -> None:
    assert grammar(JsonSchemaResponseFormat(json_schema=PERSON)) == {"type": "json", "value": PERSON}


@pytest.mark.parametrize("where", ["$defs", "definitions"])
def test_schema_that_refers_to_its_definitions_gets_properties_at_its_top(where: str) -> None:
    schema = {"$ref": f"#/{where}/Person", where: {"Person": PERSON}}

    assert grammar(JsonSchemaResponseFormat(json_schema=schema))["value"] == {**PERSON, where: {"Person": PERSON}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [PERSON, {"type": "string"}]},
        {"type": "object", "anyOf": [PERSON]},
        {"type": "string"},
        {},
        {"$ref": "#/$defs/Gone", "$defs": {}},
        {"$ref": "https://example.com/schema.json"},
    ],
    ids=str,
)
def test_schema_that_the_server_can_not_follow_is_unsupported(schema: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="properties") as refused:
        grammar(JsonSchemaResponseFormat(json_schema=schema))

    assert refused.value.param == "response_format"


def test_schema_of_any_object_and_json_object_are_one_regular_expression() -> None:
    wanted = {"type": "regex", "value": ANY_OBJECT}

    assert grammar(JsonObjectResponseFormat()) == wanted
    assert grammar(JsonSchemaResponseFormat(json_schema={"type": "object"})) == wanted


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.sampled_from([(", ", ": "), (",", ":")]))
def test_any_object_of_scalars_lists_and_objects_matches(value: dict[str, Any], separators: tuple[str, str]) -> None:
    assert re.fullmatch(ANY_OBJECT, json.dumps(value, separators=separators))


@given(st.from_regex(ANY_OBJECT, fullmatch=True))
def test_what_matches_is_a_json_object(text: str) -> None:
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a"}', '{"a":1,}', '{"a":01}', '{"a":{"b":{"c":{}}}}', '{"a":1} '])
def test_what_is_no_such_object_does_not_match(text: str) -> None:
    assert not re.fullmatch(ANY_OBJECT, text)


def test_regular_expression_goes_as_it_is() -> None:
    bnf = {"type": "regex", "value": "yes|no"}

    assert grammar(GrammarResponseFormat(bnf=bnf)) == bnf


@pytest.mark.parametrize("bnf", [{}, {"root": "yes"}, {"type": "regex"}, {"type": "gbnf", "value": "x"}], ids=str)
def test_other_grammars_are_unsupported(bnf: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="regular expressions"):
        grammar(GrammarResponseFormat(bnf=bnf))
