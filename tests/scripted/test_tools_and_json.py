"""Tool calls and JSON of `inline::scripted`."""

import json
from typing import Any

import pytest

from hitchpost.api import (
    Finish,
    FinishReason,
    RequestContext,
    ToolCallStart,
)
from hitchpost.errors import (
    BadRequestError,
    UnsupportedError,
)
from tests.scripted.conftest import MakeProvider
from tests.scripted.requests import CALL_RULE, TIME, WEATHER, arguments, chat, collected

# --- tools ---


async def test_rule_calls_a_tool_that_is_offered(scripted_provider: MakeProvider, context: RequestContext) -> None:
    provider = scripted_provider(script=[CALL_RULE])

    events = await collected(provider.stream_chat_completion(chat("weather in Oslo?", tools=[WEATHER]), context))

    assert [event for event in events if isinstance(event, ToolCallStart)] == [
        ToolCallStart(0, "call_1_0_0", "get_weather")
    ]
    assert json.loads(arguments(events)) == {"city": "Oslo", "days": 1}
    assert events[-1] == Finish(FinishReason.tool_calls)


@pytest.mark.parametrize("fields", [{}, {"tools": [TIME]}, {"tools": [WEATHER], "tool_choice": "none"}])
async def test_rule_is_passed_over_where_its_tool_may_not_be_called(
    fields: dict[str, Any], scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[CALL_RULE, {"text": "I can't."}])

    answer = await provider.chat_completion(chat("weather in Oslo", **fields), context)

    assert (answer.choices[0].text, answer.choices[0].tool_calls) == ("I can't.", [])


@pytest.mark.parametrize(
    ("choice", "called", "called_with"),
    [
        ("required", "get_time", {"zone": "text"}),
        ({"tool_name": "get_weather"}, "get_weather", {"city": "text", "days": 1}),
    ],
)
async def test_demanded_call_is_made_with_arguments_that_satisfy_its_schema(
    choice: Any, called: str, called_with: dict[str, Any], scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"text": "I'd rather talk."}])

    answer = await provider.chat_completion(chat("go", tools=[TIME, WEATHER], tool_choice=choice), context)

    [call] = answer.choices[0].tool_calls
    assert (call.tool_name, call.find_arguments()) == (called, called_with)
    assert answer.choices[0].text == ""


async def test_named_tool_that_is_not_offered_is_refused(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    with pytest.raises(BadRequestError, match="'get_weather', which tools does not have") as refused:
        await scripted_provider().chat_completion(
            chat("go", tools=[TIME], tool_choice={"tool_name": "get_weather"}), context
        )

    assert refused.value.param == "tool_choice"


async def test_only_the_first_call_is_made_where_parallel_calls_are_forbidden(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"tool_calls": [{"name": "get_weather"}, {"name": "get_time"}]}])
    tools = [WEATHER, TIME]

    both = await provider.chat_completion(chat("go", tools=tools), context)
    one = await provider.chat_completion(chat("go", tools=tools, parallel_tool_calls=False), context)

    assert [call.tool_name for call in both.choices[0].tool_calls] == ["get_weather", "get_time"]
    assert [call.tool_name for call in one.choices[0].tool_calls] == ["get_weather"]


async def test_script_can_call_with_arguments_that_are_no_json(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"tool_calls": [{"name": "get_weather", "arguments": "{city: "}]}])

    answer = await provider.chat_completion(chat("go", tools=[WEATHER]), context)

    [call] = answer.choices[0].tool_calls
    assert (call.arguments_json, call.find_arguments()) == ("{city: ", None)


async def test_limit_cuts_a_call_in_its_arguments(scripted_provider: MakeProvider, context: RequestContext) -> None:
    request = chat("weather in Oslo", tools=[WEATHER], sampling_params={"max_tokens": 2})

    answer = await scripted_provider(script=[CALL_RULE]).chat_completion(request, context)

    assert answer.choices[0].finish_reason is FinishReason.length
    assert answer.choices[0].tool_calls[0].arguments_json == '{"city":'


# --- JSON ---


async def test_answer_satisfies_the_schema_that_is_demanded(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    form = {"type": "json_schema", "json_schema": WEATHER["json_schema"]}

    answer = await scripted_provider().chat_completion(chat("go", response_format=form), context)

    assert json.loads(answer.choices[0].text) == {"city": "text", "days": 1}


async def test_json_of_the_script_is_used_where_it_satisfies_the_schema(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    form = {"type": "json_schema", "json_schema": WEATHER["json_schema"]}
    provider = scripted_provider(
        script=[{"when": "Oslo", "text": '{"city": "Oslo", "days": 3}'}, {"text": '{"city": 1}'}]
    )

    fitting = await provider.chat_completion(chat("Oslo", response_format=form), context)
    unfitting = await provider.chat_completion(chat("Rome", response_format=form), context)

    assert json.loads(fitting.choices[0].text) == {"city": "Oslo", "days": 3}
    assert json.loads(unfitting.choices[0].text) == {"city": "text", "days": 1}


async def test_any_json_object_is_demanded_and_made(scripted_provider: MakeProvider, context: RequestContext) -> None:
    answer = await scripted_provider().chat_completion(
        chat("hello", response_format={"type": "json_object"}, sampling_params={"n": 2}), context
    )

    assert [json.loads(choice.text) for choice in answer.choices] == [{"answer": "hello"}] * 2


async def test_schema_that_is_not_understood_is_unsupported(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    form = {"type": "json_schema", "json_schema": {"type": "string", "not": {"const": "a"}}}

    with pytest.raises(UnsupportedError, match="keyword 'not'") as refused:
        await scripted_provider().chat_completion(chat("go", response_format=form), context)

    assert refused.value.param == "response_format"
