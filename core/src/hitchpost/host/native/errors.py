"""Errors as llama-stack 0.0.53 wrote them."""

from typing import Any

from hitchpost.errors import (
    DeadlineExceededError,
    HitchpostError,
    PermissionDeniedError,
    UnsupportedError,
)
from hitchpost.host.body import InvalidRequestError
from hitchpost.host.json_text import json_value

_PREFIXES: dict[int, str] = {
    400: "Invalid value: ",
    PermissionDeniedError.native_status: "Permission denied: ",
    500: "Internal server error: ",
    UnsupportedError.native_status: "Not implemented: ",
    DeadlineExceededError.native_status: "Operation timed out: ",
}


_ASKED_WITHOUT_V1 = ("POST /chat/completions", "POST /completions", "POST /embeddings", "GET /models")


class NativeSurface:
    """Two envelopes: what doesn't validate stands under `error.detail.errors`, everything else under `detail`."""

    name = "native"

    def status(self, error: HitchpostError) -> int:
        """See `Surface`."""
        return error.native_status

    def error_body(self, error: HitchpostError) -> Any:
        """See `Surface`."""
        if isinstance(error, InvalidRequestError):
            return {"error": {"detail": {"errors": error.problems}}}
        return {"detail": _detail(error)}

    def http_error_body(self, status: int, message: str, asked: str) -> Any:
        """See `Surface`."""
        if status == 404 and asked in _ASKED_WITHOUT_V1:
            message = f"{message}: OpenAI's routes begin with /v1; give the client a base URL that ends with it"
        return {"detail": message}

    def error_event(self, error: HitchpostError) -> str:
        """See `Surface`."""
        message = f"{error.native_status}: {_detail(error)}"
        return f'data: {{"error":{{"message":{json_value(message)}}}}}\n\n'


def _detail(error: HitchpostError) -> str:
    return _PREFIXES.get(error.native_status, "") + error.message


NATIVE = NativeSurface()

__all__ = ["NATIVE", "NativeSurface"]
