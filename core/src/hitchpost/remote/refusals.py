"""What a server refuses, as errors of ours. Its words are quoted short, in one line, without keys or paths of its machine."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic_core import from_json

from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    ConflictError,
    ContextLengthExceededError,
    DeadlineExceededError,
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
MAX_RETRY_AFTER_S = 24 * 3600.0
_PATH = re.compile(r"(?<![\w.:/])(?:/[\w.\-+@]+){2,}|[A-Za-z]:\\[^\s\"']+")
_KEY = re.compile(r"(?i)\b(?:bearer\s+\S+|(?:sk|hf|pk|tgp|fw|gsk|api|key)[-_][\w*\-.]{6,}|[\w\-]{2,}\*{3,}[\w\-]*)")

_TOO_LONG_NAMES = ("context_length_exceeded", "exceed_context_size_error")
_TOO_LONG = re.compile(
    r"(?i)maximum context length|model's context length|maximum model length|exceeds? the (?:available |maximum )?context|"
    r"(?:prompt|input) is too long"
)
"""How vLLM, SGLang, llama.cpp, Ollama and hosted services say it; few of them have a name for it."""

_KINDS: dict[int, type[HitchpostError]] = {
    400: BadRequestError,
    401: UnauthenticatedError,
    402: PermissionDeniedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: DeadlineExceededError,
    409: ConflictError,
    413: RequestTooLargeError,
    422: BadRequestError,
    429: RateLimitedError,
    500: BadBackendAnswerError,
    501: UnsupportedError,
    504: DeadlineExceededError,
    524: DeadlineExceededError,
    529: OverloadedError,
}

_STATUSES = {
    "BadRequestError": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "NotFoundError": 404,
    "model_not_found": 404,
    "not_found_error": 404,
    "validation": 422,
    "insufficient_quota": 429,
    "overloaded": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "not_supported_error": 501,
    "unavailable_error": 503,
}
"""By the names that servers of the field give to errors, as `code`, `type` or `error_type`."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """What a server says is wrong, in any of the forms that are in use."""

    message: str
    code: str = ""
    """The most telling of its machine-readable names; may be a number's text."""
    param: str | None = None
    kind: str = ""
    """What the field `type` or `error_type` says."""

    @property
    def likely_status(self) -> int:
        """The HTTP status that the error would have had; inside a stream it has none. 500 where nothing tells."""
        if self.code.isdecimal() and 400 <= int(self.code[:9]) < 600:
            return int(self.code[:9])
        return next((_STATUSES[name] for name in (self.code, self.kind) if name in _STATUSES), 500)


def find_server_error(answer: Any) -> ServerError | None:
    """The error that a JSON answer is, or None where it is none.

    Read are `{"error": {"message", "code", "type", "param"}}`, `{"error": text, "error_type"}`, `{"object": "error", "message"}`,
    `{"detail": text or list}` and `{"message": text}`.
    """
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, dict) and error:
        return _from_object(error)
    if isinstance(error, str) and error:
        return ServerError(error, kind=_text(answer.get("error_type")))
    if error:
        return ServerError("an error that it says nothing of")
    if answer.get("object") == "error":
        return _from_object(answer)
    detail = answer.get("detail")
    if isinstance(detail, str) and detail:
        return ServerError(detail)
    if isinstance(detail, list) and detail and isinstance(detail[0], dict) and "msg" in detail[0]:
        loc = detail[0].get("loc")
        where = ".".join(_text(part) for part in loc) if isinstance(loc, list) else ""
        return ServerError(f"{where}: {_text(detail[0]['msg'])}" if where else _text(detail[0]["msg"]))
    message = answer.get("message")
    if isinstance(message, str) and message and answer.keys() <= {"message", "code", "type", "param", "status"}:
        return _from_object(answer)
    return None


def _from_object(error: Mapping[str, Any]) -> ServerError:
    param = error.get("param")
    return ServerError(
        _text(error.get("message")) or "an error that it says nothing of",
        _text(error.get("code")),
        param if isinstance(param, str) and len(param) <= SHOWN_CHARS else None,
        _text(error.get("type")),
    )


def _text(value: Any) -> str:
    return str(value)[:10_000] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def server_words(text: str) -> str:
    """Words of a server as a message may repeat them: short, in one line, without keys and without paths of its machine."""
    text = _KEY.sub("…", _PATH.sub("…", " ".join(text[: SHOWN_CHARS * 4].split())))
    text = "".join(char if char.isprintable() else "…" for char in text)
    return text[:SHOWN_CHARS] + ("…" if len(text) > SHOWN_CHARS else "")


def refusal(
    name: str, status: int, error: ServerError | None, *, what: str = "", retry_after_s: float | None = None
) -> HitchpostError:
    """The error that a status other than 200 means.

    Args:
        name: what messages call the server.
        status: the HTTP status, or what it would be for an error inside a stream.
        error: what the server says, if that could be read.
        what: what was asked for, such as its path.
        retry_after_s: when the server wants to be asked again.
    """
    if 300 <= status < 400:
        return BadBackendAnswerError(
            f"{name} answered {what} with a redirect ({status}), which is not followed; set url to where the server really is"
        )
    if error is None and status in (404, 405):
        return BadBackendAnswerError(f"the server at the configured url has no {what}; correct url ({status})")
    if error is not None and error.code == "insufficient_quota":
        return PermissionDeniedError(f"{name}: {server_words(error.message)}")
    default: type[HitchpostError] = BackendUnavailableError if status >= 500 else BadRequestError
    if status < 400:
        default = BadBackendAnswerError
    kind = _KINDS.get(status, default)
    if kind is BadRequestError and error is not None and _is_too_long(error):
        kind = ContextLengthExceededError
    words = f"{name}: {server_words(error.message)}" if error else f"{name} answered {what} with the status {status}"
    return kind(words, param=error.param if error and status < 500 else None, retry_after_s=retry_after_s)


def _is_too_long(error: ServerError) -> bool:
    return error.code in _TOO_LONG_NAMES or error.kind in _TOO_LONG_NAMES or _TOO_LONG.search(error.message) is not None


def error_in_body(body: bytes) -> ServerError | None:
    """The error in a body that may be anything: HTML, empty, half a character."""
    try:
        return find_server_error(from_json(body))
    except ValueError:
        return None


def retry_after_s(headers: Mapping[str, str], now: dt.datetime | None = None) -> float | None:
    """When a server wants to be asked again, by `retry-after-ms` or `Retry-After` in seconds or as a date; None where it doesn't say.

    Args:
        headers: of its answer, looked up whatever their case.
        now: the time that a date is compared with; absent: the present.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("Retry-After", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds <= MAX_RETRY_AFTER_S:
            return seconds
    try:
        date = parsedate_to_datetime(headers.get("Retry-After", ""))
        date = date if date.tzinfo else date.replace(tzinfo=dt.UTC)
        seconds = (date - (now or dt.datetime.now(dt.UTC))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if 0 <= seconds <= MAX_RETRY_AFTER_S else None


__all__ = ["ServerError", "error_in_body", "find_server_error", "refusal", "retry_after_s", "server_words"]
