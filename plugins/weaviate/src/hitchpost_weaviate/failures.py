"""What weaviate-client raises, as errors of Hitchpost.

Only REST answers have a status; of gRPC it passes on little more than the server's words, so those decide. 401 has three faces: a status, a query
error with words, and a batch error with the name of gRPC's code.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
from weaviate.exceptions import (
    AuthenticationFailedError,
    InsufficientPermissionsError,
    ResponseCannotBeDecodedError,
    UnexpectedStatusCodeError,
    WeaviateBaseError,
    WeaviateClosedClientError,
    WeaviateConnectionError,
    WeaviateGRPCUnavailableError,
    WeaviateInvalidInputError,
    WeaviateRetryError,
    WeaviateStartUpError,
    WeaviateTimeoutError,
)

from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTooLargeError,
    UnauthenticatedError,
)
from hitchpost.remote import server_words

_STATUSES: Mapping[int, type[HitchpostError]] = {
    401: UnauthenticatedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: DeadlineExceededError,
    413: RequestTooLargeError,
    422: BadRequestError,
    429: RateLimitedError,
    502: BackendUnavailableError,
    503: BackendUnavailableError,
    504: DeadlineExceededError,
}
_AWAY = (WeaviateConnectionError, WeaviateGRPCUnavailableError, WeaviateRetryError, WeaviateClosedClientError)
_WORDS: tuple[tuple[re.Pattern[str], type[HitchpostError]], ...] = tuple(
    (re.compile(words, re.IGNORECASE), kind)
    for words, kind in (
        (r"anonymous access not enabled|invalid api key|unauthenticated|unauthorized", UnauthenticatedError),
        (r"permission.?denied|forbidden", PermissionDeniedError),
        (r"could not find class|class not found|tenant not found", NotFoundError),
        (r"tenant not active", BackendUnavailableError),
        (r"resource.?exhausted|rate limit", RateLimitedError),
        (r"deadline.?exceeded", DeadlineExceededError),
        (r"maximum results exceeded|vector lengths? (don't|do not) match|vector with length", BadRequestError),
        (r"unavailable|failed to connect|connection refused|socket closed", BackendUnavailableError),
    )
)
_ADVICE: Mapping[type[HitchpostError], str] = {
    UnauthenticatedError: "it refused the key; set api_key of the provider, or weaviate_api_key in the request's provider data",
    PermissionDeniedError: "the key may not do that",
}
"""In place of the server's words, which name users and roles."""
_RPC_DETAILS = re.compile(r'details = "(.*?)"\s*\n', re.DOTALL)
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, AssertionError)
"""What the client raises over an answer that lacks what it looks for."""


@contextmanager
def translated_errors(server: str) -> Iterator[None]:
    """Errors of weaviate-client inside the block come out as errors of Hitchpost.

    Args:
        server: what messages call the server.
    """
    try:
        yield
    except HitchpostError:
        raise
    except WeaviateBaseError as error:
        raise _translated(server, error) from error
    except (TimeoutError, httpx.TimeoutException) as error:
        raise DeadlineExceededError(f"{server} did not answer in time") from error
    except (httpx.HTTPError, grpc.RpcError, OSError) as error:
        raise BackendUnavailableError(f"{server} can't be reached, or hung up") from error
    except _UNREADABLE as error:
        raise BadBackendAnswerError(f"{server} answered what can't be read: {type(error).__name__}") from error


def _translated(server: str, error: WeaviateBaseError) -> HitchpostError:
    if isinstance(error, InsufficientPermissionsError):
        return _error(server, PermissionDeniedError, "")
    if isinstance(error, AuthenticationFailedError):
        return _error(server, UnauthenticatedError, "")
    if isinstance(error, UnexpectedStatusCodeError):
        status = error.status_code
        kind = _STATUSES.get(status) or (BackendUnavailableError if status >= 500 else BadRequestError)
        return _error(server, kind, f"status {status}: {_rest_words(error.error)}")
    if isinstance(error, WeaviateTimeoutError):
        return DeadlineExceededError(f"{server} did not answer in time")
    if isinstance(error, WeaviateStartUpError) and "not supported" in error.message:
        message = f"{server} is older than Weaviate 1.27, the first that weaviate-client talks to"
        return BackendUnavailableError(message, is_permanent=True)
    if isinstance(error, (*_AWAY, WeaviateStartUpError)):
        return BackendUnavailableError(f"{server} can't be reached; see url, grpc_host and grpc_port")
    if isinstance(error, ResponseCannotBeDecodedError):
        return BadBackendAnswerError(f"{server} answered what is no JSON; does something else listen there?")
    if isinstance(error, WeaviateInvalidInputError):
        return BadBackendAnswerError(f"weaviate-client refuses the call: {server_words(error.message)}")
    return error_of_words(server, error.message)


def error_of_words(server: str, text: str) -> HitchpostError:
    """The error that words of the server mean."""
    details = _RPC_DETAILS.search(text)
    words = details[1] if details else text
    kind = next((kind for pattern, kind in _WORDS if pattern.search(text)), BadBackendAnswerError)
    return _error(server, kind, words)


def _error(server: str, kind: type[HitchpostError], words: str) -> HitchpostError:
    return kind(f"{server}: {_ADVICE.get(kind) or server_words(words)}")


def _rest_words(body: Any) -> str:
    """The words of `{"error": [{"message"}]}` or `{"code", "message"}`."""
    if isinstance(body, Mapping):
        errors = body.get("error")
        if isinstance(errors, list) and errors and isinstance(errors[0], Mapping):
            return str(errors[0].get("message", ""))
        if isinstance(body.get("message"), str):
            return str(body["message"])
    return "no reason that can be read"


__all__ = ["error_of_words", "translated_errors"]
