"""Every error that Hitchpost raises on purpose, as one tree.

    HitchpostError
    ├── BadRequestError             the request says something that can't be
    │   └── ContextLengthExceededError  the prompt is longer than the model's context
    ├── UnauthenticatedError        no credentials, or wrong ones
    ├── PermissionDeniedError       known caller, not allowed
    ├── NotFoundError               the model, shield or memory bank does not exist
    ├── ConflictError               the name is taken by another owner
    ├── RequestTooLargeError        the body is larger than the host takes
    ├── UnsupportedError            understood, but this provider can't do it
    ├── RateLimitedError            the caller, or the backend's account, is over its limit
    ├── OverloadedError             the provider's queue is full
    ├── BackendUnavailableError     the provider or its backend is down, starting or gone
    ├── BadBackendAnswerError       the backend answered what nobody can read
    ├── DeadlineExceededError       no whole answer within the time limit
    ├── ProviderDefectError         the provider raised what it must not; the host raises this in its place
    └── never sent to a client
        ├── ConfigError             the run config is wrong
        └── PluginError             a plugin could not be loaded, validated or started

A provider raises the narrowest of these. Anything else that it raises is a defect of the provider: the traceback goes to the log and the client
gets an opaque 500. Messages say what was wrong, where, and what to do, and never carry keys, paths of the server or tracebacks.
"""

from typing import ClassVar, Literal


class HitchpostError(Exception):
    """Base of the tree.

    Args:
        message: what was wrong, where, and what to do; shown to the client as it is.
        param: the request field that is to blame, as a dotted path such as `messages.0.role`.
        provider_id: the provider that the error comes from.
        retry_after_s: after how many seconds a retry is worth while; sent as `Retry-After`.
    """

    code: ClassVar[str] = "internal_error"
    """Stable, machine-readable name of the class."""
    native_status: ClassVar[int] = 500
    """HTTP status on the native surface."""
    openai_status: ClassVar[int] = 500
    """HTTP status on the OpenAI surface and on `/hitchpost/v1`."""
    is_retryable: ClassVar[bool] = False
    """Whether client SDKs may send the same request again by themselves."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        provider_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.provider_id = provider_id
        self.retry_after_s = retry_after_s


class BadRequestError(HitchpostError):
    """The request says something that can't be; the message names the field."""

    code = "bad_request"
    native_status = openai_status = 400


class ContextLengthExceededError(BadRequestError):
    """The prompt, or the prompt with the answer that was asked for, is longer than the model's context.

    A code of its own, and the one that OpenAI has for it, since applications shorten the conversation where they see it.
    """

    code = "context_length_exceeded"


class UnauthenticatedError(HitchpostError):
    """No credentials came with the request, or the backend refused them."""

    code = "unauthenticated"
    native_status = openai_status = 401


class PermissionDeniedError(HitchpostError):
    """The credentials are good, but not for this."""

    code = "permission_denied"
    native_status = openai_status = 403


class NotFoundError(HitchpostError):
    """The named model, shield or memory bank is not registered.

    Natively a 400, as llama-stack 0.0.53 answers it; clients of that surface tell it by the status.
    """

    code = "not_found"
    native_status = 400
    openai_status = 404


class ConflictError(HitchpostError):
    """The identifier belongs to another owner, who is named in the message."""

    code = "conflict"
    native_status = openai_status = 409


class RequestTooLargeError(HitchpostError):
    """The request's body is larger than `server.max_body_bytes`."""

    code = "request_too_large"
    native_status = openai_status = 413


class UnsupportedError(HitchpostError):
    """The request is sound, but the provider or model behind it can't do what the named field asks."""

    code = "unsupported"
    native_status = 501
    openai_status = 400


class RateLimitedError(HitchpostError):
    """The caller or the backend's account is over its limit."""

    code = "rate_limited"
    native_status = openai_status = 429
    is_retryable = True


class OverloadedError(HitchpostError):
    """The provider's queue is full, or the request waited in it for too long."""

    code = "overloaded"
    native_status = openai_status = 503
    is_retryable = True


class BackendUnavailableError(HitchpostError):
    """The provider is not ready, or its backend can't be reached or died during the request.

    Args:
        is_permanent: the provider failed for good (a wrong config, a missing package): retrying is pointless.
    """

    code = "backend_unavailable"
    native_status = openai_status = 503
    is_retryable = True

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        provider_id: str | None = None,
        retry_after_s: float | None = None,
        is_permanent: bool = False,
    ) -> None:
        super().__init__(message, param=param, provider_id=provider_id, retry_after_s=retry_after_s)
        self.is_permanent = is_permanent


class BadBackendAnswerError(HitchpostError):
    """The backend answered, but with something that can't be read or that breaks off."""

    code = "bad_backend_answer"
    native_status = openai_status = 502


class DeadlineExceededError(HitchpostError):
    """The answer was not whole within the provider's `limits.timeout_s`."""

    code = "deadline_exceeded"
    native_status = openai_status = 504


class ProviderDefectError(HitchpostError):
    """A provider raised something that is not a `HitchpostError`.

    Its traceback was logged under the request's id; the message for the client says nothing of it.
    """


class ConfigError(HitchpostError):
    """The run config is wrong. Never sent to a client.

    Args:
        problems: every problem found, each with the YAML path that it is at, such as `providers.inference[0].config.url: ...`.
    """

    code = "config_error"

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__("\n  - ".join((message, *problems)))
        self.problems = problems


QUOTED_CHARS = 80


def quoted(value: object, mark: str = "'") -> str:
    """What a client sent, as a message may repeat it: its first 80 characters between two marks, with control characters escaped."""
    text = value if isinstance(value, str) else repr(value)
    return mark + repr(text[:QUOTED_CHARS])[1:-1] + ("…" if len(text) > QUOTED_CHARS else "") + mark


PluginStage = Literal["import", "validate", "register", "start"]


class PluginError(HitchpostError):
    """A plugin can't be used. Never sent to a client.

    Args:
        distribution: name of the distribution, or the path, that the plugin came from.
        stage: how far it got.
    """

    code = "plugin_error"

    def __init__(self, message: str, *, distribution: str, stage: PluginStage) -> None:
        super().__init__(message)
        self.distribution = distribution
        self.stage = stage


__all__ = [
    "BackendUnavailableError",
    "BadBackendAnswerError",
    "BadRequestError",
    "ConfigError",
    "ConflictError",
    "ContextLengthExceededError",
    "DeadlineExceededError",
    "HitchpostError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "PluginError",
    "ProviderDefectError",
    "RateLimitedError",
    "RequestTooLargeError",
    "UnauthenticatedError",
    "UnsupportedError",
    "quoted",
]
