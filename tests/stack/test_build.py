"""One provider's life: built, started, watched, retried and stopped by itself, whatever it does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hitchpost.api import Capability, ChatCompletionRequest, Model, RequestContext, TextDelta
from hitchpost.errors import BackendUnavailableError, BadRequestError, ConfigError
from hitchpost.plugin import InferenceProvider, Provider
from hitchpost.routing import ProviderState
from hitchpost.stack import build
from tests.plugged import CONTEXT, Echo, Patient, Plugged, chat, inference, one, until


class RustPanic(BaseException):
    """Libraries in Rust raise what is no Exception."""


@pytest.fixture(autouse=True)
def impatient_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that takes seconds or minutes comes at once."""
    for name in ("RETRY_FIRST_S", "RETRY_LONGEST_S", "HEALTH_INTERVAL_S"):
        monkeypatch.setattr(build, name, 0.001)


GOOD = {"provider_id": "good", "provider_type": "inline::good"}
BAD = {"provider_id": "bad", "provider_type": "inline::bad"}
ERRORS = [
    KeyError("sk-secret"),
    SystemExit("sk-secret"),
    RustPanic("sk-secret"),
    asyncio.CancelledError(),
    StopIteration(),
]


def raise_in_factory(error: BaseException) -> Any:
    def factory(config: Any, deps: Any) -> Any:
        raise error

    return factory


def raise_in(method: str, error: BaseException) -> Any:
    async def fail(self: Any) -> None:
        raise error

    return type("Failing", (Echo,), {method: fail})


def raise_plainly_in(method: str, error: BaseException) -> Any:
    def fail(self: Any) -> None:
        raise error

    return type("Failing", (Echo,), {method: fail})


# --- isolation ---


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("make", "step"),
    [
        (raise_in_factory, "build"),
        (lambda error: raise_in("start", error), "start"),
        (lambda error: raise_plainly_in("start", error), "start"),
    ],
    ids=["factory", "start", "plain start"],
)
async def test_provider_that_raises_is_failed_with_a_reason_without_secrets_and_the_others_serve(
    make: Callable[[BaseException], Any],
    step: str,
    error: BaseException,
    plugged: Plugged,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugged.add(Echo, "inline::good")
    plugged.add(make(error), "inline::bad")

    with caplog.at_level(logging.ERROR):
        async with plugged.running(inference(BAD, GOOD, models=[{"model_id": "m", "provider_id": "good"}])) as stack:
            bad, good = stack.providers
            answer = await stack.inference.chat_completion(chat(), CONTEXT)
            states, reason = (bad.state, good.state), bad.reason

    assert states == (ProviderState.failed, ProviderState.ready)
    assert f"it failed to {step} with" in reason
    assert "secret" not in reason
    assert any(record.exc_info for record in caplog.records)
    assert answer.choices[0].text == "hello"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("start", asyncio.Event().wait),
        ("start", lambda: None),
    ],
    ids=["hangs", "is a plain function that answers nothing"],
)
async def test_start_that_can_not_be_waited_for_fails(
    method: str, body: Any, plugged: Plugged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "START_TIMEOUT_S", 1.0)
    plugged.add(type("Failing", (Echo,), {method: lambda self: body()}))

    async with plugged.running(one()) as stack:
        assert stack.providers[0].state is ProviderState.failed
        assert "it did not start within 1 s" in stack.providers[0].reason or "TypeError" in stack.providers[0].reason


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        (lambda config, deps: object(), "made object, which is no subclass of hitchpost.plugin.Provider"),
        (
            lambda config, deps: Provider(config, deps),
            "Provider lacks methods of the API inference: completion, stream_completion",
        ),
    ],
)
async def test_what_is_no_provider_of_its_api_fails_for_good(factory: Any, reason: str, plugged: Plugged) -> None:
    plugged.add(factory)

    async with plugged.running(one()) as stack:
        [gate] = stack.providers
        with pytest.raises(BackendUnavailableError) as refused:
            gate.check_serving()

    assert reason in refused.value.message
    assert refused.value.is_permanent


async def test_plain_provider_hook_fails_its_provider_for_good_and_lets_go_of_it(plugged: Plugged) -> None:
    stopped = []

    class Plain(Echo):
        def list_models(self) -> list[Model]:
            return []

        async def stop(self) -> None:
            stopped.append(True)

    plugged.add(Plain)

    async with plugged.running(one()) as stack:
        [gate] = stack.providers
        assert (gate.state, gate.retry_after_s, gate.provider) == (ProviderState.failed, None, None)
        assert "hook list_models of provider inference/p is not a coroutine function" in gate.reason

    assert stopped == [True]


# --- retries ---


def failing(times: int, error: Callable[[], BaseException], seen: list[Any]) -> Any:
    """A provider type whose first `times` starts fail."""

    class Failing(Echo):
        async def start(self) -> None:
            seen.append(self)
            if len(seen) <= times:
                raise error()

        async def list_models(self) -> list[Model]:
            return [Model(provider_resource_id="listed")]

    return Failing


async def test_failed_provider_is_built_anew_until_it_starts(plugged: Plugged) -> None:
    seen: list[Any] = []
    plugged.add(failing(3, lambda: OSError("refused"), seen))

    async with plugged.running(one()) as stack:
        await until(lambda: stack.providers[0].state is ProviderState.ready)
        answer = await stack.inference.chat_completion(chat("listed"), CONTEXT)

    assert answer.choices[0].text == "hello"
    assert len(set(map(id, seen))) == 4


@pytest.mark.parametrize(
    "error",
    [lambda: BackendUnavailableError("no licence", is_permanent=True), lambda: ConfigError("no such folder")],
    ids=["permanent", "config"],
)
async def test_provider_that_failed_for_good_is_not_tried_again(error: Any, plugged: Plugged) -> None:
    seen: list[Any] = []
    plugged.add(failing(99, error, seen))

    async with plugged.running(one()) as stack:
        await asyncio.sleep(0.02)
        [gate] = stack.providers
        assert (gate.state, gate.retry_after_s) == (ProviderState.failed, None)

    assert len(seen) == 1


async def test_callers_of_a_failed_provider_hear_when_it_is_tried_again_later_and_later(
    plugged: Plugged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(build, "RETRY_LONGEST_S", 0.008)
    seen: list[Any] = []
    plugged.add(failing(99, lambda: BadRequestError("no"), seen))
    delays: list[float | None] = []

    async with plugged.running(one()) as stack:
        [gate] = stack.providers

        def noted() -> bool:
            if gate.retry_after_s not in delays:
                delays.append(gate.retry_after_s)
            return len(seen) >= 6

        await until(noted)

    assert delays == [0.001, 0.002, 0.004, 0.008]


# --- the log ---


async def test_traceback_is_logged_once_for_each_reason(plugged: Plugged, caplog: pytest.LogCaptureFixture) -> None:
    reasons = iter(["disk full", "disk full", "disk full", "disk gone", "disk gone"])
    done = asyncio.Event()

    class Failing(Echo):
        async def start(self) -> None:
            reason = next(reasons, None)
            if reason is not None:
                raise OSError(reason)
            done.set()

    plugged.add(Failing)

    with caplog.at_level(logging.ERROR, "hitchpost.stack"):
        async with plugged.running(one()):
            await asyncio.wait_for(done.wait(), 10)

    logged = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
    assert logged == [
        ("provider p failed to start: OSError: disk full", True),
        ("provider p failed to start again: OSError: disk full", False),
        ("provider p failed to start again: OSError: disk full", False),
        ("provider p failed to start: OSError: disk gone", True),
        ("provider p failed to start again: OSError: disk gone", False),
    ]


async def test_declared_capability_that_nothing_implements_is_told_once(
    plugged: Plugged, caplog: pytest.LogCaptureFixture
) -> None:
    starts: list[None] = []

    class Failing(Echo):
        async def start(self) -> None:
            starts.append(None)
            raise BackendUnavailableError("not yet")

    plugged.add(Failing, capabilities=frozenset({Capability.chat, Capability.seed, Capability.embeddings}))

    with caplog.at_level(logging.WARNING, "hitchpost.stack"):
        async with plugged.running(one()):
            await until(lambda: len(starts) > 2)

    assert [record.getMessage() for record in caplog.records if "capability" in record.getMessage()] == [
        "provider p of type inline::test: the capability embeddings is declared, but Failing lacks embeddings(); "
        "implement what is missing, or take it out of the ProviderSpec"
    ]


async def test_methods_of_another_base_class_keep_what_is_declared(
    plugged: Plugged, caplog: pytest.LogCaptureFixture
) -> None:
    class Vectors:
        async def embeddings(self, request: Any, context: Any) -> Any:
            raise BackendUnavailableError("not yet")

    class Composed(Vectors, Echo):
        """Has its methods from two classes."""

    plugged.add(Composed, capabilities=frozenset({Capability.chat, Capability.embeddings}))

    with caplog.at_level(logging.WARNING, "hitchpost.stack"):
        async with plugged.running(one()) as stack:
            assert stack.providers[0].state is ProviderState.ready

    assert not caplog.records


async def test_only_providers_that_serve_are_said_to_drain(plugged: Plugged, caplog: pytest.LogCaptureFixture) -> None:
    plugged.add(Echo, "inline::good")
    plugged.add(raise_in("start", BackendUnavailableError("no")), "inline::bad")

    with caplog.at_level(logging.INFO, "hitchpost"):
        async with plugged.running(inference(BAD, GOOD)) as stack:
            gates = stack.providers
        never_started = plugged.build(inference(GOOD))
        await never_started.stop()

    draining = [record.getMessage() for record in caplog.records if record.getMessage().endswith(" is draining")]
    assert draining == ["provider inference/good is draining"]
    assert {gate.state for gate in gates} == {ProviderState.draining}


# --- the end ---


async def test_draining_provider_is_neither_watched_nor_built_a_second_time(plugged: Plugged) -> None:
    built = []

    class Counted(Patient):
        async def start(self) -> None:
            built.append(self)

    plugged.add(Counted)

    async with plugged.running(one()) as stack:
        await until(lambda: built[0].checks >= 1)
        stack.drain()
        checks = built[0].checks
        await asyncio.sleep(0.02)
        assert stack.providers[0].provider is built[0]

    assert len(built) == 1
    assert built[0].checks <= checks + 1


async def test_failed_provider_is_not_tried_again_while_the_stack_drains(plugged: Plugged) -> None:
    seen: list[Any] = []
    plugged.add(failing(1, lambda: OSError(), seen))
    stack = plugged.build(one())
    async with asyncio.timeout(10):
        await stack.start()

        stack.drain()
        await asyncio.sleep(0.02)
        await stack.stop()

    assert len(seen) <= 2
    assert stack.providers[0].state is ProviderState.draining


@pytest.mark.parametrize("error", [*ERRORS, BackendUnavailableError("x")], ids=lambda error: type(error).__name__)
async def test_provider_that_fails_to_stop_is_logged_and_left(
    error: BaseException, plugged: Plugged, caplog: pytest.LogCaptureFixture
) -> None:
    plugged.add(raise_in("stop", error))

    async with plugged.running(one()) as stack:
        pass

    assert stack.providers[0].provider is None
    assert caplog.records


async def test_provider_that_hangs_while_it_stops_is_left_behind(
    plugged: Plugged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "STOP_TIMEOUT_S", 0.01)
    plugged.add(type("Hanging", (Echo,), {"stop": lambda self: asyncio.Event().wait()}))

    async with plugged.running(one()) as stack:
        pass

    assert stack.providers[0].provider is None


async def test_providers_that_do_not_call_each_other_stop_side_by_side(plugged: Plugged) -> None:
    both = asyncio.Barrier(2)
    plugged.add(type("Meeting", (Echo,), {"stop": lambda self: both.wait()}))
    entries = [{"provider_id": name, "provider_type": "inline::test"} for name in ("a", "b")]

    async with plugged.running(inference(*entries)) as stack:
        pass

    assert [gate.provider for gate in stack.providers] == [None, None]


async def test_half_started_provider_is_stopped(plugged: Plugged) -> None:
    steps: list[str] = []

    class Half(Echo):
        async def start(self) -> None:
            steps.append("start")
            raise BackendUnavailableError("half-way", is_permanent=True)

        async def stop(self) -> None:
            steps.append("stop")

    plugged.add(Half)

    async with plugged.running(one()):
        pass

    assert steps == ["start", "stop"]


async def test_stack_that_is_stopped_while_a_provider_starts_stops_that_provider_and_ends_the_start(
    plugged: Plugged,
) -> None:
    steps: list[str] = []

    class Slow(Echo):
        async def start(self) -> None:
            steps.append("start")
            await asyncio.Event().wait()

        async def stop(self) -> None:
            steps.append("stop")

    plugged.add(Slow)
    stack = plugged.build(one())
    starting = asyncio.create_task(stack.start())
    await until(lambda: steps)

    async with asyncio.timeout(5):
        await stack.stop()
        await starting

    assert steps == ["start", "stop"]


async def test_stack_that_is_stopped_while_a_provider_is_built_ends(plugged: Plugged) -> None:
    import threading

    begun, go_on = threading.Event(), threading.Event()

    class Slow(Echo):
        def __init__(self, config: Any, deps: Any) -> None:
            super().__init__(config, deps)
            begun.set()
            go_on.wait(5)

    plugged.add(Slow)
    stack = plugged.build(one())
    starting = asyncio.create_task(stack.start())
    await until(begun.is_set)

    async with asyncio.timeout(5):
        await stack.stop()
        await starting
    go_on.set()

    assert stack.providers[0].provider is None


async def test_no_task_is_left_when_the_stack_has_stopped(plugged: Plugged) -> None:
    plugged.add(Patient)
    plugged.add(failing(99, lambda: OSError(), []), "inline::bad")
    before = asyncio.all_tasks()

    async with plugged.running(inference({"provider_id": "p", "provider_type": "inline::test"}, BAD)):
        pass

    assert asyncio.all_tasks() == before


async def test_request_under_way_outlives_the_draining(plugged: Plugged) -> None:
    go_on = asyncio.Event()

    class Slow(InferenceProvider[Any]):
        async def stream_chat_completion(
            self, request: ChatCompletionRequest, context: RequestContext
        ) -> AsyncIterator[Any]:
            yield TextDelta("a")
            await go_on.wait()
            yield TextDelta("b")

    plugged.add(Slow)

    async with plugged.running(one(models=[{"model_id": "m"}])) as stack:
        events = stack.inference.stream_chat_completion(chat(), CONTEXT)
        await anext(events)
        stack.drain()
        go_on.set()
        second = await anext(events)
        with pytest.raises(BackendUnavailableError, match="draining"):
            await stack.inference.chat_completion(chat(), CONTEXT)
        await events.aclose()

    assert second == TextDelta("b")
