"""Tools that a model may call, and the calls it makes."""

import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_serializer

from hitchpost.api.wire_model import FewEntries, WireModel

# --- values ---


class BuiltinTool(StrEnum):
    """Tools that Llama models know by name, without a definition."""

    brave_search = "brave_search"
    wolfram_alpha = "wolfram_alpha"
    photogen = "photogen"
    code_interpreter = "code_interpreter"


ToolName = str
"""A name that equals one of `BuiltinTool` is that tool, any other is a custom tool."""


class ToolPromptFormat(StrEnum):
    """How custom tools are written into a Llama prompt."""

    json = "json"
    function_tag = "function_tag"
    python_list = "python_list"


class ToolChoiceMode(StrEnum):
    """Whether the model may (`auto`), must (`required`) or must not (`none`) call a tool."""

    auto = "auto"
    required = "required"
    none = "none"


class NamedToolChoice(WireModel):
    """The model must call this tool."""

    tool_name: ToolName


ToolChoice = ToolChoiceMode | NamedToolChoice

_JSON_TYPES = {
    "int": "integer",
    "str": "string",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}


class ToolParamDefinition(WireModel):
    """One parameter of a tool; `param_type` is free text such as `int`, `str` or `string`."""

    param_type: str
    description: str | None = None
    required: bool | None = True
    default: Any = None

    def json_schema(self) -> dict[str, Any]:
        """This parameter as a JSON schema; a `param_type` that isn't a type name says nothing about the type."""
        schema: dict[str, Any] = {}
        json_type = _JSON_TYPES.get(self.param_type, self.param_type)
        if json_type in {"integer", "string", "number", "boolean", "array", "object", "null"}:
            schema["type"] = json_type
        if self.description is not None:
            schema["description"] = self.description
        if self.default is not None:
            schema["default"] = self.default
        return schema


class ToolDefinition(WireModel):
    """A tool that the model may call.

    The native wire describes the arguments by `parameters`; `json_schema`, which OpenAI's callers give whole, wins where both are there.
    """

    tool_name: ToolName
    description: str | None = None
    parameters: Annotated[dict[str, ToolParamDefinition], FewEntries] | None = None
    json_schema: dict[str, Any] | None = None
    strict: bool | None = None

    def arguments_schema(self) -> dict[str, Any]:
        """JSON schema of the arguments object."""
        if self.json_schema is not None:
            return self.json_schema
        parameters = self.parameters or {}
        return {
            "type": "object",
            "properties": {name: parameter.json_schema() for name, parameter in parameters.items()},
            "required": [name for name, parameter in parameters.items() if parameter.required],
        }


def _json_text(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


class ToolCall(WireModel):
    """A call that a model made.

    `arguments_json` keeps the model's JSON text verbatim. On the wire the field is called `arguments` and holds an object.
    """

    call_id: str
    tool_name: ToolName
    arguments_json: Annotated[str, BeforeValidator(_json_text), Field(validation_alias="arguments")]

    def find_arguments(self) -> dict[str, Any] | None:
        """The parsed arguments, or None where the text isn't one JSON object. Empty text is an empty object."""
        try:
            arguments = json.loads(self.arguments_json or "{}")
        except (ValueError, RecursionError):
            return None
        return arguments if isinstance(arguments, dict) else None

    @model_serializer
    def wire_form(self) -> dict[str, Any]:
        """The call as the native wire writes it. Its clients can't read values nested deeper than one level, so these become JSON texts;
        arguments that can't be parsed stay the model's text."""
        arguments = self.find_arguments()
        written = self.arguments_json if arguments is None else shallow_arguments(arguments)
        return {"call_id": self.call_id, "tool_name": self.tool_name, "arguments": written}


def shallow_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments at most one level deep; what is nested deeper is a JSON text."""
    return {name: _shallow(value) for name, value in arguments.items()}


def _shallow(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _primitive(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_primitive(inner) for inner in value]
    return value


def _primitive(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


__all__ = [
    "BuiltinTool",
    "NamedToolChoice",
    "ToolCall",
    "ToolChoice",
    "ToolChoiceMode",
    "ToolDefinition",
    "ToolName",
    "ToolParamDefinition",
    "ToolPromptFormat",
    "shallow_arguments",
]
