"""The API safety: conversations are checked by shields."""

from enum import StrEnum
from typing import Annotated, Any, Protocol

from pydantic import Field

from hitchpost.api.context import RequestContext
from hitchpost.api.messages import Message
from hitchpost.api.routes import route
from hitchpost.api.wire_model import Items, WireModel

# --- values ---


class ViolationLevel(StrEnum):
    """How bad a violation is; only `error` stops a conversation."""

    info = "info"
    warn = "warn"
    error = "error"


class SafetyViolation(WireModel):
    """What a shield found. `metadata` is the shield's own, such as `violation_type`."""

    violation_level: ViolationLevel
    user_message: str | None = None
    """What the user may be told."""
    metadata: dict[str, Any] = Field(default_factory=dict)


# --- requests ---


class RunShieldRequest(WireModel):
    """Check a conversation."""

    shield_id: str
    messages: Annotated[Items[Message], Field(min_length=1)]
    params: dict[str, Any] | None = None


# --- responses ---


class RunShieldResponse(WireModel):
    """None: nothing was found."""

    violation: SafetyViolation | None = None


# --- protocol ---


class Safety(Protocol):
    """What a safety provider, and the router in front of all of them, answers."""

    @route("POST", "/safety/run-shield", RunShieldRequest)
    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        """Check a conversation by one shield."""
        ...


__all__ = ["RunShieldRequest", "RunShieldResponse", "Safety", "SafetyViolation", "ViolationLevel"]
