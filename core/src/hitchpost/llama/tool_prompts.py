"""How tools are described to a Llama model.

The instruction sentences are those of the prompt format documents that were published with Llama 3.1 and 3.2; the models were trained on
them, their grammar included.
"""

import json
from collections.abc import Sequence
from typing import Any

from hitchpost.api import (
    BuiltinTool,
    NamedToolChoice,
    ToolChoice,
    ToolChoiceMode,
    ToolDefinition,
    ToolParamDefinition,
    ToolPromptFormat,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.llama.catalogue import LlamaFamily

_JSON_BEGIN = """\
Answer the user's question by making use of the following functions if needed.
If none of the function can be used, please say so.
Here is a list of functions in JSON format:
"""
_JSON_END = "\nReturn function calls in JSON format."

_FUNCTION_TAG_BEGIN = "You have access to the following functions:\n\n"
_FUNCTION_TAG_END = """\
Think very carefully before calling functions.
If you choose to call a function ONLY reply in the following format with no prefix or suffix:

<function=example_function_name>{"example_name": "example_value"}</function>

Reminder:
- If looking for real time information use relevant functions before falling back to brave_search
- Function calls MUST follow the specified format, start with <function= and end with </function>
- Required parameters MUST be specified
- Only call one function at a time
- Put the entire function call reply on one line"""

_PYTHON_LIST_BEGIN = """\
You are an expert in composing functions. You are given a question and a set of possible functions.
Based on the question, you will need to make one or more function/tool calls to achieve the purpose.
If none of the function can be used, point it out. If the given question lacks the parameters required by the function,
also point it out. You should only return the function call in tools call sections.

If you decide to invoke any of the function(s), you MUST put it in the format of \
[func_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)]
You SHOULD NOT include any other text in the response.

Here is a list of functions in JSON format that you can invoke.

"""


def is_builtin(tool: ToolDefinition) -> bool:
    """Whether the model knows the tool by its name."""
    return tool.tool_name in set(BuiltinTool)


def tool_prompt_format_for(family: LlamaFamily, asked: ToolPromptFormat | None) -> ToolPromptFormat:
    """The format for custom tools: the one asked for, or the family's own.

    Raises:
        BadRequestError: the family doesn't understand the one asked for.
        UnsupportedError: the family knows no tools.
    """
    understood = family.tool_prompt_formats
    if not understood:
        raise UnsupportedError(f"models of the family {family} were not trained to call tools", param="tools")
    if asked is not None and asked not in understood:
        names = " or ".join(f"'{one}'" for one in understood)
        raise BadRequestError(
            f"tool_prompt_format '{asked}' is none that models of the family {family} understand; use {names}, or leave it out",
            param="tool_prompt_format",
        )
    return asked or understood[0]


def builtin_tools_lines(tools: Sequence[ToolDefinition]) -> list[str]:
    """The two lines of the system message that switch tools on; the code interpreter needs only the first."""
    names = [tool.tool_name for tool in tools if is_builtin(tool) and tool.tool_name != BuiltinTool.code_interpreter]
    return ["Environment: ipython", f"Tools: {', '.join(names)}" if names else ""]


def custom_tools_prompt(tools: Sequence[ToolDefinition], tool_prompt_format: ToolPromptFormat) -> str:
    """Instructions and definitions of custom tools, as the models were trained to read them.

    A tool that says its arguments by a whole JSON schema shows that, in the layout of the format.
    """
    if tool_prompt_format is ToolPromptFormat.json:
        listed = "".join(json.dumps(_json_tool(tool), indent=4, ensure_ascii=False) + "\n" for tool in tools)
        return _JSON_BEGIN + listed + _JSON_END
    if tool_prompt_format is ToolPromptFormat.function_tag:
        return _FUNCTION_TAG_BEGIN + "".join(_function_tag_tool(tool) for tool in tools) + _FUNCTION_TAG_END
    return _PYTHON_LIST_BEGIN + json.dumps([_python_list_tool(tool) for tool in tools], indent=4, ensure_ascii=False)


def tool_choice_lines(tool_choice: ToolChoice | None, tools: Sequence[ToolDefinition]) -> list[str]:
    """What tells the model that it must call a tool; nothing where it may choose.

    Raises:
        BadRequestError: it must call one that it doesn't have.
    """
    if isinstance(tool_choice, NamedToolChoice):
        name = tool_choice.tool_name
        if name not in {tool.tool_name for tool in tools}:
            raise BadRequestError(
                f"tool_choice names the tool '{name}', which is not among the tools", param="tool_choice"
            )
        return [f"You must answer by calling the function '{name}'."]
    if tool_choice is ToolChoiceMode.required:
        if not tools:
            raise BadRequestError("tool_choice is 'required', but there are no tools", param="tool_choice")
        return ["You must answer by calling at least one of the functions that you have."]
    return []


def _json_tool(tool: ToolDefinition) -> dict[str, Any]:
    # Published so: an array of properties with one key each, all of type object, whatever they really are.
    parameters: dict[str, Any] = tool.json_schema or {
        "type": "object",
        "properties": [
            {name: {"type": "object", "description": parameter.description or ""}}
            for name, parameter in (tool.parameters or {}).items()
        ],
        "required": _required(tool),
    }
    function = {"name": tool.tool_name, "description": tool.description or "", "parameters": parameters}
    return {"type": "function", "function": function}


def _function_tag_tool(tool: ToolDefinition) -> str:
    parameters = {
        name: {"param_type" if key == "type" else key: value for key, value in schema.items() if key != "default"}
        | {"required": name in _required(tool)}
        for name, schema in _properties(tool).items()
    }
    function = {"name": tool.tool_name, "description": tool.description or ""}
    listed = json.dumps(parameters, sort_keys=True, ensure_ascii=False)
    purpose = f" to '{tool.description}'" if tool.description else ""
    head = json.dumps(function, ensure_ascii=False)[:-1]
    return f"Use the function '{tool.tool_name}'{purpose}:\n{head}, \"parameters\": {listed}}}\n\n"


def _python_list_tool(tool: ToolDefinition) -> dict[str, Any]:
    schema = tool.json_schema or {}
    definitions = {key: value for key, value in schema.items() if key in {"$defs", "definitions"}}
    parameters: dict[str, Any] = {
        "type": "dict",
        "required": _required(tool),
        "properties": _properties(tool),
        **definitions,
    }
    return {"name": tool.tool_name, "description": tool.description or "", "parameters": parameters}


def _properties(tool: ToolDefinition) -> dict[str, dict[str, Any]]:
    if tool.json_schema is None:
        return {name: _property(parameter) for name, parameter in (tool.parameters or {}).items()}
    properties = tool.json_schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    # `true` is a schema too; it allows anything.
    return {str(name): schema if isinstance(schema, dict) else {} for name, schema in properties.items()}


def _property(parameter: ToolParamDefinition) -> dict[str, Any]:
    shown = {"type": parameter.param_type, "description": parameter.description or ""}
    return shown if parameter.default is None else {**shown, "default": parameter.default}


def _required(tool: ToolDefinition) -> list[str]:
    if tool.json_schema is None:
        return [name for name, parameter in (tool.parameters or {}).items() if parameter.required]
    required = tool.json_schema.get("required")
    return required if isinstance(required, list) else []


__all__ = [
    "builtin_tools_lines",
    "custom_tools_prompt",
    "is_builtin",
    "tool_choice_lines",
    "tool_prompt_format_for",
]
