"""One timer for the deadlines of many calls."""

import asyncio
import time

import pytest

from hitchpost.routing.deadline import Deadline, Deadlines


async def wait_inside(deadline: Deadline) -> str:
    """How a wait inside the deadline ends; the deadline is dropped then."""
    try:
        with deadline:
            await asyncio.Event().wait()
    except TimeoutError:
        return "over"
    finally:
        deadline.drop()
    return "went on"


@pytest.mark.parametrize("order", [(0.01, 0.02, 60), (60, 0.02, 0.01), (0.02, 60, 0.01)])
async def test_each_call_ends_at_its_own_time_in_whatever_order_they_began(order: tuple[float, ...]) -> None:
    deadlines, began = Deadlines(), time.monotonic()
    calls = {s: asyncio.create_task(wait_inside(deadlines.begin(began + s))) for s in order}

    done, waiting = await asyncio.wait(calls.values(), timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert done == {calls[0.01]}
    assert await calls[0.02] == "over"

    assert waiting == {calls[0.02], calls[60]}
    assert time.monotonic() >= began + 0.02
    assert not calls[60].done()
    calls[60].cancel()
    await asyncio.wait([calls[60]])


async def test_call_that_ended_in_time_is_left_alone_and_the_next_one_is_not_forgotten() -> None:
    deadlines, now = Deadlines(), time.monotonic()
    early = deadlines.begin(now + 0.01)
    later = asyncio.create_task(wait_inside(deadlines.begin(now + 0.02)))
    early.drop()

    assert await later == "over"
    assert not early.is_over


async def test_deadline_that_passed_before_the_wait_refuses_it() -> None:
    deadline = Deadlines().begin(time.monotonic())
    await asyncio.sleep(0.001)

    with pytest.raises(TimeoutError), deadline:
        raise AssertionError("the block is not entered")


def test_deadlines_serve_one_event_loop_after_another() -> None:
    deadlines = Deadlines()

    async def call() -> str:
        deadlines.begin(time.monotonic() + 60)
        return await wait_inside(deadlines.begin(time.monotonic() + 0.01))

    assert [asyncio.run(call()), asyncio.run(call())] == ["over", "over"]
