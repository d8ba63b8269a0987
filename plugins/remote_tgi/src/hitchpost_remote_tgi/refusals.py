"""What TGI means by its errors. It spells one cause in three ways, so `error_type`, the status and the words are looked at.

JSON errors have a text and an `error_type`; inside a stream of `/v1/chat/completions` there is the text alone, under a status that is always 422.
What has no `error_type` may come from a proxy in front of it, and then the status says what it means.
"""

import re
from typing import Any

from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    ContextLengthExceededError,
    HitchpostError,
    OverloadedError,
)
from hitchpost.remote import ServerError, find_server_error, server_words

NAME = "text-generation-inference"
RETRY_AFTER_S = 1.0
"""An overloaded server doesn't say when to come back; it queues nothing, so a place is free soon or not for long."""

_WORDS = (
    ("Input validation error", "validation"),
    ("Template error", "template_error"),
    ("Tool error", "tool_error"),
    ("Model is overloaded", "overloaded"),
    ("Request failed during generation", "generation"),
    ("Incomplete generation", "incomplete_generation"),
)
_TOO_LONG = re.compile(
    r"`inputs` tokens \+ `max_new_tokens` must be <= (\d{1,9})\. Given: (\d{1,9}) `inputs` tokens and \d+ `max_new_tokens`"
)


class ContextExceededError(ContextLengthExceededError):
    """Prompt and answer don't fit into the context; the server says how long the prompt is.

    Args:
        prompt_tokens: of the prompt.
        max_total_tokens: of prompt and answer together.
    """

    def __init__(self, message: str, prompt_tokens: int, max_total_tokens: int) -> None:
        super().__init__(message, param="messages")
        self.room_tokens = max_total_tokens - prompt_tokens


def read_error(status: int, error: ServerError) -> HitchpostError | None:
    """The error of ours that one of the server's is, or None where its status says all."""
    kind = error.kind or next((kind for words, kind in _WORDS if error.message.startswith(words)), "")
    message = f"{NAME}: {server_words(error.message)}"
    too_long = _TOO_LONG.search(error.message)
    if too_long is not None:
        return ContextExceededError(message, prompt_tokens=int(too_long[2]), max_total_tokens=int(too_long[1]))
    match kind:
        case "validation" | "template_error" | "missing_template_variable" | "tool_error":
            return BadRequestError(message)
        case "overloaded":
            return OverloadedError(message, retry_after_s=RETRY_AFTER_S)
        case "generation" | "healthcheck":
            return BackendUnavailableError(message)
        case "incomplete_generation" | "incomplete_generation_stream" | "stream_serialization_error":
            return BadBackendAnswerError(message)
    return BackendUnavailableError(message) if status == 424 else None


def find_error(answer: Any) -> HitchpostError | None:
    """The error that an object inside an answer with the status 200 is, or None where it is none."""
    if not isinstance(answer, dict) or not (answer.get("error") or answer.get("error_type")):
        return None
    error = find_server_error(answer)
    if error is None:
        return BadBackendAnswerError(f"{NAME} answered an error that it says nothing of")
    return read_error(200, error) or BadBackendAnswerError(f"{NAME}: {server_words(error.message)}")


__all__ = ["NAME", "ContextExceededError", "find_error", "read_error"]
