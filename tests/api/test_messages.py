from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hitchpost.api import (
    CompletionMessage,
    ImageMedia,
    Message,
    StopReason,
    SystemMessage,
    ToolResponseMessage,
    UserMessage,
)
from hitchpost.api.messages import messages_have_images

MESSAGE: TypeAdapter[Any] = TypeAdapter(Message)
IMAGE = {"image": {"uri": "https://example.org/a.png"}}


def errors(data: Any) -> list[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as refused:
        MESSAGE.validate_python(data)
    return [(*error["loc"], error["type"]) for error in refused.value.errors()]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"role": "user", "content": "a"}, UserMessage),
        ({"role": "user", "content": "a", "context": None}, UserMessage),
        ({"role": "system", "content": ["a", IMAGE]}, SystemMessage),
        ({"role": "ipython", "call_id": "1", "tool_name": "f", "content": ""}, ToolResponseMessage),
        ({"role": "assistant", "content": "a", "stop_reason": "end_of_turn"}, CompletionMessage),
        ({"role": "assistant", "content": "a", "stop_reason": "out_of_tokens", "tool_calls": []}, CompletionMessage),
        ({"role": "user", "content": "a", "name": "unknown keys are ignored"}, UserMessage),
    ],
)
def test_role_tells_the_message(data: dict[str, Any], kind: type) -> None:
    assert type(MESSAGE.validate_python(data)) is kind


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"content": "a"}, [("union_tag_not_found",)]),
        ({"role": "robot", "content": "a"}, [("union_tag_invalid",)]),
        ({"role": None, "content": "a"}, [("union_tag_invalid",)]),
        ({"role": "user"}, [("user", "content", "missing")]),
        ({"role": "assistant", "content": "a"}, [("assistant", "stop_reason", "missing")]),
        ({"role": "assistant", "content": "a", "stop_reason": "tired"}, [("assistant", "stop_reason", "enum")]),
        (
            {"role": "assistant", "content": "a", "stop_reason": "end_of_turn", "tool_calls": [{"call_id": 1}]},
            [
                ("assistant", "tool_calls", 0, "call_id", "string_type"),
                ("assistant", "tool_calls", 0, "tool_name", "missing"),
                ("assistant", "tool_calls", 0, "arguments", "missing"),
            ],
        ),
        (
            {"role": "ipython"},
            [("ipython", "call_id", "missing"), ("ipython", "tool_name", "missing"), ("ipython", "content", "missing")],
        ),
        ("text", [("model_attributes_type",)]),
    ],
)
def test_what_is_wrong_is_told_by_place_and_kind(data: Any, found: list[tuple[Any, ...]]) -> None:
    assert errors(data) == found


@pytest.mark.parametrize(
    ("data", "has_images"),
    [
        ({"role": "user", "content": "text"}, False),
        ({"role": "user", "content": ["text"]}, False),
        ({"role": "user", "content": IMAGE}, True),
        ({"role": "user", "content": ["text", IMAGE]}, True),
        ({"role": "user", "content": "text", "context": ["see", IMAGE]}, True),
        ({"role": "ipython", "call_id": "1", "tool_name": "f", "content": [IMAGE]}, True),
    ],
)
def test_images_are_seen_wherever_they_are(data: dict[str, Any], has_images: bool) -> None:
    first = UserMessage(content="text")

    assert messages_have_images([first, MESSAGE.validate_python(data)]) is has_images


CONTENTS = st.one_of(
    st.text(),
    st.builds(
        ImageMedia, image=st.sampled_from(["https://a/b", "data:image/png;base64,AA"]).map(lambda uri: {"uri": uri})
    ),
)
MESSAGES = st.one_of(
    st.builds(UserMessage, content=CONTENTS | st.lists(CONTENTS), context=st.none() | st.text()),
    st.builds(SystemMessage, content=CONTENTS),
    st.builds(ToolResponseMessage, call_id=st.text(), tool_name=st.text(), content=CONTENTS),
    st.builds(CompletionMessage, content=CONTENTS, stop_reason=st.sampled_from(StopReason), tool_calls=st.just([])),
)


@given(MESSAGES)
def test_message_survives_the_wire(message: Any) -> None:
    assert MESSAGE.validate_json(MESSAGE.dump_json(message)) == message
