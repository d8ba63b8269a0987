"""OpenAI's requests as Hitchpost's: pure functions, no host."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost import api
from hitchpost.host.body import parse_json_body
from hitchpost.host.openai import encode, translate, wire

USER = {"role": "user", "content": "hi"}


def chat_request(*messages: dict[str, Any], **fields: Any) -> api.ChatCompletionRequest:
    body = {"model": "m", "messages": list(messages) or [USER], **fields}
    return translate.to_chat_request(parse_json_body(wire.ChatCompletionRequest, json.dumps(body).encode()))


def call(id_: str = "c1", name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_what_was_not_said_stays_unsaid() -> None:
    sampling = chat_request().sampling_params

    said = {name: sampling.said(name) for name in ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")}
    assert set(said.values()) == {None}
    assert sampling.n == 1
    assert not sampling.is_greedy


def test_every_sampling_field_arrives() -> None:
    request = chat_request(
        temperature=0.5,
        top_p=0.9,
        top_k=7,
        repetition_penalty=1.1,
        max_tokens=5,
        stop="end",
        seed=3,
        n=2,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        logit_bias={"17": -100},
        logprobs=True,
        top_logprobs=3,
        parallel_tool_calls=False,
    )

    sampling = request.sampling_params
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.repetition_penalty) == (0.5, 0.9, 7, 1.1)
    assert (sampling.max_tokens, sampling.stop, sampling.seed, sampling.n) == (5, ["end"], 3, 2)
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.1, -0.1)
    assert sampling.logit_bias == {17: -100}
    assert request.logprobs == api.LogProbConfig(top_k=3)
    assert request.parallel_tool_calls is False


EVERYTHING: dict[str, Any] = {
    "temperature": 2,
    "top_p": 1,
    "top_k": 2**31 - 1,
    "repetition_penalty": 100,
    "max_tokens": 1,
    "stop": ["a", "b"],
    "seed": -(2**63),
    "n": 128,
    "presence_penalty": -2,
    "frequency_penalty": 2,
    "logit_bias": {"17": -100},
    "logprobs": True,
    "top_logprobs": 20,
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": True,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "stream": True,
}


@pytest.mark.parametrize(
    "fields", [{}, EVERYTHING, {"tool_choice": "none", "response_format": {"type": "json_object"}}]
)
def test_conversation_is_what_validation_would_have_made_of_it(fields: dict[str, Any]) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/horse.png"}}
    request = chat_request(
        {"role": "system", "content": [{"type": "text", "text": "be"}, {"type": "text", "text": "kind"}]},
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
        {"role": "assistant", "content": "hm", "tool_calls": [call(arguments='{"a": 1}')]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
        **fields,
    )

    validated = api.ChatCompletionRequest.model_validate(request.model_dump())

    assert request == validated
    assert request.model_fields_set <= validated.model_fields_set


@pytest.mark.parametrize("fields", [{}, {"echo": True, "temperature": 0}, {"logprobs": 5, "stop": "x", "n": 2}])
def test_prompt_is_what_validation_would_have_made_of_it(fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", "prompt": ["a", "b"], **fields}).encode()
    requests = translate.to_completion_requests(parse_json_body(wire.CompletionRequest, body))

    assert requests == [api.CompletionRequest.model_validate(request.model_dump()) for request in requests]


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
    ],
)
def test_either_name_of_the_token_limit_holds_and_the_newer_wins(fields: dict[str, Any], limit: int) -> None:
    assert chat_request(**fields).sampling_params.max_tokens == limit


def test_null_is_as_good_as_nothing() -> None:
    names = set(wire.ChatCompletionRequest.model_fields) - {"model", "messages"}

    assert chat_request(**dict.fromkeys(names)) == chat_request()


def test_conversation_with_tools_keeps_its_roles_and_names() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    request = chat_request(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call("c1", "look"), call("c2", "hear", "not json")]},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "a bell"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat"}, {"type": "refusal", "refusal": "!"}]},
    )  # fmt: skip

    system, user, calling, heard, seen, said = request.messages
    assert system == api.SystemMessage(content="Be brief.")
    assert isinstance(user, api.UserMessage)
    assert user.content == ["What is this?", api.ImageMedia(image=api.URL(uri="data:image/png;base64,AA"))]
    assert isinstance(calling, api.CompletionMessage)
    assert calling.stop_reason is api.StopReason.end_of_message
    assert [(one.call_id, one.tool_name, one.arguments_json) for one in calling.tool_calls] == [
        ("c1", "look", "{}"),
        ("c2", "hear", "not json"),
    ]
    assert heard == api.ToolResponseMessage(call_id="c2", tool_name="hear", content="a bell")
    assert seen == api.ToolResponseMessage(call_id="c1", tool_name="look", content="a cat")
    assert said == api.CompletionMessage(content="A cat!", stop_reason=api.StopReason.end_of_turn)


def test_tools_keep_their_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/x"}}, "additionalProperties": False}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}},
        {"type": "function", "function": {"name": "g"}},
    ]

    request = chat_request(tools=tools, tool_choice={"type": "function", "function": {"name": "g"}})

    assert request.tools is not None
    assert [tool.arguments_schema() for tool in request.tools] == [schema, {"type": "object", "properties": {}}]
    assert request.tools[0].strict is True
    assert request.tool_choice == api.NamedToolChoice(tool_name="g")


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_only_the_allowed_ones_of_the_tools_are_offered(mode: str) -> None:
    named = [{"type": "function", "function": {"name": name}} for name in ("f", "g", "h")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named[2], named[0]]}}

    request = chat_request(tools=named, tool_choice=choice)

    assert [tool.tool_name for tool in request.tools or ()] == ["f", "h"]
    assert request.tool_choice == api.ToolChoiceMode(mode)


@pytest.mark.parametrize(
    ("given_format", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, api.JsonObjectResponseFormat()),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "string"}}},
            api.JsonSchemaResponseFormat(json_schema={"type": "string"}),
        ),
    ],
)
def test_response_formats(given_format: Any, expected: Any) -> None:
    assert chat_request(response_format=given_format).response_format == expected


def test_only_text_as_modality_is_fine() -> None:
    assert chat_request(modalities=["text"]) == chat_request()


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), max_size=8), max_size=5))
def test_base64_embeddings_decode_to_the_same_floats(vectors: list[list[float]]) -> None:
    import base64
    import struct

    answer = encode.embeddings(api.EmbeddingsResponse(vectors), "m", as_base64=True)

    decoded = [base64.b64decode(str(entry["embedding"])) for entry in answer["data"]]
    assert [list(struct.unpack(f"<{len(raw) // 4}f", raw)) for raw in decoded] == vectors
