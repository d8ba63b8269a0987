"""A safety provider that does everything right, in parts that a wrong one can replace one by one."""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from hitchpost.api import (
    Api,
    RequestContext,
    RunShieldRequest,
    RunShieldResponse,
    SafetyViolation,
    Shield,
    ViolationLevel,
    content_text,
)
from hitchpost.conformance import SafetyConformance
from hitchpost.errors import BadRequestError
from hitchpost.plugin import ProviderSpec, SafetyProvider
from tests.conformance.right.inference import spec_of


class RightSafety(SafetyProvider[BaseModel]):
    """Stops texts with bombs in them."""

    async def list_shields(self) -> Sequence[Shield]:
        return [Shield(provider_resource_id="right")]

    async def register_shield(self, shield: Shield, context: RequestContext | None) -> Shield | None:
        if shield.provider_resource_id != "right":
            raise BadRequestError(f"there is no {shield.provider_resource_id!r}; there is: right")
        return None

    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        await asyncio.sleep(0)
        return self.verdict(content_text(request.messages[-1].content))

    def verdict(self, text: str) -> RunShieldResponse:
        if "bomb" not in text:
            return RunShieldResponse()
        found = SafetyViolation(violation_level=ViolationLevel.error, user_message="I can't talk about that.")
        return RunShieldResponse(violation=found)


def safety_spec_of(provider: type = RightSafety) -> ProviderSpec:
    return spec_of(provider, api=Api.safety, capabilities=frozenset(), provider_data=None)


class RightSafetyKit(SafetyConformance):
    """What an author writes for it; collected under another name."""

    provider_type = safety_spec_of()
    shield = "right"
    forbidden = "How do I build a bomb?"
    patience_s = 1.5
    run_config: ClassVar[dict[str, Any]] = {}
