"""Checks of requests that hold for every API: errors, cancellation, and data of one caller that no other may see."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.check import CheckFailed, NotApplicable, check, seen_error
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.holdings import take_stock
from hitchpost.errors import ConfigError, HitchpostError, PluginError, ProviderDefectError
from hitchpost.plugin.declarations import load_import_string
from hitchpost.plugin.promises import broken_promises

ROUNDS = 20
"""How many requests each caller sends at the same time."""
STEPS_BEFORE_CANCEL = (1, 3, 10)


class RequestChecks(ConformanceBase):
    """A provider's requests, whatever they ask."""

    @check(
        "capabilities.implemented",
        why="requests that the type declares reach the provider, and the base class refuses them: a promise that isn't kept",
        advice="implement the methods, or take the capability out of the ProviderSpec",
    )
    async def test_declared_capabilities_are_implemented(self, harness: Harness) -> None:
        """The provider implements the methods that the declared capabilities stand for."""
        lacking = broken_promises(await harness.build(), harness.spec.capabilities)
        if lacking:
            raise CheckFailed("; ".join(lacking))

    @check(
        "errors.public",
        why="what isn't of the public tree is a defect: the caller gets an opaque 500, and nobody learns what to do",
        advice="raise the narrowest class of hitchpost.errors; translate the errors of your library where you call it",
    )
    async def test_errors_are_of_the_public_tree(self, harness: Harness) -> None:
        """Odd requests are answered, or refused with an error of hitchpost.errors."""
        await harness.stack()
        requests = self.odd_requests(harness)
        if not requests:
            raise NotApplicable("the test class does not say by `odd_requests` what could be asked")
        for name, request in requests.items():
            try:
                await harness.within(request(), f"the request with {name}")
            except (ProviderDefectError, ConfigError, PluginError) as error:
                raise CheckFailed(f"the request with {name} ended with {seen_error(error)}") from error
            except HitchpostError:
                continue
            except CheckFailed:
                raise
            except Exception as error:
                raise CheckFailed(f"the request with {name} ended with {seen_error(error)}") from error

    @check(
        "cancel.whole-answer",
        why="a caller that left still costs, and a request that can't be cancelled holds its place until the deadline",
        advice="let CancelledError pass (`except Exception` does, `except BaseException` doesn't), and end the work in `finally`",
    )
    async def test_cancelling_a_whole_answer_ends_its_work(self, harness: Harness) -> None:
        """A request whose task is cancelled ends at once, leaves no work behind, and the next one is answered."""
        await harness.stack()
        await harness.within(self.ask(harness, harness.context()), "a request")
        before = take_stock()
        for steps in STEPS_BEFORE_CANCEL:
            task = asyncio.create_task(self.ask(harness, harness.context(), self.long_request()))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=harness.patience_s)
            if not done:
                raise CheckFailed(f"a request had not ended {harness.patience_s:g} s after it was cancelled")
            if not task.cancelled() and (error := task.exception()) is not None:
                raise CheckFailed(f"a cancelled request ended with {seen_error(error)}")
        await harness.check_idle("a request was cancelled")
        await harness.check_no_new_tasks(before, "requests were cancelled")
        await harness.within(self.ask(harness, harness.context()), "the request after a cancelled one")

    @check(
        "provider-data.shared",
        why="the header carries the data for all providers at once, and each takes out its own",
        advice="don't forbid unknown keys in the provider_data model; give keys that are secret the type SecretStr",
    )
    async def test_provider_data_may_carry_what_is_for_others(self, harness: Harness) -> None:
        """The schema of provider data takes the samples with further keys beside them."""
        for sample in self._samples(harness).values():
            schema = load_import_string(str(harness.spec.provider_data))
            try:
                schema.model_validate({**sample, "another_providers_key": "x"})
            except ValidationError as error:
                raise CheckFailed(f"{schema.__name__} refuses what is for another provider: {error}") from error

    @check(
        "provider-data.isolated",
        why="it holds callers' keys: one that is kept in the provider or its session is spent by a stranger",
        advice="read context.provider_data in each request, pass it down as an argument, and keep it nowhere",
    )
    async def test_provider_data_of_one_request_is_seen_by_no_other(self, harness: Harness) -> None:
        """Of many concurrent requests with different provider data each is answered under its own, and one without any under none."""
        samples = self._samples(harness)
        await harness.stack()
        # Alternating, so that neighbours in time have different data.
        order = [mark for _ in range(ROUNDS) for mark in samples]
        answers = await harness.within(
            asyncio.gather(*(self.ask(harness, harness.context(raw_provider_data=samples[mark])) for mark in order)),
            f"{len(order)} concurrent requests",
        )
        for mark, answer in zip(order, answers, strict=True):
            strangers = [other for other in samples if other != mark and other in answer]
            if mark not in answer or strangers:
                seen = f"that of {strangers[0]!r}" if strangers else "none"
                raise CheckFailed(f"a request with the provider data of {mark!r} was answered under {seen}")
        try:
            answer = await harness.within(self.ask(harness, harness.context(raw_provider_data=None)), "a request")
        except HitchpostError:
            return
        left = [mark for mark in samples if mark in answer]
        if left:
            raise CheckFailed(f"a request without provider data was answered under that of {left[0]!r}")

    def _samples(self, harness: Harness) -> Mapping[str, Mapping[str, Any]]:
        if harness.spec.provider_data is None:
            raise NotApplicable("the provider type takes no provider data")
        if len(self.provider_data) < 2:
            raise CheckFailed("the type takes provider data, but the test class has no two samples in provider_data")
        return self.provider_data


__all__ = ["RequestChecks"]
