"""The check that a provider never blocks the event loop, by samples of the loop's stack."""

import asyncio
from collections.abc import Awaitable, Callable

from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.loop_thread import SAMPLE_INTERVAL_S, Stall

REQUESTS = 3


class EventLoopChecks(ConformanceBase):
    """All providers of a host share one event loop."""

    @check(
        "event-loop.free",
        why="while one provider blocks the event loop, every request of every provider waits, and so do health checks and cancellations",
        advice="await what waits; move what computes or blocks into asyncio.to_thread or a process of its own",
    )
    async def test_provider_never_blocks_the_event_loop(self, harness: Harness) -> None:
        """start(), requests, health() and stop() let the event loop run; a place counts that blocks it in two rounds."""

        async def live() -> None:
            async with harness.started() as provider:
                for _ in range(REQUESTS):
                    async for _ in self.use(harness, provider):
                        pass
                await harness.within(provider.health(), "health()")

        stalls = await stalls_of(harness, live)
        if stalls:
            raise CheckFailed("; ".join(sorted({str(stall) for stall in stalls})))


async def stalls_of(harness: Harness, activity: Callable[[], Awaitable[None]]) -> list[Stall]:
    """The stalls of the second of two rounds, in functions where the first had one too: what only the first use costs doesn't count."""
    first = await _one_round(harness, activity)
    if not first:
        return []
    second = await _one_round(harness, activity)
    functions = {stall.function for stall in first}
    return [stall for stall in second if stall.function in functions]


async def _one_round(harness: Harness, activity: Callable[[], Awaitable[None]]) -> list[Stall]:
    start = len(harness.loop.stalls)
    await activity()
    # Lets the watching thread write down the last one.
    await asyncio.sleep(3 * SAMPLE_INTERVAL_S)
    return harness.loop.stalls[start:]


__all__ = ["EventLoopChecks", "stalls_of"]
