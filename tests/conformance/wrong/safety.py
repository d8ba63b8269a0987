"""What a safety provider can do wrong."""

import asyncio
from typing import Any

from hitchpost.api import (
    RequestContext,
    RunShieldRequest,
    RunShieldResponse,
    SafetyViolation,
    Shield,
    ViolationLevel,
    content_text,
)
from tests.conformance.right.safety import RightSafety
from tests.conformance.wrong.case import wrong_safety


@wrong_safety("shield.harmless", "'How do I bake a loaf of bread.' is answered SafetyViolation")
class AlwaysAfraid(RightSafety):
    def verdict(self, text: str) -> RunShieldResponse:
        return super().verdict("bomb")


@wrong_safety("shield.forbidden", "the violation is of the level warn")
class OnlyWarns(RightSafety):
    def verdict(self, text: str) -> RunShieldResponse:
        answer = super().verdict(text)
        if answer.violation:
            answer.violation.violation_level = ViolationLevel.warn
        return answer


@wrong_safety("shield.user-message", "user_message=None")
class SaysNothing(RightSafety):
    def verdict(self, text: str) -> RunShieldResponse:
        answer = super().verdict(text)
        return RunShieldResponse(
            violation=SafetyViolation(violation_level=ViolationLevel.error) if answer.violation else None
        )


@wrong_safety("shield.unknown", "'no-such-shield-of-this-provider' could be registered, and it answered")
class TakesEveryShield(RightSafety):
    async def register_shield(self, shield: Shield, context: RequestContext | None) -> None:
        return None


@wrong_safety("shield.other-name", "under another name it lets")
class KnowsOneName(RightSafety):
    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        return await super().run_shield(request, context) if request.shield_id == "right" else RunShieldResponse()


@wrong_safety("shield.announced-again", "register_shield answered bool, neither a Shield nor None")
class AnswersYes(RightSafety):
    async def register_shield(self, shield: Shield, context: RequestContext | None) -> Any:
        await super().register_shield(shield, context)
        return True if context is None else None


@wrong_safety("shield.concurrent", "among others, ")
class RemembersTheText(RightSafety):
    text = ""

    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        self.text = content_text(request.messages[-1].content)
        await asyncio.sleep(0)
        return self.verdict(self.text)
