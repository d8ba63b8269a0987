import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from hitchpost.api import RequestContext
from hitchpost.errors import (
    BackendUnavailableError,
    BadRequestError,
    OverloadedError,
    ProviderDefectError,
)
from hitchpost.routing import ProviderGate, ProviderState
from hitchpost.routing.places import RETRY_AFTER_S
from tests.plugged import CONTEXT, until
from tests.routing.acting import MODEL, make_gate


async def enter(gate: ProviderGate, inside: Callable[[], Awaitable[Any]], context: RequestContext = CONTEXT) -> Any:
    return await gate.answer("answer", lambda admitted: inside(), context, MODEL)


async def admitted_context(gate: ProviderGate, context: RequestContext) -> RequestContext:
    """The context that the provider gets."""

    async def show(admitted: RequestContext) -> RequestContext:
        return admitted

    shown: RequestContext = await gate.answer("answer", show, context, MODEL)
    return shown


class Ticket:
    """A request that stays inside the gate until it is let go."""

    def __init__(self, gate: ProviderGate, context: RequestContext = CONTEXT) -> None:
        self.entered = False
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(enter(gate, self._stay, context))

    async def _stay(self) -> None:
        self.entered = True
        await self.leave.wait()


# --- admission ---


async def test_requests_above_the_limit_wait_and_come_in_their_order() -> None:
    gate = make_gate(max_concurrent=1)
    tickets = [Ticket(gate) for _ in range(4)]
    await until(lambda: gate.waiting == 3)

    order = []
    for _ in tickets:
        [inside] = [index for index, ticket in enumerate(tickets) if ticket.entered and not ticket.leave.is_set()]
        order.append(inside)
        tickets[inside].leave.set()
        await tickets[inside].task
        await asyncio.sleep(0)

    assert order == [0, 1, 2, 3]
    assert (gate.running, gate.waiting) == (0, 0)


async def test_request_that_finds_the_queue_full_is_told_when_to_try_again() -> None:
    gate = make_gate(max_concurrent=1, max_queued=1)
    tickets = [Ticket(gate), Ticket(gate)]
    await until(lambda: gate.waiting == 1)

    with pytest.raises(OverloadedError, match="provider p works on 1 requests and 1 wait") as refused:
        await enter(gate, asyncio.Event().wait)

    assert refused.value.retry_after_s == RETRY_AFTER_S
    for ticket in tickets:
        ticket.leave.set()
        await ticket.task


async def test_queue_of_zero_refuses_at_once() -> None:
    gate = make_gate(max_concurrent=1, max_queued=0)
    ticket = Ticket(gate)
    await until(lambda: ticket.entered)

    with pytest.raises(OverloadedError):
        await enter(gate, asyncio.Event().wait)

    ticket.leave.set()
    await ticket.task


async def test_request_that_waits_too_long_is_refused_and_leaves_the_queue() -> None:
    gate = make_gate(max_concurrent=1, queue_timeout_s=0.01)
    ticket = Ticket(gate)
    await until(lambda: ticket.entered)

    with pytest.raises(OverloadedError, match=r"busy for 0\.01 s"):
        await enter(gate, asyncio.Event().wait)

    assert gate.waiting == 0
    ticket.leave.set()
    await ticket.task
    assert gate.running == 0


async def test_request_does_not_wait_in_the_queue_beyond_its_own_deadline() -> None:
    gate = make_gate(max_concurrent=1)
    ticket = Ticket(gate)
    await until(lambda: ticket.entered)
    hurried = RequestContext(request_id="r", deadline=time.monotonic() + 0.01)

    with pytest.raises(OverloadedError, match=r"busy for 0\.0"):
        await enter(gate, asyncio.Event().wait, hurried)

    ticket.leave.set()
    await ticket.task


async def test_request_that_is_cancelled_while_it_waits_loses_nobody_a_place() -> None:
    gate = make_gate(max_concurrent=1)
    first, second, third = Ticket(gate), Ticket(gate), Ticket(gate)
    await until(lambda: gate.waiting == 2)

    second.task.cancel()
    first.leave.set()
    await until(lambda: third.entered)

    assert not second.entered
    third.leave.set()
    await third.task
    assert (gate.running, gate.waiting) == (0, 0)


async def test_turn_that_comes_in_the_moment_of_cancellation_is_handed_on() -> None:
    gate = make_gate(max_concurrent=1)
    first, second, third = Ticket(gate), Ticket(gate), Ticket(gate)
    await until(lambda: gate.waiting == 2)

    first.leave.set()
    await until(lambda: gate.waiting == 1)
    second.task.cancel()
    await until(lambda: third.entered)

    third.leave.set()
    await third.task
    await asyncio.wait([second.task])
    assert (gate.running, gate.waiting) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), max_concurrent=st.integers(1, 3), max_queued=st.integers(0, 5))
def test_no_place_is_lost_or_lent_twice_however_requests_come_and_go(
    seed: int, max_concurrent: int, max_queued: int
) -> None:
    asyncio.run(_random_traffic(random.Random(seed), max_concurrent, max_queued))


async def _random_traffic(chance: random.Random, max_concurrent: int, max_queued: int) -> None:
    gate = make_gate(max_concurrent=max_concurrent, max_queued=max_queued, queue_timeout_s=0.001)
    tickets: list[Ticket] = []
    for _ in range(60):
        step = chance.choice(["come", "come", "leave", "cancel", "pass", "wait"])
        if step == "come":
            tickets.append(Ticket(gate))
        elif step == "wait":
            await asyncio.sleep(0.001)
        elif step == "pass":
            await asyncio.sleep(0)
        elif tickets:
            ticket = chance.choice(tickets)
            ticket.leave.set() if step == "leave" else ticket.task.cancel()
        inside = [ticket for ticket in tickets if ticket.entered and not ticket.task.done()]
        assert len(inside) <= gate.running <= max_concurrent
    for ticket in tickets:
        ticket.leave.set()
    ends = await asyncio.gather(*(ticket.task for ticket in tickets), return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError, OverloadedError}
    assert (gate.running, gate.waiting) == (0, 0)


@pytest.mark.parametrize("state", [ProviderState.starting, ProviderState.failed, ProviderState.draining])
async def test_provider_that_does_not_serve_is_named_with_its_state_and_reason(state: ProviderState) -> None:
    gate = make_gate()
    gate.set_state(state, "the disk is full")

    with pytest.raises(BackendUnavailableError, match=f"provider p is {state}: the disk is full") as refused:
        await enter(gate, asyncio.Event().wait)

    assert (refused.value.provider_id, refused.value.is_permanent) == ("p", False)
    assert refused.value.retry_after_s == RETRY_AFTER_S


async def test_provider_that_failed_for_good_says_no_time_to_retry() -> None:
    gate = make_gate()
    gate.set_state(ProviderState.failed, "not installed", retry_after_s=None)

    with pytest.raises(BackendUnavailableError) as refused:
        gate.check_serving()

    assert (refused.value.is_permanent, refused.value.retry_after_s) == (True, None)


async def test_degraded_provider_serves() -> None:
    gate = make_gate()
    gate.set_state(ProviderState.degraded, "slow")

    gate.check_serving()


async def test_provider_that_drains_stays_so() -> None:
    gate = make_gate()
    gate.set_state(ProviderState.draining)

    gate.set_state(ProviderState.ready)

    assert gate.state is ProviderState.draining


async def test_waiting_request_is_refused_when_the_provider_stopped_serving_meanwhile() -> None:
    gate = make_gate(max_concurrent=1)
    first, second = Ticket(gate), Ticket(gate)
    await until(lambda: gate.waiting == 1)

    gate.set_state(ProviderState.draining)
    first.leave.set()

    with pytest.raises(BackendUnavailableError, match="draining"):
        await second.task
    await first.task
    assert gate.running == 0


async def test_admitted_context_has_the_resource_and_the_earlier_deadline() -> None:
    gate = make_gate(timeout_s=100)
    soon = time.monotonic() + 1

    hurried = await admitted_context(gate, RequestContext(request_id="r", deadline=soon))
    patient = await admitted_context(gate, CONTEXT)

    assert (hurried.resource, hurried.deadline, hurried.request_id) == (MODEL, soon, "r")
    assert 99 < (patient.remaining_s() or 0) <= 100


async def test_admitted_context_keeps_all_else_that_came_with_the_request() -> None:
    settled_here = {"deadline", "resource", "provider_data"}
    given: dict[str, Any] = {field.name: {field.name: 1} for field in fields(RequestContext)}
    given |= dict.fromkeys(settled_here)

    admitted = await admitted_context(make_gate(), RequestContext(**given))

    assert {name: getattr(admitted, name) for name in given if name not in settled_here} == {
        name: value for name, value in given.items() if name not in settled_here
    }


# --- provider data ---


class Keys(BaseModel):
    api_key: str
    retries: int = 0

    @field_validator("api_key")
    @classmethod
    def check(cls, value: str) -> str:
        if value == "explode":
            raise KeyError(value)
        return value


async def test_provider_data_is_validated_by_the_providers_own_schema() -> None:
    gate = make_gate(provider_data=Keys)
    context = RequestContext(request_id="r", raw_provider_data={"api_key": "k", "other": 1})

    admitted = await admitted_context(gate, context)

    assert admitted.provider_data == Keys(api_key="k")
    assert admitted.raw_provider_data == {"api_key": "k", "other": 1}


async def test_wrong_provider_data_names_each_field_and_shows_no_value() -> None:
    gate = make_gate(provider_data=Keys)
    context = RequestContext(request_id="r", raw_provider_data={"retries": "sk-secret"})

    with pytest.raises(BadRequestError) as refused:
        await enter(gate, asyncio.Event().wait, context)

    assert "api_key is missing" in refused.value.message
    assert "retries must be a whole number" in refused.value.message
    assert "sk-secret" not in refused.value.message


async def test_schema_that_raises_is_the_providers_defect() -> None:
    gate = make_gate(provider_data=Keys)

    with pytest.raises(ProviderDefectError):
        await enter(
            gate, asyncio.Event().wait, RequestContext(request_id="r", raw_provider_data={"api_key": "explode"})
        )


@pytest.mark.parametrize("schema", [None, Keys])
async def test_request_without_provider_data_has_none(schema: type[BaseModel] | None) -> None:
    gate = make_gate(provider_data=schema)

    admitted = await admitted_context(gate, CONTEXT)

    assert admitted.provider_data is None
