"""What frameworks send beyond the plain form, each field as one of them writes it: nothing of it may change or break an answer."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.host.served import Answer, ServedHost, scripted_config, served

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT = "/v1/chat/completions"
CITY = {"properties": {"city": {"title": "City", "type": "string"}}, "required": ["city"], "title": "args"}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "get_weather(city: str) -> str",
        "parameters": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", **CITY},
        "strict": False,
    },
}
OTHER_TOOL = {"type": "function", "function": {"name": "other"}}
ONLY_OTHER = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [OTHER_TOOL]}}
CALLS = [
    {"type": "function", "id": f"call_{city}", "function": {"name": "get_weather", "arguments": f'{{"city":"{city}"}}'}}
    for city in ("Oslo", "Rome")
]
RESULTS = [{"role": "tool", "tool_call_id": call["id"], "content": "12"} for call in CALLS]
PERSON = {
    "$defs": {"Person": {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}},
    "type": "object",
    "properties": {"people": {"type": "array", "items": {"$ref": "#/$defs/Person"}, "title": "People"}},
    "required": ["people"],
    "additionalProperties": False,
}

SCRIPT: list[dict[str, Any]] = [
    {"when": "both", "tool_calls": [{"name": "get_weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")]},
    {"to": "tool", "when": "(?P<degrees>\\d+)", "text": "It has $degrees degrees."},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weather_host() -> AsyncIterator[ServedHost]:
    """A host whose model `m` asks for the weather of two cities, and tells what it was told."""
    async with served(scripted_config(SCRIPT)) as running:
        yield running


def said(answer: Answer) -> dict[str, Any]:
    """The message of a whole or a streamed answer: its text and its calls."""
    if not answer.text.startswith("data:"):
        message = answer.json["choices"][0]["message"]
        calls = message.get("tool_calls", [])
        return {"content": message["content"] or "", "calls": [call["function"] for call in calls]}
    assert answer.events[-1] == "[DONE]"
    told: dict[str, Any] = {"content": "", "calls": []}
    for delta in [choice["delta"] for event in answer.events[:-1] for choice in event["choices"]]:
        told["content"] += delta.get("content") or ""
        for piece in delta.get("tool_calls", []):
            if "id" in piece:
                told["calls"].append({"name": piece["function"]["name"], "arguments": ""})
            told["calls"][piece["index"]]["arguments"] += piece["function"]["arguments"]
    return told


def asked(text: str = "hello", **message: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **message}


ANSWERED_TOOLS = {"content": "It has 12 degrees.", "calls": []}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            {"messages": [asked("both", name="user")], "tools": [TOOL, OTHER_TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
            {"content": "", "calls": [call["function"] for call in CALLS]},
            id="parallel calls",
        ),
        pytest.param(
            {"messages": [asked("both")], "tools": [TOOL, OTHER_TOOL], "parallel_tool_calls": False},
            {"content": "", "calls": [CALLS[0]["function"]]},
            id="one call at a time",
        ),
        pytest.param(
            {"messages": [asked("both")], "tools": [TOOL, OTHER_TOOL], "tool_choice": ONLY_OTHER},
            {"content": "both", "calls": []},
            id="a tool that is not allowed now",
        ),
        pytest.param(
            {"messages": [asked("both"), {"role": "assistant", "tool_calls": CALLS}, *RESULTS], "tools": [TOOL]},
            ANSWERED_TOOLS,
            id="calls without content",
        ),
        pytest.param(
            {"messages": [asked("both"), {"role": "assistant", "content": "", "tool_calls": CALLS, "refusal": None, "audio": None,
                                          "annotations": [], "function_call": None, "reasoning_content": "Hm."}, *reversed(RESULTS)]},
            ANSWERED_TOOLS,
            id="the message of an answer sent back, and no tools any more",
        ),
        pytest.param(
            {"messages": [{"role": "developer", "content": [{"type": "text", "text": "Be nice.", "cache_control": {"type": "ephemeral"}}]},
                          asked("", content=[{"type": "text", "text": "hello"}])]},
            {"content": "hello", "calls": []},
            id="parts with marks of other services",
        ),
        pytest.param(
            {"messages": [asked()], "store": True, "metadata": {"a": "b"}, "user": "me", "service_tier": "auto", "reasoning_effort": "low",
             "verbosity": "low", "modalities": ["text"], "prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s",
             "max_completion_tokens": 9, "chat_template_kwargs": {"enable_thinking": False}, "unheard_of": {"a": [1]}},
            {"content": "hello", "calls": []},
            id="fields that mean nothing here",
        ),
        pytest.param(
            {"messages": [asked()], "prediction": None, "audio": None, "functions": None, "function_call": None, "web_search_options": None,
             "logit_bias": {}, "stop": [], "tools": [], "tool_choice": "none", "parallel_tool_calls": True, "presence_penalty": 0,
             "frequency_penalty": 0.0, "top_p": 1, "n": 1, "logprobs": False, "top_logprobs": 0, "response_format": {"type": "text"}},
            {"content": "hello", "calls": []},
            id="defaults, spelt out",
        ),
    ],
)  # fmt: skip
async def test_request_is_answered_as_if_it_were_plain(
    body: dict[str, Any], expected: dict[str, Any], stream: bool, weather_host: ServedHost
) -> None:
    answer = await weather_host.post(CHAT, {"model": "m", "stream": stream, **body})

    assert answer.status == 200, answer.text
    told = said(answer)
    assert told["content"] == expected["content"]
    assert [(call["name"], json.loads(call["arguments"])) for call in told["calls"]] == [
        (call["name"], json.loads(call["arguments"])) for call in expected["calls"]
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_schema_with_titles_definitions_and_a_dialect_is_followed(stream: bool, weather_host: ServedHost) -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **PERSON}
    form = {"type": "json_schema", "json_schema": {"schema": schema, "name": "response", "strict": True, "description": "x"}}  # fmt: skip

    answer = await weather_host.post(
        CHAT, {"model": "m", "messages": [asked()], "stream": stream, "response_format": form}
    )

    assert [type(person["age"]) for person in json.loads(said(answer)["content"])["people"]] == [int]
