"""Checks that a stream whose reader left ends, and its work with it."""

import asyncio
from typing import Any

from hitchpost.api import Capability
from hitchpost.conformance.check import CheckFailed, check, seen_error
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.holdings import take_stock
from hitchpost.conformance.inference.subject import InferenceSubject


class CancellationChecks(InferenceSubject):
    """A stream is closed by `aclose()`, or by cancelling the task that waits for its next event."""

    @check(
        "cancel.close-stream",
        why="a stream that goes on after its reader left computes for nobody, and holds a place in the gate",
        advice="let GeneratorExit pass, end the backend's work in `finally`, and don't yield there",
        needs=Capability.chat,
    )
    async def test_closing_a_stream_ends_its_work(self, harness: Harness) -> None:
        """A stream that is closed after its first event ends at once, leaves no work behind, and the next request is answered."""
        await self.whole(harness, self.chat())
        before = take_stock()
        stream = await self._begun(harness)
        await harness.within(anext(stream), "the first event")
        try:
            await harness.within(stream.aclose(), "closing a stream")
        except RuntimeError as error:
            raise CheckFailed(f"closing a stream raised {seen_error(error)}") from error
        await self._check_over(harness, before, "a stream was closed")

    @check(
        "cancel.first-event",
        why="prompts take longest before their first token: a caller that leaves then must not be computed for",
        advice="await the backend directly, so that the cancellation reaches it, or end its work in `except CancelledError: ...; raise`",
        needs=Capability.chat,
    )
    async def test_cancelling_before_the_first_event_ends_the_work(self, harness: Harness) -> None:
        """A stream whose reader is cancelled while it waits for the first event ends at once and leaves no work behind."""
        await self.whole(harness, self.chat())
        before = take_stock()
        stream = await self._begun(harness)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        done, _ = await asyncio.wait({waiting}, timeout=harness.patience_s)
        if not done:
            raise CheckFailed(f"the stream had not ended {harness.patience_s:g} s after its reader was cancelled")
        if not waiting.cancelled() and (error := waiting.exception()) is not None:
            raise CheckFailed(f"a cancelled stream ended with {seen_error(error)}")
        await harness.within(stream.aclose(), "closing a stream")
        await self._check_over(harness, before, "a stream was cancelled before its first event")

    async def _begun(self, harness: Harness) -> Any:
        provider: Any = await harness.provider()
        return provider.stream_chat_completion(self.chat(self.long_prompt), harness.context(self.resource()))

    async def _check_over(self, harness: Harness, before: Any, after: str) -> None:
        await harness.check_idle(after)
        await harness.check_no_new_tasks(before, after)
        await self.whole(harness, self.chat())


__all__ = ["CancellationChecks"]
