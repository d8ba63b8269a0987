"""What an answer is made of while it is still being made: the stream events of inference.

Slotted dataclasses, since one is made per token and a pydantic model would cost five times as much. Each stream has exactly one `Finish` per choice;
a stream that ends without it has failed, whatever the backend said. `Usage` comes at most once, anywhere. `extra` carries fields that only
both ends understand. `stream_completion` yields `TextDelta`, `Usage` and `Finish` only.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Extra = dict[str, Any]


class FinishReason(StrEnum):
    """Why a choice ended. `end_of_message`: the model waits for the result of a tool that the host is to run."""

    stop = "stop"
    length = "length"
    tool_calls = "tool_calls"
    end_of_message = "end_of_message"
    content_filter = "content_filter"


@dataclass(slots=True)
class TopLogprob:
    """A token that might have been chosen, with its natural-log probability."""

    token: str
    logprob: float
    bytes: list[int] | None = None


@dataclass(slots=True)
class TokenLogprob:
    """The chosen token, its natural-log probability under the model's raw distribution, and the most likely ones."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    """The token's own bytes, which need not be whole characters."""
    top: list[TopLogprob] | None = None


@dataclass(slots=True)
class TextDelta:
    """More text; it may be empty while bytes are held back until they make a whole character."""

    text: str
    choice: int = 0
    logprobs: list[TokenLogprob] | None = None
    extra: Extra | None = None


@dataclass(slots=True)
class ReasoningDelta:
    """More of what the model thinks before it answers."""

    text: str
    choice: int = 0
    extra: Extra | None = None


@dataclass(slots=True)
class RefusalDelta:
    """More of the text in which the model declines."""

    text: str
    choice: int = 0
    extra: Extra | None = None


@dataclass(slots=True)
class ToolCallStart:
    """A tool call whose name is known; its arguments follow. `index` counts the calls of a choice from 0."""

    index: int
    call_id: str
    name: str
    choice: int = 0
    extra: Extra | None = None


@dataclass(slots=True)
class ToolCallDelta:
    """A fragment of the JSON text of a call's arguments. A call without any has the arguments `{}`."""

    index: int
    arguments: str
    choice: int = 0
    extra: Extra | None = None


@dataclass(slots=True)
class Usage:
    """Tokens that the request took, over all choices; `cached_tokens` of the prompt were not computed again."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    extra: Extra | None = None


@dataclass(slots=True)
class Finish:
    """The end of a choice; `stop_text` is the stop string that ended it."""

    reason: FinishReason
    choice: int = 0
    stop_text: str | None = None
    extra: Extra | None = None


InferenceEvent = TextDelta | ReasoningDelta | RefusalDelta | ToolCallStart | ToolCallDelta | Usage | Finish
CompletionEvent = TextDelta | Usage | Finish

__all__ = [
    "CompletionEvent",
    "Extra",
    "Finish",
    "FinishReason",
    "InferenceEvent",
    "ReasoningDelta",
    "RefusalDelta",
    "TextDelta",
    "TokenLogprob",
    "ToolCallDelta",
    "ToolCallStart",
    "TopLogprob",
    "Usage",
]
