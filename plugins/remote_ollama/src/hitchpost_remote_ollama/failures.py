"""What Ollama refuses, as errors of ours."""

import re

from pydantic_core import from_json

from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    HitchpostError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTooLargeError,
    UnauthenticatedError,
    UnsupportedError,
)

SHOWN_CHARS = 300
_PATH = re.compile(r"(?<![\w.:/])(?:/[\w.\-+@]+){2,}|[A-Za-z]:\\[^\s\"']+")
_ABILITY = re.compile(r"does not support (\w+)")
_PARAM_OF_ABILITY = {"tools": "tools", "thinking": "model", "insert": "content", "chat": "model", "generate": "model"}
_CALLERS = ("invalid format:", "option ")
"""How the texts begin that blame the request though the status says 500."""
_OUT_OF_ORDER = ("requires more system memory", "process has terminated", "process no longer running", "out of memory")


def shown(text: str) -> str:
    """Words of the server as they may be repeated: short, in one line, without paths of its machine."""
    text = " ".join(_PATH.sub("…", text).split())
    return text[:SHOWN_CHARS] + ("…" if len(text) > SHOWN_CHARS else "")


def error_text(body: bytes) -> str | None:
    """The text in Ollama's form of an error; None where it is something else."""
    try:
        answer = from_json(body)
    except ValueError:
        return None
    text = answer.get("error") if isinstance(answer, dict) else None
    return text if isinstance(text, str) else None


def refusal(status: int, body: bytes, path: str) -> HitchpostError:
    """The error that an answer other than 200 means."""
    text = error_text(body)
    if text is not None:
        return failure(text, status)
    if status == 403:
        return BackendUnavailableError(
            "Ollama refuses the host name in the configured url; use its IP address, or set OLLAMA_HOST for the server"
        )
    if status == 404:
        return BadBackendAnswerError(
            f"the server at the configured url has no {path}: it is no Ollama, or older than 0.3"
        )
    if 300 <= status < 400:
        return BadBackendAnswerError(
            f"the server answered {path} with a redirect ({status}); set url to where it leads"
        )
    if status >= 502:
        return BackendUnavailableError(f"what is in front of Ollama answered {status}")
    return BadBackendAnswerError(f"the server answered {path} with {status} and something that Ollama never says")


def failure(text: str, status: int = 500) -> HitchpostError:
    """The error that Ollama's words mean; in the middle of a stream they have no status."""
    words = f"Ollama: {shown(text)}"
    ability = _ABILITY.search(text)
    if ability:
        return UnsupportedError(words, param=_PARAM_OF_ABILITY.get(ability[1]))
    match status:
        case 401:
            return UnauthenticatedError(f"{words}; set api_key of the provider")
        case 403:
            return PermissionDeniedError(words)
        case 404 if "not found" in text:
            return NotFoundError(f"{words}; pull it with `ollama pull`", param="model")
        case 413:
            return RequestTooLargeError(words)
        case 429:
            return RateLimitedError(words)
        case 503:
            return OverloadedError(words)
        case 400 | 422:
            return BadRequestError(words)
    if text.startswith(_CALLERS):
        return BadRequestError(words)
    if any(part in text for part in _OUT_OF_ORDER):
        return BackendUnavailableError(words)
    return BadBackendAnswerError(words)


__all__ = ["error_text", "failure", "refusal", "shown"]
