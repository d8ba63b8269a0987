"""What the agents of `inline::scripted` retrieve, over scripted inference and memory."""

from typing import Any

import pytest

from hitchpost.api import (
    DeleteAgentRequest,
)
from tests.scripted.agent_sessions import CALL_WEATHER, FROM_TOOL, MEMORY, WEATHER, keep_fact, order, steps, tool_result
from tests.scripted.conftest import Begin


async def test_memory_tool_gives_the_model_what_its_banks_hold(begin: Begin) -> None:
    conversation = await begin({"tools": [MEMORY]}, memory={})
    await keep_fact(conversation, "The sky is green.")

    events = await conversation.streamed("What colour?")

    assert order(events)[:3] == ["turn_start", "start memory_retrieval", "complete memory_retrieval"]
    turn = events[-1].turn
    assert turn.steps[0].memory_bank_ids == ["facts"]
    assert turn.steps[0].inserted_context[1] == "id:fact; content:The sky is green."
    assert "The sky is green." in turn.output_message.content
    assert turn.input_messages[0].context is None


async def test_nothing_found_inserts_nothing(begin: Begin) -> None:
    conversation = await begin({"tools": [MEMORY]}, memory={})
    await keep_fact(conversation, "x", document_id="another")

    turn = await conversation.turn("What colour?")

    assert turn.steps[0].inserted_context == ""
    assert turn.output_message.content == "What colour?"


@pytest.mark.parametrize(("limits", "chunks"), [({"max_tokens_in_context": 3}, 1), ({"max_chunks": 2}, 2)])
async def test_context_is_bounded_by_tokens_and_chunks(limits: dict[str, Any], chunks: int, begin: Begin) -> None:
    keys = ["a", "b", "c"]
    tool = {"type": "memory", "memory_bank_configs": [{"type": "keyvalue", "bank_id": "facts", "keys": keys}], **limits}
    conversation = await begin({"tools": [tool]}, memory={})
    for key in keys:
        await keep_fact(conversation, "two words", document_id=key)

    turn = await conversation.turn("go")

    assert len(turn.steps[0].inserted_context) == chunks + 2


async def test_attachments_are_found_in_this_turn_and_the_next(begin: Begin) -> None:
    conversation = await begin({"tools": [{"type": "memory"}]}, memory={})
    attachment = {"content": "data:text/plain,Paris%20is%20large.", "mime_type": "text/plain"}

    first = await conversation.turn("Is Paris large?", attachments=[attachment])
    second = await conversation.turn("And again?")

    bank = f"memory_bank_{conversation.ids['session_id']}"
    assert "Paris is large." in first.steps[0].inserted_context[1]
    assert first.steps[0].memory_bank_ids == second.steps[0].memory_bank_ids == [bank]
    assert (await conversation.session()).memory_bank.identifier == bank


async def test_bank_of_a_session_goes_with_it(begin: Begin) -> None:
    conversation = await begin({"tools": [{"type": "memory"}]}, memory={})
    await conversation.turn("x", attachments=[{"content": "y", "mime_type": "text/plain"}])

    await conversation.provider.delete_agent(
        DeleteAgentRequest(agent_id=conversation.ids["agent_id"]), conversation.context
    )

    assert conversation.banks is not None
    assert conversation.banks.registered == {}


async def test_result_of_a_custom_tool_needs_no_retrieval(begin: Begin) -> None:
    conversation = await begin({"tools": [WEATHER, {"type": "memory"}]}, script=[CALL_WEATHER, FROM_TOOL], memory={})

    await conversation.turn("weather?")
    turn = await conversation.turn(tool_result())

    assert steps(turn) == ["inference"]
    assert turn.output_message.content == "The tool said so."
