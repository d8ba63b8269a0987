from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import (
    BatchChatCompletionRequest,
    BatchCompletionRequest,
    BatchInference,
    SamplingParams,
    UserMessage,
    routes_of,
)

SAID = [{"role": "user", "content": "hi"}]


def test_declared_routes_are_the_published_ones() -> None:
    assert [(route.verb, route.path) for route in routes_of(BatchInference)] == [
        ("POST", "/batch-inference/completion"),
        ("POST", "/batch-inference/chat-completion"),
    ]


def test_optional_fields_may_be_absent_or_null() -> None:
    names = ("sampling_params", "tools", "tool_prompt_format", "logprobs")

    absent = BatchChatCompletionRequest.model_validate({"model": "m", "messages_batch": [SAID]})
    null = BatchChatCompletionRequest.model_validate({"model": "m", "messages_batch": [SAID], **dict.fromkeys(names)})

    assert absent == null
    assert absent.sampling_params == SamplingParams()
    assert absent.messages_batch == [[UserMessage(content="hi")]]


def test_contents_may_be_mixed() -> None:
    batch = ["text", ["two", "texts"]]

    assert BatchCompletionRequest.model_validate({"model": "m", "content_batch": batch}).content_batch == batch


@pytest.mark.parametrize(
    "fields",
    [
        {"model": None},
        {"messages_batch": SAID},
        {"messages_batch": [[]]},
        {"messages_batch": [[{"role": "x", "content": ""}]]},
        {"tools": [{}]},
        {"sampling_params": {"temperature": "hot"}},
    ],
)
def test_chats_without_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BatchChatCompletionRequest.model_validate({"model": "m", "messages_batch": [SAID], **fields})


def test_so_many_items_are_read_and_no_more() -> None:
    with pytest.raises(ValidationError, match="at most 10000 items"):
        BatchCompletionRequest.model_validate({"model": "m", "content_batch": ["a"] * 10_001})
