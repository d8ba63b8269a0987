"""The messages of a conversation, told apart by `role`."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from hitchpost.api.content import InterleavedContent, has_images
from hitchpost.api.tools import ToolCall, ToolName
from hitchpost.api.wire_model import Items, WireModel

# --- values ---


class StopReason(StrEnum):
    """Why a message of the model ended, in the native wire's words."""

    end_of_turn = "end_of_turn"
    end_of_message = "end_of_message"
    out_of_tokens = "out_of_tokens"


class UserMessage(WireModel):
    """What the user says; `context` is retrieved text that is appended to the content for the model only."""

    role: Literal["user"] = "user"
    content: InterleavedContent
    context: InterleavedContent | None = None


class SystemMessage(WireModel):
    """Instructions of the application."""

    role: Literal["system"] = "system"
    content: InterleavedContent


class ToolResponseMessage(WireModel):
    """What a tool answered to the call `call_id`."""

    role: Literal["ipython"] = "ipython"
    call_id: str
    tool_name: ToolName
    content: InterleavedContent


class CompletionMessage(WireModel):
    """What the model said, with the tools that it called."""

    role: Literal["assistant"] = "assistant"
    content: InterleavedContent
    stop_reason: StopReason
    tool_calls: Items[ToolCall] = Field(default_factory=list)


Message = Annotated[
    UserMessage | SystemMessage | ToolResponseMessage | CompletionMessage,
    Field(discriminator="role"),
]


def messages_have_images(messages: Sequence[Message]) -> bool:
    """Whether any of the messages holds an image."""
    for message in messages:
        if not isinstance(message.content, str) and has_images([message.content]):
            return True
        if message.role == "user" and message.context is not None and has_images([message.context]):
            return True
    return False


__all__ = [
    "CompletionMessage",
    "Message",
    "StopReason",
    "SystemMessage",
    "ToolResponseMessage",
    "UserMessage",
    "messages_have_images",
]
