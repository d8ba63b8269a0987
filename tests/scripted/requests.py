"""Requests as a surface makes them, and what is read off the answers, written short."""

from collections.abc import AsyncIterator
from typing import Any

from hitchpost.api import ChatCompletionRequest, CompletionRequest, InferenceEvent, TextDelta, ToolCallDelta
from hitchpost.scripted.provider import ScriptedInference

WEATHER = {
    "tool_name": "get_weather",
    "json_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city", "days"],
    },
}
TIME = {"tool_name": "get_time", "parameters": {"zone": {"param_type": "str"}}}
CALL_RULE = {
    "when": r"weather in (?P<city>\w+)",
    "tool_calls": [{"name": "get_weather", "arguments": {"city": "$city", "days": 1}}],
}


def chat(*messages: str | dict[str, Any], **fields: Any) -> ChatCompletionRequest:
    """A conversation; a text is a message of the user."""
    listed = [message if isinstance(message, dict) else {"role": "user", "content": message} for message in messages]
    return ChatCompletionRequest.model_validate({"model_id": "scripted", "messages": listed, **fields})


def completion(prompt: str, **fields: Any) -> CompletionRequest:
    return CompletionRequest.model_validate({"model_id": "scripted", "content": prompt, **fields})


def tool_result(text: str) -> dict[str, Any]:
    return {"role": "ipython", "call_id": "call_1_0_0", "tool_name": "get_weather", "content": text}


def texts(events: list[InferenceEvent], choice: int = 0) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDelta) and event.choice == choice]


def arguments(events: list[InferenceEvent]) -> str:
    return "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))


async def collected(stream: AsyncIterator[InferenceEvent]) -> list[InferenceEvent]:
    return [event async for event in stream]


def figures(provider: ScriptedInference) -> dict[str, float]:
    """The provider's metrics by name."""
    return {metric.name: metric.value for metric in provider.metrics()}
