"""Errors in OpenAI's envelope."""

from collections.abc import Mapping
from typing import Any

from hitchpost.errors import HitchpostError, NotFoundError, RateLimitedError, UnauthenticatedError
from hitchpost.host.json_text import json_value

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {
    NotFoundError.code: "model_not_found",
    RateLimitedError.code: "rate_limit_exceeded",
    UnauthenticatedError.code: "invalid_api_key",
}
_HTTP_CODES = {
    404: "unknown_url",
    405: "method_not_allowed",
    408: "request_timeout",
    415: "unsupported_media_type",
    417: "expectation_failed",
}
_INSTEAD = {"POST /v1/responses": "this host answers at /v1/chat/completions; set the client to chat completions"}
"""What to do where clients call by default what is not served."""
_PARAMS = {"model_id": "model", "content": "prompt", "contents": "input"}
"""Fields that have another name in OpenAI's requests."""


class OpenAISurface:
    """`{"error": {"message", "type", "param", "code"}}` for every failure.

    Args:
        name: of the surface, in metrics and spans.
        codes: the name that a code of `hitchpost.errors` has here, where it is another.
        params: the same of fields.
    """

    def __init__(self, name: str, codes: Mapping[str, str], params: Mapping[str, str]) -> None:
        self.name = name
        self._codes = codes
        self._params = params

    def status(self, error: HitchpostError) -> int:
        """See `Surface`."""
        return error.openai_status

    def error_body(self, error: HitchpostError) -> Any:
        """See `Surface`."""
        code = self._codes.get(error.code, error.code)
        param = self._params.get(error.param, error.param) if error.param else None
        return _envelope(error.openai_status, error.message, param, code)

    def http_error_body(self, status: int, message: str, asked: str) -> Any:
        """See `Surface`."""
        advice = f" ({_INSTEAD[asked]})" if asked in _INSTEAD else ""
        return _envelope(status, f"{message}: {asked}{advice}", None, _HTTP_CODES.get(status))

    def error_event(self, error: HitchpostError) -> str:
        """See `Surface`."""
        return f"data: {json_value(self.error_body(error))}\n\n"


def _envelope(status: int, message: str, param: str | None, code: str | None) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


OPENAI = OpenAISurface("openai", _CODES, _PARAMS)

__all__ = ["OPENAI", "OpenAISurface"]
