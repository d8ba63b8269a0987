"""Errors of boto3 as errors of Hitchpost. AWS writes some codes with a small first letter in streams, and a large one in answers."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.eventstream import ParserError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as UrllibReadTimeoutError

from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    ContextLengthExceededError,
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTooLargeError,
    UnauthenticatedError,
    quoted,
)


class NoAwsCredentialsError(UnauthenticatedError):
    """Nobody gave credentials: neither the config nor the environment, a profile, a role or the caller."""


MAX_SAID_CHARS = 400
NOT_READY_RETRY_AFTER_S = 10.0

_CLASSES: Mapping[str, type[HitchpostError]] = {
    "throttling": RateLimitedError,
    "toomanyrequests": RateLimitedError,
    "servicequotaexceeded": RateLimitedError,
    "modelnotready": BackendUnavailableError,
    "serviceunavailable": BackendUnavailableError,
    "internalserver": BackendUnavailableError,
    "internalfailure": BackendUnavailableError,
    "conflict": BackendUnavailableError,
    "modeltimeout": DeadlineExceededError,
    "requesttimeout": DeadlineExceededError,
    "modelerror": BadBackendAnswerError,
    "modelstreamerror": BadBackendAnswerError,
    "expiredtoken": UnauthenticatedError,
    "expiredcredentials": UnauthenticatedError,
    "unrecognizedclient": UnauthenticatedError,
    "invalidsignature": UnauthenticatedError,
    "signaturedoesnotmatch": UnauthenticatedError,
    "invalidclienttokenid": UnauthenticatedError,
    "incompletesignature": UnauthenticatedError,
    "missingauthenticationtoken": UnauthenticatedError,
    "accessdenied": PermissionDeniedError,
    "resourcenotfound": NotFoundError,
    "validation": BadRequestError,
}
_STATUSES: Mapping[int, type[HitchpostError]] = {
    400: BadRequestError,
    401: UnauthenticatedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: DeadlineExceededError,
    413: RequestTooLargeError,
    429: RateLimitedError,
    504: DeadlineExceededError,
}
_ADVICE: Mapping[type[HitchpostError], str] = {
    UnauthenticatedError: "Bedrock refused the AWS credentials; renew them in the config, the environment or the request's provider data",
    PermissionDeniedError: "these AWS credentials may not do that, or the account has no access to the model yet; ask for it in the Bedrock console",
}
"""In place of what AWS said: its own text names users and roles."""
_TOO_LONG = re.compile(r"(?i)\b(?:input|prompt) is too long|too many input tokens|maximum context length")
"""How the models of the several makers say that a prompt doesn't fit; the code is the one of every other wrong request."""

_SDK_ERRORS: tuple[type[Exception], ...] = (BotoCoreError, ClientError, ParserError, ResponseParserError, HTTPError)
_STUMBLES = (AttributeError, KeyError, TypeError, ValueError)
"""What botocore's parsers raise where an answer hasn't the form that they expect."""


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Within it, errors of boto3's calls, and of reading their streams, become errors of Hitchpost without keys and names of the account.

    Raises:
        HitchpostError: in place of any of them.
    """
    try:
        yield
    except _SDK_ERRORS as error:
        raise _translated(error) from error
    except UnicodeEncodeError as error:
        raise BadRequestError("the request holds characters that can't be sent") from error
    except _STUMBLES as error:
        raise BadBackendAnswerError(f"Bedrock's answer can't be read ({type(error).__name__})") from error


def _translated(error: Exception) -> HitchpostError:
    match error:
        case ClientError():
            return _refusal(error)
        case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError():
            return NoAwsCredentialsError(
                "no AWS credentials were found; give aws_access_key_id and aws_secret_access_key in the config or the provider data, "
                "or have them in the environment, a profile or a role"
            )
        case NoAuthTokenError() | TokenRetrievalError() | SSOError():
            return UnauthenticatedError("the AWS sign-on of the provider's profile has ended; sign on again")
        case ParamValidationError():
            return BadRequestError(f"the request can't be written for Bedrock: {_said(str(error))}")
        case ReadTimeoutError() | UrllibReadTimeoutError():
            return DeadlineExceededError("Bedrock said nothing for as long as read_timeout allows")
        case ConnectTimeoutError():
            return BackendUnavailableError("Bedrock could not be reached within connect_timeout")
        case ResponseStreamingError() | HTTPError():
            return BadBackendAnswerError("the connection to Bedrock broke in the middle of the answer")
        case HTTPClientError() | EndpointConnectionError():
            return BackendUnavailableError(
                f"Bedrock can't be reached ({type(error).__name__}); see region_name, endpoint_url and the network"
            )
        case ParserError() | ResponseParserError():
            return BadBackendAnswerError(f"Bedrock's answer can't be read ({type(error).__name__})")
        case _:
            return BackendUnavailableError(f"boto3 could not make the call ({type(error).__name__})")


def _refusal(error: ClientError) -> HitchpostError:
    said = error.response.get("Error", {})
    code = re.sub(r"(exception|error)$", "", str(said.get("Code", "")).partition(":")[0].casefold())
    # "modelError" loses its last word by that too.
    code = {"model": "modelerror", "modelstream": "modelstreamerror"}.get(code, code)
    metadata = error.response.get("ResponseMetadata", {})
    kind = _CLASSES.get(code) or _by_status(metadata.get("HTTPStatusCode"))
    text = _said(str(said.get("Message") or ""))
    if code == "modelnotready":
        message = f"the model is not ready yet: {text}"
        return BackendUnavailableError(message, retry_after_s=_retry_after_s(metadata) or NOT_READY_RETRY_AFTER_S)
    if kind is BadRequestError and "on-demand throughput" in text:
        text += " (name an inference profile, such as us.MODEL, in place of the model)"
    if kind is BadRequestError and "model identifier is invalid" in text:
        kind = NotFoundError
    if kind is BadRequestError and _TOO_LONG.search(text):
        kind = ContextLengthExceededError
    message = (
        _ADVICE.get(kind) or f"Bedrock answered {quoted(said.get('Code') or 'an error', '')}: {text or 'no reason'}"
    )
    return kind(message, retry_after_s=_retry_after_s(metadata))


def _by_status(status: Any) -> type[HitchpostError]:
    if not isinstance(status, int):
        return BadBackendAnswerError
    if status in _STATUSES:
        return _STATUSES[status]
    if 400 <= status < 500:
        return BadRequestError
    return BackendUnavailableError if status >= 500 else BadBackendAnswerError


def _retry_after_s(metadata: Mapping[str, Any]) -> float | None:
    text = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
    return float(text) if re.fullmatch(r"\d{1,5}", text) else None


def _said(text: str) -> str:
    """What AWS said, on one line, without account numbers and keys."""
    text = re.sub(r"\b\d{12}\b", "************", text)
    text = re.sub(r"\b(A3T|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}\b", "********", text)
    # Secret keys have 40 of these characters, session tokens hundreds.
    text = re.sub(r"[A-Za-z0-9/+=]{40,}", "********", text)
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= MAX_SAID_CHARS else text[:MAX_SAID_CHARS] + "…"


__all__ = ["NoAwsCredentialsError", "translated_errors"]
