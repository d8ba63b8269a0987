"""Requests for chat as arguments of Converse."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import ChatCompletionRequest
from hitchpost.errors import BadRequestError, HitchpostError, UnsupportedError
from hitchpost_bedrock.inference.chat_request import converse_arguments
from hitchpost_bedrock.inference.config import GuardrailFields, ModelSettings
from tests.fakes.bedrock.rules import check_conversation

CLAUDE = "us.anthropic.claude-sonnet-4-v1:0"
TOOL = {"tool_name": "lunge", "description": " ", "json_schema": {"type": "object", "properties": {}}}
USER = {"role": "user", "content": "Hi"}


def arguments(*messages: dict[str, Any], model: str = CLAUDE, **fields: Any) -> dict[str, Any]:
    request = ChatCompletionRequest.model_validate({"model_id": "m", "messages": messages or [USER], **fields})
    return converse_arguments(request, model, ModelSettings(), GuardrailFields(), streams=False)


def said(content: Any = "", *calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "stop_reason": "end_of_turn", "tool_calls": calls}


def call(call_id: str = "c1", given: Any = None) -> dict[str, Any]:
    return {"call_id": call_id, "tool_name": "lunge", "arguments": {"a": [1]} if given is None else given}


def result(call_id: str = "c1", content: Any = "done") -> dict[str, Any]:
    return {"role": "ipython", "call_id": call_id, "tool_name": "lunge", "content": content}


def test_what_was_not_said_is_not_sent() -> None:
    assert arguments() == {"modelId": CLAUDE, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


def test_instructions_stand_beside_the_conversation() -> None:
    sent = arguments({"role": "system", "content": "Be brief."}, USER, {"role": "system", "content": "Be kind."})

    assert sent["system"] == [{"text": "Be brief."}, {"text": "Be kind."}]
    assert len(sent["messages"]) == 1


def test_messages_of_one_role_in_a_row_become_one_and_blank_ones_none() -> None:
    sent = arguments(USER, said(" "), {"role": "user", "content": ["there", " "], "context": "known"})

    assert sent["messages"] == [{"role": "user", "content": [{"text": "Hi"}, {"text": "there"}, {"text": "known"}]}]


def test_results_of_parallel_calls_are_one_message_of_the_user_with_what_follows() -> None:
    history = [USER, said("", call("c1"), call("c2")), result("c1"), result("c2"), {"role": "user", "content": "so?"}]

    sent = arguments(*history, tools=[TOOL])

    assert sent["messages"][1]["content"][0] == {"toolUse": {"toolUseId": "c1", "name": "lunge", "input": {"a": [1]}}}
    assert sent["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "done"}]}},
        {"toolResult": {"toolUseId": "c2", "content": [{"text": "done"}]}},
        {"text": "so?"},
    ]


def test_ids_that_bedrock_does_not_take_are_replaced_alike_in_call_and_result() -> None:
    sent = arguments(USER, said("", call("an id: 1/2")), result("an id: 1/2"), tools=[TOOL])

    use, answered = sent["messages"][1]["content"][0], sent["messages"][2]["content"][0]
    assert use["toolUse"]["toolUseId"] == answered["toolResult"]["toolUseId"]
    assert answered["toolResult"]["toolUseId"].startswith("call_")


@pytest.mark.parametrize("fields", [{}, {"tools": [TOOL], "tool_choice": "none"}])
def test_calls_of_earlier_turns_are_text_where_none_may_be_made(fields: dict[str, Any]) -> None:
    sent = arguments(USER, said("", call()), result(), **fields)

    assert "toolConfig" not in sent
    assert sent["messages"][1]["content"] == [{"text": 'lunge({"a": [1]})'}]
    assert sent["messages"][2]["content"] == [{"text": "lunge answered:"}, {"text": "done"}]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("auto", None), ("required", {"any": {}}), ({"tool_name": "lunge"}, {"tool": {"name": "lunge"}})],
)
def test_choice_of_tools_is_translated(choice: Any, sent: Any) -> None:
    config = arguments(tools=[TOOL], tool_choice=choice)["toolConfig"]

    assert config["tools"] == [{"toolSpec": {"name": "lunge", "inputSchema": {"json": TOOL["json_schema"]}}}]
    assert config.get("toolChoice") == sent


def test_tools_that_llama_knows_by_name_get_their_schema() -> None:
    [tool] = arguments(tools=[{"tool_name": "brave_search"}])["toolConfig"]["tools"]

    assert tool["toolSpec"]["inputSchema"]["json"]["required"] == ["query"]


def test_sampling_is_sent_as_it_was_said() -> None:
    sampling = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": ["x"], "top_k": 3}

    sent = arguments(sampling_params=sampling)

    assert sent["inferenceConfig"] == {"maxTokens": 7, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]}
    assert sent["additionalModelRequestFields"] == {"top_k": 3}


def test_greedy_is_temperature_zero() -> None:
    assert arguments(sampling_params={"strategy": "greedy", "temperature": 3})["inferenceConfig"] == {"temperature": 0}


@pytest.mark.parametrize(
    ("model", "sent"),
    [("cohere.command-r-v1:0", {"k": 3}), ("amazon.nova-lite-v1:0", {"inferenceConfig": {"topK": 3}})],
)
def test_top_k_has_each_vendors_name(model: str, sent: dict[str, Any]) -> None:
    assert arguments(model=model, sampling_params={"top_k": 3})["additionalModelRequestFields"] == sent


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        ({"temperature": 1.5}, "temperature"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"top_k": 3}, "top_k"),
    ],
)
def test_sampling_that_can_not_be_said_is_unsupported_by_name(sampling: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedError) as failed:
        arguments(model="meta.llama3-1-8b-instruct-v1:0", sampling_params=sampling)

    assert failed.value.param == param


@pytest.mark.parametrize(
    "uri",
    ["https://example.com/a.png", "file:///etc/passwd", "data:image/svg+xml;base64,AAAA", "data:image/png,raw"],
)
def test_images_that_are_not_inline_are_unsupported(uri: str) -> None:
    with pytest.raises(UnsupportedError) as failed:
        arguments({"role": "user", "content": [{"image": {"uri": uri}}]})

    assert failed.value.param == "messages.0.content"


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        ([{"role": "user", "content": " "}], {}, "messages.0.content"),
        ([{"role": "system", "content": "x"}], {}, "messages"),
        ([said("I begin"), USER], {}, "messages"),
        ([{"role": "user", "content": [{"image": {"uri": "data:image/png;base64,?"}}]}], {}, "messages.0.content"),
        ([USER, said("", call(given="[1]"))], {"tools": [TOOL]}, "messages.1.tool_calls.0.arguments"),
        ([USER], {"tools": [{"tool_name": "a b"}]}, "tools.0.tool_name"),
        ([USER], {"tools": [TOOL], "tool_prompt_format": "python_list"}, "tool_prompt_format"),
    ],
)
def test_what_bedrock_can_not_be_told_is_refused_by_name(
    messages: list[dict[str, Any]], fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequestError) as failed:
        arguments(*messages, **fields)

    assert failed.value.param == param


CONTENTS = st.one_of(st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3))
MESSAGES = st.one_of(
    CONTENTS.map(lambda content: {"role": "user", "content": content}),
    CONTENTS.map(lambda content: {"role": "system", "content": content}),
    CONTENTS.map(said),
)


@given(st.lists(MESSAGES, min_size=1, max_size=8))
def test_what_is_sent_keeps_the_services_rules_or_is_refused_before(messages: list[dict[str, Any]]) -> None:
    try:
        sent = arguments(*messages)
    except HitchpostError as error:
        assert error.param  # noqa: PT017  (refused is as good as sent)
    else:
        check_conversation(sent)
