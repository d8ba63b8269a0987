from typing import Any

import pytest

from hitchpost.api import Capability, ChatCompletionRequest, CompletionRequest, EmbeddingsRequest, needed_capabilities

IMAGE = {"image": {"uri": "https://example.org/a.png"}}
TOOLS = [{"tool_name": "f"}]


def chat(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate(
        {"model_id": "m", "messages": [{"role": "user", "content": "a"}], **fields}
    )


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, []),
        ({"tools": []}, []),
        ({"tools": TOOLS}, [("tools", "tools")]),
        ({"tools": TOOLS, "tool_choice": "none"}, [("tools", "tools")]),
        ({"tools": TOOLS, "tool_choice": "required"}, [("tools", "tools"), ("tool_choice", "tool_choice")]),
        ({"tools": TOOLS, "tool_choice": {"tool_name": "f"}}, [("tools", "tools"), ("tool_choice", "tool_choice")]),
        ({"tool_choice": "required"}, []),
        ({"parallel_tool_calls": True}, []),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, [("json_schema", "response_format")]),
        ({"response_format": {"type": "json_object"}}, [("json_schema", "response_format")]),
        ({"response_format": {"type": "grammar", "bnf": {}}}, [("grammar", "response_format")]),
        ({"logprobs": {}}, [("logprobs", "logprobs")]),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, [("vision", "messages")]),
        ({"messages": [{"role": "user", "content": "a", "context": IMAGE}]}, [("vision", "messages")]),
        ({"sampling_params": {"seed": 0}}, [("seed", "seed")]),
        ({"sampling_params": {"stop": ["a"]}}, [("stop", "stop")]),
        ({"sampling_params": {"stop": []}}, []),
        ({"sampling_params": {"n": 2}}, [("n", "n")]),
        ({"sampling_params": {"presence_penalty": 1}}, [("penalties", "presence_penalty")]),
        ({"sampling_params": {"frequency_penalty": -1}}, [("penalties", "frequency_penalty")]),
        ({"sampling_params": {"logit_bias": {"1": 1}}}, [("logit_bias", "logit_bias")]),
        ({"sampling_params": {"logit_bias": {}}}, []),
        (
            {"sampling_params": {"temperature": 1, "top_p": 0.5, "top_k": 3, "max_tokens": 5, "repetition_penalty": 2}},
            [],
        ),
    ],
)
def test_each_field_asks_for_its_capability(fields: dict[str, Any], needed: list[tuple[str, str]]) -> None:
    assert list(needed_capabilities(chat(**fields))) == [("chat", "model"), *needed]


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (CompletionRequest(model_id="m", content="a"), [("completion", "model")]),
        (CompletionRequest(model_id="m", content="a", echo=True), [("completion", "model")]),
        (
            CompletionRequest.model_validate({"model_id": "m", "content": ["a", IMAGE]}),
            [("completion", "model"), ("vision", "content")],
        ),
        (EmbeddingsRequest(model_id="m", contents=["a"]), [("embeddings", "model")]),
        (
            EmbeddingsRequest.model_validate({"model_id": "m", "contents": ["a", IMAGE]}),
            [("embeddings", "model"), ("vision", "contents")],
        ),
    ],
)
def test_other_requests_ask_for_theirs(request_: Any, needed: list[tuple[str, str]]) -> None:
    assert list(needed_capabilities(request_)) == needed


def test_capabilities_compare_with_their_names() -> None:
    assert Capability.chat in {"chat"}
