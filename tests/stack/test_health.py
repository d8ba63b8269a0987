"""What the host makes of a provider's health: asked now and then, and when the provider says that it changed."""

import asyncio
from typing import Any

import pytest

from hitchpost.errors import BackendUnavailableError
from hitchpost.routing import ProviderState
from hitchpost.stack import build
from tests.plugged import CONTEXT, Echo, Patient, Plugged, chat, one, until


@pytest.fixture(autouse=True)
def often_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens every 15 seconds happens all the time."""
    monkeypatch.setattr(build, "HEALTH_INTERVAL_S", 0.001)


@pytest.mark.parametrize(
    "illness",
    [
        BackendUnavailableError("backend gone"),
        KeyError("sk-secret"),
        SystemExit(1),
        asyncio.CancelledError(),
        TimeoutError(),
    ],
    ids=lambda illness: type(illness).__name__,
)
async def test_ill_provider_is_degraded_and_recovers_with_its_registrations_announced_again(
    illness: BaseException, plugged: Plugged
) -> None:
    plugged.add(Patient)

    async with plugged.running(one(models=[{"model_id": "m"}])) as stack:
        [gate] = stack.providers
        patient: Any = gate.provider
        patient.illness = illness
        await until(lambda: gate.state is ProviderState.degraded)
        told_before = patient.registrations
        answer = await stack.inference.chat_completion(chat(), CONTEXT)
        assert "secret" not in gate.reason

        patient.illness = None
        await until(lambda: gate.state is ProviderState.ready and patient.registrations > told_before)

    assert answer.choices[0].text == "hello"


async def test_plain_health_function_that_raises_degrades_only(plugged: Plugged) -> None:
    class Plain(Echo):
        def health(self) -> None:  # type: ignore[override]
            raise KeyError("x")

    plugged.add(Plain)

    async with plugged.running(one()) as stack:
        await until(lambda: stack.providers[0].state is ProviderState.degraded)


async def test_health_that_hangs_degrades_and_is_asked_again(plugged: Plugged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "HEALTH_TIMEOUT_S", 0.005)
    checks = []

    class Hanging(Echo):
        async def health(self) -> None:
            checks.append(True)
            await asyncio.Event().wait()

    plugged.add(Hanging)

    async with plugged.running(one()) as stack:
        await until(lambda: len(checks) >= 3)
        assert "it did not answer the health check within 0.005 s" in stack.providers[0].reason


async def test_healthy_provider_is_asked_again_what_it_serves(plugged: Plugged) -> None:
    plugged.add(Patient)

    async with plugged.running(one()) as stack:
        patient: Any = stack.providers[0].provider
        patient.names = ["second"]
        await until(lambda: patient.lists >= 3)
        answer = await stack.inference.chat_completion(chat("second"), CONTEXT)

    assert answer.choices[0].text == "hello"
    assert patient.registrations == 0


async def test_provider_that_says_so_is_asked_at_once(plugged: Plugged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "HEALTH_INTERVAL_S", 600)
    plugged.add(Patient)

    async with plugged.running(one()) as stack:
        [gate] = stack.providers
        patient: Any = gate.provider
        patient.illness = BackendUnavailableError("backend gone")
        patient.deps.health_changed()
        await until(lambda: gate.state is ProviderState.degraded)
        reason = gate.reason
        patient.illness = None
        patient.deps.health_changed()
        await until(lambda: gate.state is ProviderState.ready)

    assert reason == "backend gone"
    assert patient.checks == 2


async def test_provider_that_always_says_so_does_not_keep_others_from_running(
    plugged: Plugged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HEALTH_INTERVAL_S", 600)

    class Nervous(Patient):
        async def health(self) -> None:
            await super().health()
            self.deps.health_changed()

    plugged.add(Nervous)

    async with plugged.running(one(models=[{"model_id": "m"}])) as stack:
        nervous: Any = stack.providers[0].provider
        nervous.deps.health_changed()
        await until(lambda: nervous.checks >= 3)
        answer = await stack.inference.chat_completion(chat(), CONTEXT)

    assert answer.choices[0].text == "hello"
