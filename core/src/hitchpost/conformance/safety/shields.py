"""Checks of shields: what they let through, what they stop, and how they are registered."""

import asyncio

from hitchpost.api import (
    Api,
    RegisterShieldRequest,
    RunShieldResponse,
    SafetyViolation,
    Shield,
    UnregisterShieldRequest,
    ViolationLevel,
)
from hitchpost.conformance.check import CheckFailed, check, seen_error
from hitchpost.conformance.harness import PROVIDER_ID, Harness
from hitchpost.conformance.safety.subject import SafetySubject
from hitchpost.errors import BadRequestError, HitchpostError, NotFoundError

UNKNOWN = "no-such-shield-of-this-provider"
OTHER_NAME = "under-another-name"
SIDE_BY_SIDE = 24


class ShieldChecks(SafetySubject):
    """A shield says None, or what it found."""

    @check(
        "shield.harmless",
        why="a shield that stops everything stops the application",
        advice="answer RunShieldResponse() where nothing was found, or set `harmless` to a text that it lets through",
    )
    async def test_harmless_text_has_no_violation(self, harness: Harness) -> None:
        """The text `harmless`, alone and within a conversation, has no violation."""
        for texts in ((self.harmless,), (self.harmless, "Gladly.", self.harmless)):
            answer = await self.run(harness, self.request(*texts))
            if not isinstance(answer, RunShieldResponse):
                raise CheckFailed(f"run_shield answered {type(answer).__name__}")
            if answer.violation is not None:
                raise CheckFailed(f"{self.harmless!r} is answered {answer.violation!r}")

    @check(
        "shield.forbidden",
        why="only a violation of the level `error` stops a conversation",
        advice="answer a SafetyViolation with violation_level `error`, or set `forbidden` to a text that it stops",
    )
    async def test_forbidden_text_is_a_violation(self, harness: Harness) -> None:
        """The text `forbidden`, alone and at the end of a conversation, is a violation of the level `error`."""
        for texts in ((self.forbidden,), (self.harmless, "Gladly.", self.forbidden)):
            violation = (await self.run(harness, self.request(*texts))).violation
            if not isinstance(violation, SafetyViolation):
                raise CheckFailed(f"{self.forbidden!r} is answered {violation!r}")
            if violation.violation_level is not ViolationLevel.error:
                raise CheckFailed(f"the violation is of the level {violation.violation_level}")

    @check(
        "shield.user-message",
        why="it is shown to the user in place of the answer",
        advice="say in user_message, in a sentence, that the request can't be answered",
    )
    async def test_violation_says_something_to_the_user(self, harness: Harness) -> None:
        """A violation has a text for the user."""
        violation = (await self.run(harness, self.request(self.forbidden))).violation
        if violation is None or not (violation.user_message or "").strip():
            raise CheckFailed(f"the violation is {violation!r}")

    @check(
        "shield.unknown",
        why="a misspelt shield that lets everything through is no shield, and nobody notices",
        advice="raise BadRequestError in register_shield for what you don't have, or NotFoundError when it is asked for",
    )
    async def test_unknown_shield_is_refused(self, harness: Harness) -> None:
        """A shield that the provider doesn't have is refused at its registration, or when it is asked."""
        shields = await harness.router(Api.shields)
        request = RegisterShieldRequest(shield_id=UNKNOWN, provider_id=PROVIDER_ID)
        try:
            await harness.within(shields.register_shield(request, harness.context()), "the registration")
        except (BadRequestError, NotFoundError):
            return
        try:
            await self.run(harness, self.request(self.harmless, shield_id=UNKNOWN))
        except (BadRequestError, NotFoundError):
            return
        except HitchpostError as error:
            raise CheckFailed(f"asked for shield {UNKNOWN!r} it raised {seen_error(error)}") from error
        finally:
            await shields.unregister_shield(UnregisterShieldRequest(shield_id=UNKNOWN), harness.context())
        raise CheckFailed(f"shield {UNKNOWN!r} could be registered, and it answered")

    @check(
        "shield.other-name",
        why="callers use the registered name; the backend knows the shield by the provider's own",
        advice="use context.resource.provider_resource_id and its params, and don't change identifier and provider_id in register_shield",
    )
    async def test_shield_serves_under_another_name(self, harness: Harness) -> None:
        """The shield, registered once more under another identifier, still stops `forbidden`, until it is unregistered."""
        shields = await harness.router(Api.shields)
        request = RegisterShieldRequest(
            shield_id=OTHER_NAME,
            provider_shield_id=self.shield,
            provider_id=PROVIDER_ID,
            params=dict(self.shield_params),
        )
        kept = await harness.within(shields.register_shield(request, harness.context()), "the registration")
        if (kept.identifier, kept.provider_id) != (OTHER_NAME, PROVIDER_ID):
            raise CheckFailed(f"register_shield turned it into {kept!r}")
        answer = await self.run(harness, self.request(self.forbidden, shield_id=OTHER_NAME))
        unregistering = shields.unregister_shield(UnregisterShieldRequest(shield_id=OTHER_NAME), harness.context())
        await harness.within(unregistering, "the end of the registration")
        if answer.violation is None:
            raise CheckFailed(f"under another name it lets {self.forbidden!r} through")
        if (await self.run(harness, self.request(self.forbidden))).violation is None:
            raise CheckFailed(f"after the other name was unregistered it lets {self.forbidden!r} through")

    @check(
        "shield.announced-again",
        why="at each start, and when a provider recovers, every registration is announced again, without a caller",
        advice="accept a registration that is there already, answer None or the same, and cope with context None",
    )
    async def test_registration_is_announced_again(self, harness: Harness) -> None:
        """register_shield and unregister_shield take the same shield again, with context None, and leave its identity alone."""
        async with harness.started() as provider:
            shield = self.resource()
            for _ in range(2):
                answer = await harness.announce(provider, shield)
                if answer is not None and not isinstance(answer, Shield):
                    raise CheckFailed(f"register_shield answered {type(answer).__name__}, neither a Shield nor None")
                if answer is not None and (answer.identifier, answer.provider_id) != (shield.identifier, PROVIDER_ID):
                    raise CheckFailed(f"register_shield answered {answer!r} for {shield!r}")
                await harness.hook(provider, "unregister_shield", shield=shield, context=None)

    @check(
        "shield.concurrent",
        why="a verdict that goes to another's text lets the forbidden through",
        advice="keep what belongs to a request in local variables, never in attributes of the provider",
    )
    async def test_concurrent_verdicts_do_not_mix(self, harness: Harness) -> None:
        """Of 24 texts at once exactly the forbidden ones are violations."""
        texts = [self.forbidden if number % 3 == 0 else self.harmless for number in range(SIDE_BY_SIDE)]
        answers = await asyncio.gather(*(self.run(harness, self.request(text)) for text in texts))
        for text, answer in zip(texts, answers, strict=True):
            if (answer.violation is not None) != (text == self.forbidden):
                raise CheckFailed(f"among others, {text!r} is answered {answer.violation!r}")


__all__ = ["ShieldChecks"]
