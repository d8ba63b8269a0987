"""Faults that `inline::scripted` makes on purpose, and what becomes of requests that nobody waits for."""

import asyncio
from typing import Any

import pytest

from hitchpost.api import (
    Finish,
    RequestContext,
    TextDelta,
)
from hitchpost.errors import (
    BadBackendAnswerError,
    HitchpostError,
    OverloadedError,
)
from hitchpost.scripted.provider import ScriptedInference
from tests.scripted.conftest import MakeProvider
from tests.scripted.requests import chat, collected, figures


async def stream_runs(provider: ScriptedInference) -> None:
    for _ in range(1000):
        if figures(provider)["streams_running"]:
            return
        await asyncio.sleep(0)
    pytest.fail("no stream began")


@pytest.mark.parametrize(("after", "sent"), [(0, 0), (2, 2), (99, 4)])
async def test_error_of_the_script_comes_after_so_many_events(
    after: int, sent: int, scripted_provider: MakeProvider, context: RequestContext
) -> None:
    fault = {"kind": "error", "code": "overloaded", "message": "full", "after_events": after, "retry_after_s": 3}
    provider = scripted_provider(script=[{"text": "one two three", "fault": fault}])
    stream = provider.stream_chat_completion(chat("go"), context)

    events = [await anext(stream) for _ in range(sent)]
    with pytest.raises(OverloadedError, match="full") as raised:
        await anext(stream)

    assert not any(isinstance(event, Finish) for event in events)
    assert raised.value.retry_after_s == 3


async def test_defect_is_none_of_our_errors(scripted_provider: MakeProvider, context: RequestContext) -> None:
    provider = scripted_provider(script=[{"fault": {"kind": "defect"}}])

    with pytest.raises(RuntimeError) as raised:
        await provider.chat_completion(chat("go"), context)

    assert not isinstance(raised.value, HitchpostError)


async def test_cut_stream_has_no_finish_and_no_whole_answer(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"text": "one two", "fault": {"kind": "cut", "after_events": 1}}])

    events = await collected(provider.stream_chat_completion(chat("go"), context))

    assert events == [TextDelta("one")]
    with pytest.raises(BadBackendAnswerError):
        await provider.chat_completion(chat("go"), context)


@pytest.mark.parametrize("rule", [
    {"text": "one two", "fault": {"kind": "stall", "after_events": 1}},
    {"text": "one two", "fault": {"kind": "stall"}},
    {"text": "one two", "pace": {"first_token_s": 600}},
    {"text": "one two", "pace": {"token_s": 600}},
])  # fmt: skip
async def test_cancelling_a_request_ends_it_and_is_counted(
    rule: dict[str, Any], scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[rule])
    task = asyncio.create_task(provider.chat_completion(chat("go"), context))
    await stream_runs(provider)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert figures(provider) | {"events_total": 0} == {
        "requests_total": 1, "streams_running": 0, "cancelled_total": 1, "events_total": 0, "registered_models": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("taken", "cancelled"), [(1, 1), (4, 0)])
async def test_closing_a_stream_counts_as_cancelled_only_before_its_end(
    taken: int, cancelled: int, scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"text": "one two"}])
    stream = provider.stream_chat_completion(chat("go"), context)

    for _ in range(taken):
        await anext(stream)
    await stream.aclose()

    assert figures(provider)["cancelled_total"] == cancelled
    assert figures(provider)["streams_running"] == 0


async def test_unpaced_answer_lets_others_run(scripted_provider: MakeProvider, context: RequestContext) -> None:
    provider = scripted_provider(script=[{"text": "tick ", "repeat": 1000}])
    first, second = [asyncio.create_task(provider.chat_completion(chat("go"), context)) for _ in range(2)]
    most_running = 0.0

    while not first.done():
        most_running = max(most_running, figures(provider)["streams_running"])
        await asyncio.sleep(0)

    await second
    assert most_running == 2
