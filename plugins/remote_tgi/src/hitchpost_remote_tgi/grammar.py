"""The form of an answer, as TGI's `grammar`.

TGI constrains tokens by a JSON schema that has `properties`, or by a regular expression. It has no mode for "any JSON object", so that is a
regular expression here.
"""

from collections.abc import Mapping
from typing import Any

from hitchpost.api import GrammarResponseFormat, JsonSchemaResponseFormat, ResponseFormat
from hitchpost.errors import UnsupportedError

_STRING = r'"([^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"'
_SCALAR = rf"({_STRING}|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null)"
_KINDS_OF_OBJECTS = {"allOf", "anyOf", "oneOf", "enum", "const", "$ref", "patternProperties"}


def _object(value: str) -> str:
    pair = rf"{_STRING}: ?{value}"
    return rf"\{{({pair}(, ?{pair})*)?\}}"


_VALUE = rf"({_SCALAR}|\[({_SCALAR}(, ?{_SCALAR})*)?\]|{_object(_SCALAR)})"
ANY_OBJECT = _object(_VALUE)
"""Matches JSON objects whose values are scalars, or lists and objects of scalars: deeper ones are more than a server compiles quickly."""


def grammar(response_format: ResponseFormat) -> dict[str, Any]:
    """What `parameters.grammar` and `response_format` of TGI's two wires hold.

    Raises:
        UnsupportedError: a schema or a grammar that TGI has no way to follow.
    """
    if isinstance(response_format, GrammarResponseFormat):
        bnf = response_format.bnf
        if bnf.get("type") != "regex" or not isinstance(bnf.get("value"), str):
            raise UnsupportedError(
                'of grammars TGI follows regular expressions only, given as {"type": "regex", "value": PATTERN}',
                param="response_format",
            )
        return {"type": "regex", "value": bnf["value"]}
    if isinstance(response_format, JsonSchemaResponseFormat):
        schema = _inlined(response_format.json_schema)
        if "properties" in schema:
            return {"type": "json", "value": schema}
        if schema.get("type") != "object" or _KINDS_OF_OBJECTS & schema.keys():
            raise UnsupportedError(
                "TGI follows JSON schemas of objects that list their 'properties' at the top", param="response_format"
            )
    return {"type": "regex", "value": ANY_OBJECT}


def _inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with a reference at its top replaced by what it refers to; its definitions stay."""
    parts = str(schema.get("$ref", "")).split("/")
    if len(parts) != 3 or parts[0] != "#" or parts[1] not in ("$defs", "definitions"):
        return dict(schema)
    definitions = schema.get(parts[1])
    target = definitions.get(parts[2]) if isinstance(definitions, dict) else None
    if not isinstance(target, dict):
        return dict(schema)
    return {**{key: value for key, value in schema.items() if key != "$ref"}, **target}


__all__ = ["ANY_OBJECT", "grammar"]
