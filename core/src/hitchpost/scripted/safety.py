"""The provider of safety behind `inline::scripted`: shields that find what a script says."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from hitchpost.api import (
    CompletionMessage,
    Message,
    RequestContext,
    RunShieldRequest,
    RunShieldResponse,
    SafetyViolation,
    Shield,
    UserMessage,
    ViolationLevel,
    content_text,
)
from hitchpost.api.wire_model import WireModel
from hitchpost.errors import BadRequestError
from hitchpost.plugin import Metric, ProviderDeps, SafetyProvider
from hitchpost.scripted.calls import CallRule, CallScript
from hitchpost.scripted.faults import Settings

# --- config ---


class Violation(Settings):
    """What a rule finds."""

    level: ViolationLevel = ViolationLevel.error
    user_message: str | None = "I can't answer that. Can I help you with something else?"
    violation_type: str | None = "scripted"
    """Goes into the violation's metadata. Absent: nothing of the kind."""
    metadata: dict[str, Any] = Field(default_factory=dict)

    def found(self) -> SafetyViolation:
        """As the caller gets it."""
        named = {} if self.violation_type is None else {"violation_type": self.violation_type}
        return SafetyViolation(
            violation_level=self.level, user_message=self.user_message, metadata={**named, **self.metadata}
        )


class ShieldRule(CallRule):
    """What a shield finds in the last message of a conversation, or how it fails."""

    effects: ClassVar[tuple[str, ...]] = ("violation", "passes", "delay_s", "fault")

    shield: str | None = None
    """The shield that the rule is for, by the provider's name for it. Absent: all."""
    role: Literal["user", "system", "ipython", "assistant"] | None = None
    """Whose message the rule judges. Absent: anybody's."""
    violation: Violation | None = None
    passes: bool = False
    """Whether nothing is found, whatever the rules below say."""


UNSAFE = ShieldRule(
    when=re.compile(r"(?i)\bignore (?:all|any|the|your|previous|prior)\b.{0,40}\binstructions\b|\b(?:make|build)\b.{0,40}\bbombs?\b"),
    violation=Violation(),
)  # fmt: skip
"""What every shield finds where the config has no script."""


class ScriptedSafetyConfig(Settings):
    """Config of `inline::scripted` for safety. Without a script it finds requests to ignore instructions or to make a bomb."""

    shields: Annotated[tuple[str, ...], Field(min_length=1)] = ("scripted",)
    """The shields that it has; other names can't be registered."""
    accept_any_shield: bool = False
    """Whether every name can be registered."""
    script: tuple[ShieldRule, ...] = (UNSAFE,)
    """The first rule that fits decides; where none does, nothing is found."""


class ShieldParams(WireModel):
    """What `inline::scripted` reads of a shield's params; the rest is kept for whom it concerns."""

    words: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1_000)], ...], Field(max_length=1_000)] = ()
    """Texts that the shield finds besides, in upper or lower case. Not patterns, as callers may register shields."""


# --- provider ---


class ScriptedSafety(SafetyProvider[ScriptedSafetyConfig]):
    """Judges the last message by the rules of its config and by the words of the shield."""

    def __init__(self, config: ScriptedSafetyConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._script = CallScript(config.script)
        self._checks = self._running = self._violations = 0

    def metrics(self) -> Iterable[Metric]:
        """What was checked and found, and what runs."""
        return (
            Metric(name="checks_total", kind="counter", help="Conversations checked.", value=self._checks),
            Metric(name="checks_running", kind="gauge", help="Checks under way.", value=self._running),
            Metric(name="violations_total", kind="counter", help="Violations found.", value=self._violations),
        )

    async def list_shields(self) -> Sequence[Shield]:
        """The shields of the config."""
        return [Shield(provider_resource_id=name, params={}) for name in self.config.shields]

    async def register_shield(self, shield: Shield, context: RequestContext | None) -> None:
        """Accepts the shields of the config, others only with `accept_any_shield`; and any params whose `words` can be read."""
        name = shield.provider_resource_id
        if not self.config.accept_any_shield and name not in self.config.shields:
            raise BadRequestError(
                f"provider {self.deps.provider_id} has no shield {name!r}; it has {', '.join(self.config.shields)}",
                param="provider_shield_id",
            )
        _params(shield)

    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        """Judge the last message."""
        shield = context.resource if isinstance(context.resource, Shield) else None
        name = request.shield_id if shield is None else shield.provider_resource_id
        message = request.messages[-1]
        text = _text(message)
        rule = self._script.find(
            lambda rule: rule.shield in (None, name) and rule.role in (None, message.role) and rule.finds(text)
        )
        self._checks += 1
        self._running += 1
        try:
            if rule is not None:
                await rule.play()
        finally:
            self._running -= 1
        violation = None if rule is None or rule.violation is None else rule.violation.found()
        if violation is None and not (rule and rule.passes) and shield and _has_one_of(text, _params(shield).words):
            violation = Violation().found()
        self._violations += violation is not None
        return RunShieldResponse(violation=violation)


def _params(shield: Shield) -> ShieldParams:
    try:
        return ShieldParams.model_validate(shield.params or {})
    except ValidationError as error:
        raise BadRequestError(
            "params.words must be a list of at most 1,000 texts of 1 to 1,000 characters", param="params.words"
        ) from error


def _text(message: Message) -> str:
    """What a message says: retrieved context counts, and so do the calls of tools."""
    parts = [content_text(message.content)]
    if isinstance(message, UserMessage) and message.context:
        parts.append(content_text(message.context))
    if isinstance(message, CompletionMessage):
        parts += [f"{call.tool_name} {call.arguments_json}" for call in message.tool_calls]
    return "\n".join(part for part in parts if part)


def _has_one_of(text: str, words: Iterable[str]) -> bool:
    folded = text.casefold()
    return any(word.casefold() in folded for word in words)


__all__ = ["ScriptedSafety", "ScriptedSafetyConfig", "ShieldRule", "Violation"]
