"""What a gate makes of the ways in which a provider answers, fails, stalls and closes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hitchpost.api import RequestContext
from hitchpost.errors import (
    BadRequestError,
    ConfigError,
    DeadlineExceededError,
    HitchpostError,
    ProviderDefectError,
)
from hitchpost.routing import ProviderGate
from hitchpost.routing import gate as gate_module
from tests.plugged import CONTEXT, until
from tests.routing.acting import Acting, make_gate

# --- what providers raise ---


class RustPanic(BaseException):
    """Libraries in Rust raise what is no Exception."""


FAILURES = [
    pytest.param(KeyError("sk-secret"), id="exception"),
    pytest.param(SystemExit(3), id="exit"),
    pytest.param(RustPanic("sk-secret"), id="base exception"),
    pytest.param(TimeoutError(), id="its own timeout"),
    pytest.param(asyncio.CancelledError(), id="a cancellation that nobody asked for"),
    pytest.param(ConfigError("sk-secret"), id="an error that is not for clients"),
]


async def whole_answer(gate: ProviderGate, context: RequestContext = CONTEXT) -> Any:
    return await gate.answer("answer", None, context)


async def stream(gate: ProviderGate, context: RequestContext = CONTEXT) -> list[Any]:
    return [event async for event in gate.events("stream", None, context)]


def raising(error: BaseException) -> Acting:
    provider = Acting()

    async def act() -> None:
        raise error

    async def play() -> AsyncIterator[int]:
        yield 1
        raise error

    provider.act, provider.play = act, play
    return provider


@pytest.mark.parametrize("ask", [whole_answer, stream])
@pytest.mark.parametrize("error", FAILURES)
async def test_what_a_provider_must_not_raise_becomes_its_defect_with_the_traceback_in_the_log_only(
    error: BaseException, ask: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    gate = make_gate(raising(error))

    with caplog.at_level(logging.ERROR), pytest.raises(ProviderDefectError) as raised:
        await ask(gate)

    assert raised.value.provider_id == "p"
    assert "secret" not in raised.value.message
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert "req_test" in record.getMessage()


@pytest.mark.parametrize("ask", [whole_answer, stream])
async def test_error_of_ours_passes_with_the_providers_name(ask: Callable[..., Any]) -> None:
    error = BadRequestError("no", param="messages")

    with pytest.raises(BadRequestError) as raised:
        await ask(make_gate(raising(error)))

    assert raised.value is error
    assert raised.value.provider_id == "p"


@pytest.mark.parametrize("ask", [whole_answer, stream])
async def test_plain_function_in_place_of_a_method_is_the_providers_defect(ask: Callable[..., Any]) -> None:
    class Plain(Acting):
        def answer(self, request: Any, context: RequestContext) -> str:
            raise KeyError("at once")

        stream = answer

    with pytest.raises(ProviderDefectError):
        await ask(make_gate(Plain()))


async def test_cancelled_caller_cancels_the_work_behind_a_whole_answer() -> None:
    provider, seen = Acting(), []

    async def act() -> None:
        try:
            seen.append("started")
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    provider.act = act
    task = asyncio.create_task(whole_answer(make_gate(provider)))
    await until(lambda: seen == ["started"])

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["started", "ended"]


# --- deadlines ---


def soon(seconds: float = 0.01) -> RequestContext:
    return RequestContext(request_id="r", deadline=time.monotonic() + seconds)


async def test_whole_answer_past_the_deadline_is_given_up() -> None:
    provider = Acting()
    provider.act = asyncio.Event().wait

    with pytest.raises(DeadlineExceededError, match="provider p had no whole answer in time") as raised:
        await whole_answer(make_gate(provider), soon())

    assert raised.value.provider_id == "p"


async def test_stream_that_stalls_past_the_deadline_is_given_up_and_closed() -> None:
    provider, closed = Acting(), []

    async def play() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    provider.play = play

    with pytest.raises(DeadlineExceededError):
        await stream(make_gate(provider), soon())

    assert closed == [True]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("ask", [whole_answer, stream])
async def test_deadline_is_told_as_such_to_a_caller_that_tidies_up_after_its_own_cancellation(
    ask: Callable[..., Any],
) -> None:
    provider = Acting()
    provider.act = asyncio.Event().wait
    provider.play = lambda: _waits_forever([])
    told: list[BaseException] = []

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with pytest.raises(DeadlineExceededError) as raised:
                await ask(make_gate(provider), soon())
            told.append(raised.value)

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(told) == 1


async def test_stream_with_a_slow_consumer_ends_at_the_deadline_without_disturbing_the_consumer() -> None:
    provider = Acting()

    async def play() -> AsyncIterator[int]:
        while True:
            yield 1

    provider.play = play
    context = soon()
    events = make_gate(provider).events("stream", None, context)
    await anext(events)

    await until(lambda: context.remaining_s() == 0)
    await asyncio.sleep(0)

    with pytest.raises(DeadlineExceededError):
        await anext(events)


async def test_provider_that_swallows_the_deadlines_cancellation_still_misses_it() -> None:
    provider = Acting()

    async def play() -> AsyncIterator[int]:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield 1

    provider.play = play

    with pytest.raises(DeadlineExceededError):
        await stream(make_gate(provider), soon())

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_consumer_that_is_cancelled_is_cancelled_and_not_told_of_a_deadline() -> None:
    provider = Acting()
    provider.play = lambda: _waits_forever([])
    task = asyncio.create_task(stream(make_gate(provider), soon(60)))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def _waits_forever(closed: list[bool]) -> AsyncIterator[int]:
    try:
        await asyncio.Event().wait()
        yield 0
    finally:
        closed.append(True)


# --- closing streams ---


async def test_closing_a_stream_closes_the_providers_at_once() -> None:
    provider, closed = Acting(), []

    async def play() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    provider.play = play
    events = make_gate(provider).events("stream", None, CONTEXT)
    await anext(events)

    await events.aclose()

    assert closed == [True]


async def test_provider_that_hangs_or_fails_while_it_closes_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gate_module, "CLOSE_TIMEOUT_S", 0.01)
    provider = Acting()

    async def play() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.Event().wait()

    provider.play = play
    events = make_gate(provider).events("stream", None, CONTEXT)
    await anext(events)

    await events.aclose()

    assert "failed to close a stream" in caplog.text


async def test_stream_that_is_a_plain_iterator_need_not_close() -> None:
    class Countdown:
        def __init__(self) -> None:
            self.left = 2

        def __aiter__(self) -> "Countdown":
            return self

        async def __anext__(self) -> int:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return self.left

    provider = Acting()
    provider.play = Countdown

    assert await stream(make_gate(provider)) == [1, 0]


@pytest.mark.parametrize("ask", [whole_answer, stream])
async def test_errors_keep_their_cause(ask: Callable[..., Any]) -> None:
    error = KeyError("why")

    with pytest.raises(HitchpostError) as raised:
        await ask(make_gate(raising(error)))

    assert raised.value.__cause__ is error
