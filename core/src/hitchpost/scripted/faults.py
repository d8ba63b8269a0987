"""How scripted providers fail on purpose, and the settings that all of them share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

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

ERRORS: dict[str, type[HitchpostError]] = {
    error.code: error
    for error in (
        BadRequestError,
        ContextLengthExceededError,
        UnauthenticatedError,
        PermissionDeniedError,
        NotFoundError,
        ConflictError,
        RequestTooLargeError,
        UnsupportedError,
        RateLimitedError,
        OverloadedError,
        BackendUnavailableError,
        BadBackendAnswerError,
        DeadlineExceededError,
    )
}
"""What a fault may raise, by the error's code."""


class Settings(BaseModel):
    """Typed by people, so a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ErrorFault(Settings):
    """Raises an error of Hitchpost's tree."""

    kind: Literal["error"]
    code: str
    """Code of the error's class, such as `overloaded`."""
    message: str = "the script says so"
    param: str | None = None
    retry_after_s: Annotated[float, Field(ge=0)] | None = None

    @field_validator("code")
    @classmethod
    def _is_known(cls, code: str) -> str:
        if code not in ERRORS:
            raise ValueError(f"no error has the code {code!r}; there are {', '.join(ERRORS)}")
        return code

    def error(self) -> HitchpostError:
        """The error to raise."""
        return ERRORS[self.code](self.message, param=self.param, retry_after_s=self.retry_after_s)


class DefectFault(Settings):
    """Raises what no provider should: a `RuntimeError`."""

    kind: Literal["defect"]
    message: str = "a defect of the provider, as the script says"


class StallFault(Settings):
    """Answers nothing until the request is cancelled."""

    kind: Literal["stall"]


__all__ = ["ERRORS", "DefectFault", "ErrorFault", "Settings", "StallFault"]
