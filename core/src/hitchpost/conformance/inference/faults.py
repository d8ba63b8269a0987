"""Checks of what a caller sees when the backend fails half-way; the author says how to make it fail."""

import asyncio
from contextlib import AbstractAsyncContextManager

from hitchpost.api import Capability, ChatCompletionRequest, RequestContext
from hitchpost.conformance.check import CheckFailed, check, seen_error
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.inference.subject import InferenceSubject
from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, DeadlineExceededError, HitchpostError

DEADLINE_S = 1.0


class FaultChecks(InferenceSubject):
    """Needs `backend_faults`."""

    @check(
        "faults.stall",
        why="a backend that says nothing more must not hold its callers for ever",
        advice="don't catch CancelledError or TimeoutError on the way, and don't shield the wait for the backend",
        needs=Capability.chat,
    )
    async def test_stalled_backend_meets_the_deadline(self, harness: Harness) -> None:
        """A backend that stalls ends its request at the deadline with an error, streamed and whole; afterwards it serves again."""
        await self._check_fault(
            harness, harness.faults.stall(), (DeadlineExceededError, BackendUnavailableError), "stalled"
        )

    @check(
        "faults.cut",
        why="half an answer that ends as if it were whole is believed",
        advice="yield Finish only when the backend said why it ended; else raise BadBackendAnswerError or BackendUnavailableError",
        needs=Capability.chat,
    )
    async def test_cut_backend_is_an_error(self, harness: Harness) -> None:
        """A backend that breaks off ends its request with an error, streamed and whole, never as a success; afterwards it serves again."""
        await self._check_fault(
            harness, harness.faults.cut(), (BadBackendAnswerError, BackendUnavailableError), "cut off"
        )

    async def _check_fault(
        self,
        harness: Harness,
        fault: AbstractAsyncContextManager[str | None],
        expected: tuple[type[HitchpostError], ...],
        what: str,
    ) -> None:
        await self.whole(harness, self.chat())
        async with fault as prompt:
            request = self.chat(self.long_prompt if prompt is None else prompt)
            for ask in (self._stream, self._whole):
                deadline = asyncio.get_running_loop().time() + min(DEADLINE_S, harness.patience_s / 2)
                try:
                    seen = await ask(harness, request, harness.context(deadline=deadline))
                except expected:
                    continue
                except HitchpostError as error:
                    raise CheckFailed(f"an answer that was {what} ended with {seen_error(error)}") from error
                raise CheckFailed(f"an answer that was {what} ended as a success: {seen[:200]}")
        await harness.check_idle(f"an answer was {what}")
        await self.whole(harness, self.chat())

    async def _stream(self, harness: Harness, request: ChatCompletionRequest, context: RequestContext) -> str:
        return str((await self.events(harness, request, context))[-3:])

    async def _whole(self, harness: Harness, request: ChatCompletionRequest, context: RequestContext) -> str:
        return str(await self.whole(harness, request, context))


__all__ = ["FaultChecks"]
