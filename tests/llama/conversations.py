"""Messages and tools for prompts."""

from datetime import date
from typing import Any

from hitchpost.api import (
    CompletionMessage,
    StopReason,
    SystemMessage,
    ToolCall,
    ToolDefinition,
    ToolParamDefinition,
    ToolResponseMessage,
    UserMessage,
)

TODAY = date(2024, 11, 20)

SEARCH = ToolDefinition(tool_name="brave_search")
CODE = ToolDefinition(tool_name="code_interpreter")
WEATHER = ToolDefinition(
    tool_name="get_weather",
    description="Get weather info for places",
    parameters={
        "city": ToolParamDefinition(param_type="string", description="The name of the city"),
        "metric": ToolParamDefinition(param_type="string", description="The metric", required=False, default="celsius"),
    },
)
WEATHER_BY_SCHEMA = ToolDefinition(
    tool_name="get_weather",
    description="Get weather info for places",
    json_schema={
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"], "default": "Rome"}, "any": True},
        "required": ["city"],
    },
)


def user(text: str, context: str | None = None) -> UserMessage:
    return UserMessage(content=text, context=context)


def system(text: str) -> SystemMessage:
    return SystemMessage(content=text)


def assistant(text: str, *calls: ToolCall, stop_reason: StopReason = StopReason.end_of_turn) -> CompletionMessage:
    return CompletionMessage(content=text, stop_reason=stop_reason, tool_calls=list(calls))


def call(name: str, arguments: dict[str, Any] | str) -> ToolCall:
    return ToolCall(call_id="call-0", tool_name=name, arguments_json=arguments)


def tool_response(text: str, name: str = "get_weather") -> ToolResponseMessage:
    return ToolResponseMessage(call_id="call-0", tool_name=name, content=text)
