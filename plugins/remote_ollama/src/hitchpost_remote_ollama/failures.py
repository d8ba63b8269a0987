"""What Ollama means by its errors, where that isn't what the status says. In the middle of a stream they have none, and count as 500."""

import re

from hitchpost.errors import (
    BackendUnavailableError,
    BadRequestError,
    HitchpostError,
    NotFoundError,
    OverloadedError,
    UnauthenticatedError,
    UnsupportedError,
)
from hitchpost.remote import ServerError, server_words

_ABILITY = re.compile(r"does not support (\w+)")
_PARAM_OF_ABILITY = {"tools": "tools", "thinking": "model", "insert": "content", "chat": "model", "generate": "model"}
_CALLERS = ("invalid format:", "option ")
"""How the texts begin that blame the request though the status says 500."""
_OUT_OF_ORDER = ("requires more system memory", "process has terminated", "process no longer running", "out of memory")


def read_error(status: int, error: ServerError) -> HitchpostError | None:
    """The error that Ollama's words mean, or None where the status says enough."""
    text = error.message
    words = f"Ollama: {server_words(text)}"
    ability = _ABILITY.search(text)
    if ability:
        return UnsupportedError(words, param=_PARAM_OF_ABILITY.get(ability[1]))
    if status == 404 and "not found" in text:
        return NotFoundError(f"{words}; pull it with `ollama pull`", param="model")
    if status == 401:
        return UnauthenticatedError(f"{words}; set api_key of the provider")
    if status == 503:
        return OverloadedError(words)
    if status == 500 and text.startswith(_CALLERS):
        return BadRequestError(words)
    if status == 500 and any(part in text for part in _OUT_OF_ORDER):
        return BackendUnavailableError(words)
    return None


__all__ = ["read_error"]
