"""What the agents of `inline::scripted` keep, and what becomes of turns that fail."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import (
    CreateAgentRequest,
    CreateSessionRequest,
    DeleteAgentRequest,
    DeleteSessionRequest,
    GetSessionRequest,
    GetStepRequest,
    GetTurnRequest,
    StepProgress,
)
from hitchpost.errors import BadBackendAnswerError, BadRequestError, NotFoundError, UnsupportedError
from tests.scripted.agent_sessions import (
    CONFIG,
    MEMORY,
)
from tests.scripted.conftest import Begin

# --- what goes wrong ---


@pytest.mark.parametrize(
    ("agent", "turn", "says"),
    [
        ({"input_shields": ["s"]}, {}, "no safety"),
        ({"tools": [MEMORY]}, {}, "no memory"),
        ({"tools": [{"type": "memory"}]}, {"attachments": [{"content": "x", "mime_type": "text/plain"}]}, "no memory"),
    ],
)
async def test_api_that_the_host_does_not_serve_is_named(
    agent: dict[str, Any], turn: dict[str, Any], says: str, begin: Begin
) -> None:
    conversation = await begin(agent)

    with pytest.raises(UnsupportedError, match=says):
        await conversation.turn("hi", **turn)


@pytest.mark.parametrize("generator", [{"type": "custom"}, {"type": "llm", "model": "m", "template": "t"}])
async def test_queries_that_a_model_writes_are_not_supported(generator: dict[str, Any], begin: Begin) -> None:
    conversation = await begin({"tools": [{**MEMORY, "query_generator_config": generator}]}, memory={})

    with pytest.raises(UnsupportedError, match="query_generator_config"):
        await conversation.turn("hi")


async def test_attachments_need_a_memory_tool(begin: Begin) -> None:
    conversation = await begin(memory={})

    with pytest.raises(BadRequestError, match="no tool of type memory"):
        await conversation.turn("hi", attachments=[{"content": "x", "mime_type": "text/plain"}])


async def test_turn_that_fails_leaves_no_trace_and_the_next_one_works(begin: Begin) -> None:
    fault = {"kind": "cut", "after_events": 1}
    conversation = await begin(script=[{"text": "one two", "fault": fault, "times": 1}])

    with pytest.raises(BadBackendAnswerError):
        await conversation.turn("hi")
    failed = await conversation.session()
    await conversation.turn("hi")

    assert failed.turns == []
    assert len((await conversation.session()).turns) == 1


async def test_closing_the_stream_of_a_turn_ends_the_work_of_the_model(begin: Begin) -> None:
    conversation = await begin(script=[{"text": "one two", "fault": {"kind": "stall", "after_events": 1}}])
    inference = conversation.provider.deps.inference

    async with aclosing(conversation.events("hi")) as events:
        async for event in events:
            if isinstance(event, StepProgress):
                break

    figures = {metric.name: metric.value for metric in inference.metrics()}
    assert (figures["cancelled_total"], figures["streams_running"]) == (1, 0)
    assert {metric.name: metric.value for metric in conversation.provider.metrics()}["turns_running"] == 0


async def test_turns_of_one_session_run_one_after_the_other(begin: Begin) -> None:
    conversation = await begin()

    first, second = await asyncio.gather(conversation.turn("a b c d"), conversation.turn("e f g h"))

    assert [turn.turn_id for turn in (await conversation.session()).turns] == [first.turn_id, second.turn_id]
    assert first.completed_at <= second.started_at


# --- what is kept ---


async def test_turns_and_steps_are_read_back_as_they_were(begin: Begin) -> None:
    conversation = await begin()
    turn = await conversation.turn("hi")
    ids = {**conversation.ids, "turn_id": turn.turn_id}

    read = await conversation.provider.get_turn(GetTurnRequest(**ids), conversation.context)
    step = await conversation.provider.get_step(
        GetStepRequest(**ids, step_id=turn.steps[0].step_id), conversation.context
    )

    assert read == turn
    assert step.step == turn.steps[0]


async def test_session_has_all_its_turns_or_those_asked_for(begin: Begin) -> None:
    conversation = await begin()
    turns = [(await conversation.turn(text)).turn_id for text in ("a", "b")]

    everything = await conversation.session()
    chosen = await conversation.session(turn_ids=[turns[1]])
    none = await conversation.session(turn_ids=[])

    assert everything.session_name == "test"
    assert [[turn.turn_id for turn in found.turns] for found in (everything, chosen, none)] == [turns, turns[1:], []]


async def test_unknown_names_are_said_by_name(begin: Begin) -> None:
    conversation = await begin()
    turn = await conversation.turn("hi")
    ids, context, provider = conversation.ids, conversation.context, conversation.provider

    with pytest.raises(NotFoundError, match="Could not find agent config for nobody"):
        await provider.create_session(CreateSessionRequest(agent_id="nobody", session_name="x"), context)
    with pytest.raises(NotFoundError, match="Session none not found"):
        await provider.get_session(GetSessionRequest(**ids | {"session_id": "none"}), context)
    with pytest.raises(NotFoundError, match="Turn none not found"):
        await provider.get_turn(GetTurnRequest(**ids, turn_id="none"), context)
    with pytest.raises(NotFoundError, match="Turn none not found"):
        await conversation.session(turn_ids=["none"])
    with pytest.raises(NotFoundError, match="Provided step_id none could not be found"):
        await provider.get_step(GetStepRequest(**ids, turn_id=turn.turn_id, step_id="none"), context)


async def test_deleted_session_and_agent_are_gone_and_may_be_deleted_again(begin: Begin) -> None:
    conversation = await begin()
    turn = await conversation.turn("hi")
    ids, context, provider = conversation.ids, conversation.context, conversation.provider

    for _ in range(2):
        await provider.delete_session(DeleteSessionRequest(**ids), context)
    with pytest.raises(NotFoundError, match="Session"):
        await provider.get_turn(GetTurnRequest(**ids, turn_id=turn.turn_id), context)
    for _ in range(2):
        await provider.delete_agent(DeleteAgentRequest(agent_id=ids["agent_id"]), context)
    with pytest.raises(NotFoundError, match="agent"):
        await conversation.turn("hi")


async def test_no_more_is_kept_than_the_config_says(begin: Begin) -> None:
    conversation = await begin(max_kept=3)

    await conversation.turn("third")

    with pytest.raises(BadRequestError, match="keeps 3 agents, sessions and turns"):
        await conversation.turn("fourth")


async def test_agent_whose_text_finds_no_room_is_refused_until_another_is_deleted(begin: Begin) -> None:
    conversation = await begin({"instructions": "x" * 600}, max_characters=1500)
    provider, context = conversation.provider, conversation.context
    request = CreateAgentRequest.model_validate({"agent_config": CONFIG | {"instructions": "y" * 600}})

    with pytest.raises(BadRequestError, match=r"keeps at most 1,500 characters.* raise max_characters"):
        await provider.create_agent(request, context)
    await provider.delete_agent(DeleteAgentRequest(agent_id=conversation.ids["agent_id"]), context)

    assert (await provider.create_agent(request, context)).agent_id


async def test_name_of_a_session_counts_as_kept_text(begin: Begin) -> None:
    conversation = await begin(max_characters=2000)
    request = CreateSessionRequest(agent_id=conversation.ids["agent_id"], session_name="n" * 2000)

    with pytest.raises(BadRequestError, match="keeps at most 2,000 characters"):
        await conversation.provider.create_session(request, conversation.context)


async def test_message_that_finds_no_room_is_refused_before_the_model_is_asked(begin: Begin) -> None:
    conversation = await begin(max_characters=2000)

    with pytest.raises(BadRequestError, match="keeps at most 2,000 characters"):
        await conversation.turn("m" * 2000)

    figures = {metric.name: metric.value for metric in conversation.provider.deps.inference.metrics()}
    assert figures["requests_total"] == 0


async def test_turn_whose_answer_finds_no_room_fails_and_is_not_kept(begin: Begin) -> None:
    conversation = await begin(script=[{"when": "long", "text": "a" * 3000}], max_characters=3000)

    with pytest.raises(BadRequestError, match="keeps at most 3,000 characters"):
        await conversation.turn("long")
    kept = await conversation.turn("hi")

    assert [turn.turn_id for turn in (await conversation.session()).turns] == [kept.turn_id]


async def test_turns_fill_the_room_of_their_session_until_it_is_deleted(begin: Begin) -> None:
    conversation = await begin(max_characters=5000)
    provider, ids, context = conversation.provider, conversation.ids, conversation.context
    request = CreateSessionRequest(agent_id=ids["agent_id"], session_name="next")

    with pytest.raises(BadRequestError, match="keeps at most 5,000 characters"):
        await asyncio.gather(*(conversation.turn("m" * 400) for _ in range(10)))
    await provider.delete_session(DeleteSessionRequest(**ids), context)
    conversation.ids = ids | {"session_id": (await provider.create_session(request, context)).session_id}

    assert await conversation.turn("m" * 400)


async def test_several_choices_are_refused_when_the_agent_is_made(begin: Begin) -> None:
    with pytest.raises(BadRequestError, match=r"agent_config\.sampling_params\.n"):
        await begin({"sampling_params": {"n": 2}})


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"tool_responses": {"search": "x"}}, "brave_search"),
        ({"max_kept": 0}, "greater than"),
        ({"max_characters": 0}, "greater than"),
        ({"tools": {}}, "Extra"),
    ],
)
async def test_config_that_says_nothing_sensible_is_refused(config: dict[str, Any], named: str, begin: Begin) -> None:
    with pytest.raises(ValidationError, match=named):
        await begin(**config)
