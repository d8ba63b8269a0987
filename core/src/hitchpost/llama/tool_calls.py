"""Tool calls, written back into a prompt the way the model wrote them."""

import json
from collections.abc import Sequence

from hitchpost.api import BuiltinTool, ToolCall, ToolPromptFormat
from hitchpost.llama.python_arguments import find_python_arguments
from hitchpost.llama.tool_call_parser import QUERY_TOOLS


def encode_tool_calls(calls: Sequence[ToolCall], tool_prompt_format: ToolPromptFormat) -> str:
    """The text of the calls of one message, without the `<|python_tag|>` in front.

    Calls of the built-in tools have their own forms whatever the format, where their arguments are as the tool wants them. A call that the
    format can't express, such as one whose arguments aren't JSON, is written in the format `json`.
    """
    if tool_prompt_format is ToolPromptFormat.python_list:
        items = [_python_call(call) for call in calls if _find_builtin_call(call) is None]
        if len(items) == len(calls) and None not in items:
            return f"[{', '.join(item for item in items if item is not None)}]"
    return "\n".join(_find_builtin_call(call) or _custom_call(call, tool_prompt_format) for call in calls)


def _find_builtin_call(call: ToolCall) -> str | None:
    arguments = call.find_arguments() or {}
    if call.tool_name in QUERY_TOOLS and arguments.keys() == {"query"} and isinstance(arguments["query"], str):
        return f"{call.tool_name}.call(query={json.dumps(arguments['query'], ensure_ascii=False)})"
    if call.tool_name == BuiltinTool.code_interpreter and arguments.keys() == {"code"}:
        code = arguments["code"]
        return code if isinstance(code, str) else None
    return None


def _custom_call(call: ToolCall, tool_prompt_format: ToolPromptFormat) -> str:
    arguments_json = call.arguments_json.strip() or "{}"
    if tool_prompt_format is ToolPromptFormat.function_tag and not {"<", ">"} & set(call.tool_name):
        return f"<function={call.tool_name}>{arguments_json}</function>"
    if tool_prompt_format is ToolPromptFormat.python_list and (python_call := _python_call(call)) is not None:
        return f"[{python_call}]"
    name = json.dumps(call.tool_name, ensure_ascii=False)
    return f'{{"type": "function", "name": {name}, "parameters": {arguments_json}}}'


def _python_call(call: ToolCall) -> str | None:
    arguments = call.find_arguments()
    if arguments is None or (text := find_python_arguments(arguments)) is None:
        return None
    return f"{call.tool_name}({text})"


__all__ = ["encode_tool_calls"]
