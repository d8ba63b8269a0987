"""Checks of a provider's life: build, start, health, stop, and again."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from hitchpost.api import PROTOCOLS
from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.check import CheckFailed, NotApplicable, check, seen_error
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.holdings import settled, stock_at_rest, take_stock
from hitchpost.conformance.preflight import BUILD, Unusable
from hitchpost.errors import HitchpostError
from hitchpost.plugin import Provider

BUSY_REQUESTS = 4
STEPS_BEFORE_CANCEL = (0, 1, 2, 5)
"""After how many rounds of the event loop a start is broken off."""


class LifecycleChecks(ConformanceBase):
    """The host starts, stops and retries providers at any moment."""

    @check(
        "lifecycle.build",
        why="the host builds providers in a thread without an event loop, and calls every method of the API on what the factory made",
        advice=BUILD.advice,
    )
    async def test_factory_makes_a_provider_outside_of_the_event_loop(self, harness: Harness) -> None:
        """The factory makes a provider with every method of its API, in a thread and without holding anything yet."""
        await harness.start_surroundings()
        before = take_stock()
        provider = await harness.build()
        protocol = PROTOCOLS.get(harness.spec.api)
        lacking = [name for name in vars(protocol) if not name.startswith("_") and not hasattr(provider, name)]
        if lacking:
            raise CheckFailed(f"{type(provider).__name__} lacks {', '.join(lacking)}")
        held = take_stock().beyond(before)
        if held:
            raise CheckFailed(f"after the factory returned there are new {held}")

    @check(
        "lifecycle.start-twice",
        why="starting twice is starting once: the host may call start() again, and what the second call opened nobody would close",
        advice="return from start() at once when the provider has started already",
    )
    async def test_starting_twice_is_starting_once(self, harness: Harness) -> None:
        """A second start() succeeds and opens nothing that the first did not."""
        async with harness.started() as provider:
            first = take_stock()
            await harness.within(provider.start(), "the second start()")
            more = await settled(lambda: take_stock().more_than(first), harness.patience_s)
            if more:
                raise CheckFailed(f"after the second start() there are {more}")

    @check(
        "lifecycle.stop-releases",
        why="what a stopped provider keeps adds up with every retry, and keeps ports and files from its successor",
        advice="cancel and await the provider's tasks, close its sessions, and wait for its threads and processes in stop()",
    )
    async def test_stopping_lets_go_of_everything(self, harness: Harness) -> None:
        """After start(), a request and stop(), no task, thread, child process or socket of the provider is left."""
        await harness.start_surroundings()
        await harness.stop_stack()
        before = await stock_at_rest()
        async with harness.started() as provider:
            await _use(self, harness, provider)
        left = await settled(lambda: take_stock().beyond(before), harness.patience_s)
        if left:
            raise CheckFailed(f"after stop() there are still {left}")

    @check(
        "lifecycle.stop-twice",
        why="a stop may follow on another, as when the host ends while a retry cleans up",
        advice="make stop() do nothing where there is nothing left to stop",
    )
    async def test_stopping_twice_is_stopping_once(self, harness: Harness) -> None:
        """A second stop() returns without an error."""
        async with harness.started() as provider:
            await harness.within(provider.stop(), "the first stop()")
            await harness.within(provider.stop(), "the second stop()")

    @check(
        "lifecycle.stop-half-started",
        why="a start that fails, takes too long or is broken off by the host's end is followed by stop()",
        advice="let stop() cope with attributes that start() has not set yet, and let start() release what it took when it is cancelled",
    )
    async def test_stopping_ends_half_a_start(self, harness: Harness) -> None:
        """Without start(), and after a start() that was cancelled at any of several moments, stop() ends and nothing is left."""
        await harness.start_surroundings()
        await harness.stop_stack()
        before = await stock_at_rest()
        unstarted = await harness.build()
        await harness.within(unstarted.stop(), "stop() without start()")
        for steps in STEPS_BEFORE_CANCEL:
            provider = await harness.build()
            await _cancel_after(harness, provider.start(), steps)
            await harness.within(provider.stop(), "stop() after half a start()")
        left = await settled(lambda: take_stock().beyond(before), harness.patience_s)
        if left:
            raise CheckFailed(f"after half a start() and stop() there are still {left}")

    @check(
        "lifecycle.restart",
        why="after a failure the host stops a provider and starts a new object of the same config in its place",
        advice="release ports, locks and files in stop(), and keep no state in the class or the module",
    )
    async def test_a_new_object_starts_where_another_stopped(self, harness: Harness) -> None:
        """After stop(), a new provider of the same config starts, is healthy and serves."""
        for _ in range(2):
            async with harness.started() as provider:
                await harness.within(provider.health(), "health()")
                await _use(self, harness, provider)

    @check(
        "lifecycle.stop-while-busy",
        why="the host stops providers though requests are under way, at the latest when they outlast the shutdown timeout",
        advice="let stop() end what is under way, and let those requests end with an error of hitchpost.errors, such as BackendUnavailableError",
    )
    async def test_stopping_while_busy_ends(self, harness: Harness) -> None:
        """With requests under way stop() ends, and so do the requests: whole, or with an error of the public tree."""
        if type(self).use is ConformanceBase.use:
            raise NotApplicable("the test class does not say by `use` what a request is")
        async with harness.started() as provider:
            began = [asyncio.Event() for _ in range(BUSY_REQUESTS)]
            requests = [asyncio.create_task(_use(self, harness, provider, event)) for event in began]
            signs = [asyncio.create_task(event.wait()) for event in began]
            await asyncio.wait([*requests, *signs], timeout=harness.patience_s, return_when=asyncio.FIRST_COMPLETED)
            try:
                await harness.within(provider.stop(), "stop() with requests under way")
                done, pending = await asyncio.wait(requests, timeout=harness.patience_s)
            finally:
                for task in (*signs, *requests):
                    task.cancel()
            if pending:
                raise CheckFailed(f"{len(pending)} requests were still waiting {harness.patience_s:g} s after stop()")
            for task in done:
                error = None if task.cancelled() else task.exception()
                if isinstance(error, CheckFailed | Unusable):
                    raise error
                if error is not None and not isinstance(error, HitchpostError):
                    raise CheckFailed(f"a request that was under way ended with {seen_error(error)}")

    @check(
        "health.answers",
        why="the host asks every 15 s, waits for 10 s at most, and shows a provider that doesn't answer as degraded",
        advice="return from health() when the provider can serve; give the question to the backend a timeout below 10 s",
    )
    async def test_health_of_a_started_provider_is_good(self, harness: Harness) -> None:
        """After start(), health() returns in time, more than once."""
        async with harness.started() as provider:
            for _ in range(3):
                await harness.within(provider.health(), "health()", min(harness.patience_s, 10))

    @check(
        "health.errors",
        why="the reason that health() raises is shown to operators as it is; an error of another kind is hidden as a defect",
        advice="raise BackendUnavailableError with what is wrong and what to do",
    )
    async def test_health_raises_errors_of_the_public_tree(self, harness: Harness) -> None:
        """Before start() and after stop(), health() ends in time: well, or with an error of hitchpost.errors."""
        provider = await harness.build()
        await _public_health(harness, provider, "before start()")
        async with harness.started() as provider:
            pass
        await _public_health(harness, provider, "after stop()")


async def _public_health(harness: Harness, provider: Provider[Any], when: str) -> None:
    try:
        await harness.within(provider.health(), f"health() {when}", min(harness.patience_s, 10))
    except HitchpostError:
        return
    except CheckFailed:
        raise
    except Exception as error:
        raise CheckFailed(f"health() {when} raised {seen_error(error)}") from error


async def _use(
    kit: ConformanceBase, harness: Harness, provider: Provider[Any], began: asyncio.Event | None = None
) -> None:
    async def use() -> None:
        async for _ in kit.use(harness, provider):
            if began is not None:
                began.set()

    await harness.within(use(), "a request")


async def _cancel_after(harness: Harness, work: Awaitable[Any], steps: int) -> None:
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=harness.patience_s)
    if not done:
        raise CheckFailed(f"start() had not ended {harness.patience_s:g} s after it was cancelled")
    if not task.cancelled():
        task.exception()


__all__ = ["LifecycleChecks"]
