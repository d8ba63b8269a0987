"""The check that many requests at once don't mix."""

import asyncio

from hitchpost.api import Capability
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.inference.subject import InferenceSubject
from hitchpost.plugin import chat_of

SIDE_BY_SIDE = 24


class ConcurrencyChecks(InferenceSubject):
    """One provider object serves all requests."""

    @check(
        "concurrent.requests",
        why="text of one caller in the answer of another is the worst that can happen",
        advice="keep what belongs to a request in local variables, never in attributes of the provider",
        needs=Capability.chat,
    )
    async def test_concurrent_requests_do_not_mix(self, harness: Harness) -> None:
        """24 different prompts at once get the answers that each gets alone."""
        prompts = [f"{self.chat_prompt} Number {number * 37 % 101}." for number in range(SIDE_BY_SIDE)]
        alone = [await self._text(harness, prompt) for prompt in prompts]
        together = await asyncio.gather(*(self._text(harness, prompt) for prompt in prompts))
        for prompt, expected, got in zip(prompts, alone, together, strict=True):
            if got == expected:
                continue
            if got in alone:
                raise CheckFailed(f"{prompt!r} got the answer of {prompts[alone.index(got)]!r}: {got!r}"[:500])
            if self.repeatable:
                raise CheckFailed(f"{prompt!r} is answered {expected!r} alone, and {got!r} among others"[:500])

    async def _text(self, harness: Harness, prompt: str) -> str:
        [choice] = chat_of(await self.events(harness, self.chat(prompt)), 1).choices
        return choice.text


__all__ = ["ConcurrencyChecks"]
