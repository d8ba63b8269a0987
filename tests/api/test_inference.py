from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingsRequest,
    NamedToolChoice,
    ToolChoiceMode,
    ToolPromptFormat,
)

USER = {"role": "user", "content": "hello"}


def chat(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"model_id": "m", "messages": [USER], **fields})


def found(kind: Any, data: Any) -> set[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(data)
    return {(*error["loc"], error["type"]) for error in refused.value.errors()}


@pytest.mark.parametrize(
    ("kind", "data", "missing"),
    [
        (CompletionRequest, {}, {("model_id", "missing"), ("content", "missing")}),
        (ChatCompletionRequest, {}, {("model_id", "missing"), ("messages", "missing")}),
        (EmbeddingsRequest, {}, {("model_id", "missing"), ("contents", "missing")}),
        (
            ChatCompletionRequest,
            {"model_id": 7, "messages": []},
            {("model_id", "string_type"), ("messages", "too_short")},
        ),
        (
            ChatCompletionRequest,
            {"model_id": "m", "messages": [USER, {"role": "assistant", "content": "a"}]},
            {("messages", 1, "assistant", "stop_reason", "missing")},
        ),
        (
            ChatCompletionRequest,
            {"model_id": "m", "messages": [USER], "stream": "perhaps"},
            {("stream", "bool_parsing")},
        ),
        (
            EmbeddingsRequest,
            {"model_id": "m", "contents": ["a"], "dimensions": 0},
            {("dimensions", "greater_than_equal")},
        ),
    ],
)
def test_every_wrong_field_is_told(kind: Any, data: Any, missing: set[tuple[Any, ...]]) -> None:
    assert found(kind, data) == missing


@pytest.mark.parametrize(
    ("stream", "is_stream"), [("true", True), (1, True), (None, None), (False, False), ("false", False)]
)
def test_stream_is_lenient(stream: Any, is_stream: bool | None) -> None:
    assert chat(stream=stream).stream is is_stream


@pytest.mark.parametrize(
    "field",
    ["tools", "tool_choice", "tool_prompt_format", "response_format", "stream", "logprobs", "parallel_tool_calls"],
)
def test_optional_field_may_be_null(field: str) -> None:
    assert getattr(chat(**{field: None}), field) is None


def test_unknown_keys_are_ignored_at_every_level() -> None:
    request = chat(
        surprise=1, sampling_params={"surprise": 1}, messages=[{**USER, "surprise": 1}], logprobs={"surprise": 1}
    )

    assert request == chat(logprobs={})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoiceMode.auto),
        ("required", ToolChoiceMode.required),
        ("none", ToolChoiceMode.none),
        ({"tool_name": "f"}, NamedToolChoice(tool_name="f")),
    ],
)
def test_tool_choice_is_a_mode_or_a_name(choice: Any, expected: Any) -> None:
    assert chat(tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize("choice", ["always", {}, 7, ["auto"]])
def test_other_tool_choices_are_refused(choice: Any) -> None:
    assert {
        where[0] for where in found(ChatCompletionRequest, {"model_id": "m", "messages": [USER], "tool_choice": choice})
    } == {"tool_choice"}


def test_tool_prompt_format_is_not_said_by_default() -> None:
    assert chat().tool_prompt_format is None
    assert chat(tool_prompt_format="python_list").tool_prompt_format is ToolPromptFormat.python_list


def test_requests_share_no_defaults() -> None:
    first, second = chat(), chat()

    assert first.sampling_params is not second.sampling_params
