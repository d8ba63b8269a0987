"""What differs between the surfaces when something goes wrong: status, body, and the event that ends a failed stream."""

import logging
import math
from typing import Any, Protocol

from aiohttp import web

from hitchpost.errors import BackendUnavailableError, ConfigError, HitchpostError, PluginError, quoted
from hitchpost.host.json_text import json_response

log = logging.getLogger("hitchpost.host")

PROVIDER_HEADER = "x-hitchpost-provider"
SHOULD_RETRY_HEADER = "x-should-retry"


class Surface(Protocol):
    """A dialect in which the host answers."""

    name: str

    def status(self, error: HitchpostError) -> int:
        """The HTTP status of an error of Hitchpost's tree."""
        ...

    def error_body(self, error: HitchpostError) -> Any:
        """The body of an error of Hitchpost's tree."""
        ...

    def http_error_body(self, status: int, message: str, asked: str) -> Any:
        """The body of an error of HTTP itself: unknown route, wrong method, wrong content type. `asked` is method and path."""
        ...

    def error_event(self, error: HitchpostError) -> str:
        """The server-sent event that ends a stream which failed after its start."""
        ...


def error_response(surface: Surface, error: HitchpostError) -> web.Response:
    """The answer to a request that failed with an error of Hitchpost's tree."""
    status = surface.status(error)
    response = json_response(surface.error_body(error), status=status)
    if status >= 409 and not is_worth_retrying(error):
        response.headers[SHOULD_RETRY_HEADER] = "false"
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.provider_id is not None:
        response.headers[PROVIDER_HEADER] = error.provider_id
    return response


def http_error_response(surface: Surface, error: web.HTTPException, request: web.BaseRequest) -> web.Response:
    """The answer to a request that failed at HTTP itself, before anything of Hitchpost was asked."""
    said = error.text
    message = error.reason if said is None or said == f"{error.status}: {error.reason}" else said
    asked = f"{request.method} {quoted(request.rel_url.raw_path, '')}"
    response = json_response(surface.http_error_body(error.status, message, asked), status=error.status)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    if error.status >= 408:
        response.headers[SHOULD_RETRY_HEADER] = "false"
    return response


def client_error(error: Exception, request_id: str) -> HitchpostError:
    """The error as a client may see it: of one that nobody foresaw, the traceback goes to the log under the request's id and nowhere else."""
    if isinstance(error, HitchpostError) and not isinstance(error, ConfigError | PluginError):
        return error
    log.error("request %s failed", request_id, exc_info=error)
    return HitchpostError("An unexpected error occurred.")


def is_worth_retrying(error: HitchpostError) -> bool:
    """Whether client SDKs may send the same request again by themselves."""
    if isinstance(error, BackendUnavailableError) and error.is_permanent:
        return False
    return error.is_retryable


__all__ = ["PROVIDER_HEADER", "Surface", "client_error", "error_response", "http_error_response", "is_worth_retrying"]
