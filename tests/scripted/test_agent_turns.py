"""What the agents of `inline::scripted` do in a turn, over scripted inference and safety."""

from typing import Any
from uuid import UUID

import pytest

from hitchpost.api import (
    StepComplete,
    StepProgress,
    StepStart,
    TextDelta,
)
from tests.scripted.agent_sessions import (
    CALL_SEARCH,
    CALL_WEATHER,
    FROM_TOOL,
    SEARCH,
    WEATHER,
    order,
    steps,
    tool_result,
)
from tests.scripted.conftest import Begin

# --- a turn ---


async def test_simple_turn_has_its_events_in_order_and_ends_with_the_whole_turn(begin: Begin) -> None:
    conversation = await begin()

    events = await conversation.streamed("one two")

    assert order(events) == [
        "turn_start", "start inference", "progress inference", "complete inference", "turn_complete",
    ]  # fmt: skip
    turn = events[-1].turn
    assert [
        event.event.text for event in events if isinstance(event, StepProgress) and isinstance(event.event, TextDelta)
    ] == ["one", " two"]
    assert turn.session_id == conversation.ids["session_id"]
    assert [message.content for message in turn.input_messages] == ["one two"]
    assert (turn.output_message.content, turn.output_message.stop_reason) == ("one two", "end_of_turn")
    assert turn.steps == [event.step for event in events if isinstance(event, StepComplete)]
    assert turn.started_at <= turn.completed_at


async def test_events_of_a_step_share_one_id_and_every_id_is_random(begin: Begin) -> None:
    conversation = await begin()

    events = await conversation.streamed("hi")

    ids = {event.step.step_id if isinstance(event, StepComplete) else event.step_id
           for event in events if isinstance(event, StepStart | StepProgress | StepComplete)}  # fmt: skip
    assert len(ids) == 1
    assert all(UUID(text).version == 4 for text in (*ids, events[0].turn_id, *conversation.ids.values()))


async def test_turn_that_is_not_streamed_is_the_whole_turn(begin: Begin) -> None:
    turn = await (await begin()).turn("hi")

    assert turn.output_message.content == "hi"
    assert steps(turn) == ["inference"]


async def test_model_is_told_the_instructions_and_the_session_so_far(begin: Begin) -> None:
    conversation = await begin(script=[{"when": "first", "text": "one"}, {"text": "two"}])
    asked: list[list[tuple[str, Any]]] = []
    inference = conversation.provider.deps.inference
    answer = inference.stream_chat_completion

    def listening(request: Any, context: Any) -> Any:
        asked.append([(message.role, message.content) for message in request.messages])
        return answer(request, context)

    inference.stream_chat_completion = listening
    await conversation.turn({"role": "user", "content": "first", "context": "retrieved"})
    await conversation.turn("second")

    assert asked[1] == [
        ("system", "Be brief."), ("user", "first"), ("assistant", "one"), ("user", "second"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "sampling", "stop_reason"),
    [
        ({"text": "a b c d"}, {"max_tokens": 2}, "out_of_tokens"),
        ({"text": "a", "finish": "end_of_message"}, {}, "end_of_message"),
        ({"refusal": "no"}, {}, "end_of_turn"),
    ],
)
async def test_output_has_the_stop_reason_that_the_model_gave(
    rule: dict[str, Any], sampling: dict[str, Any], stop_reason: str, begin: Begin
) -> None:
    conversation = await begin({"sampling_params": sampling, "max_infer_iters": 1}, script=[rule])

    turn = await conversation.turn("hi")

    assert turn.output_message.stop_reason == stop_reason
    assert turn.output_message.content in ("a b", "a", "no")


# --- tools ---


async def test_custom_call_ends_the_turn_and_its_result_begins_the_next(begin: Begin) -> None:
    conversation = await begin(
        {"tools": [WEATHER]}, script=[CALL_WEATHER, {"to": "tool", "when": "(?P<d>[0-9]+)", "text": "$d"}]
    )

    asked = await conversation.turn("weather?")
    answered = await conversation.turn(tool_result("12 degrees"))

    [call] = asked.output_message.tool_calls
    assert (call.tool_name, call.find_arguments()) == ("get_weather", {"city": "Oslo"})
    assert steps(asked) == ["inference"]
    assert answered.output_message.content == "12"


async def test_builtin_tool_answers_by_the_table_and_the_model_goes_on(begin: Begin) -> None:
    conversation = await begin(
        {"tools": [SEARCH]}, script=[CALL_SEARCH, FROM_TOOL], tool_responses={"brave_search": "it rains"}
    )

    events = await conversation.streamed("news?")

    assert order(events) == [
        "turn_start",
        "start inference", "progress inference", "complete inference",
        "start tool_execution", "progress tool_execution", "complete tool_execution",
        "start inference", "progress inference", "complete inference",
        "turn_complete",
    ]  # fmt: skip
    turn = events[-1].turn
    assert [response.content for response in turn.steps[1].tool_responses] == ["it rains"]
    assert turn.steps[1].tool_calls == turn.steps[0].model_response.tool_calls
    assert turn.output_message.content == "The tool said so."


@pytest.mark.parametrize(
    ("responses", "told"), [({}, "no tool_responses for brave_search"), ({"photogen": "x"}, "no tool_responses")]
)
async def test_builtin_tool_without_an_entry_tells_the_model_so(
    responses: dict[str, str], told: str, begin: Begin
) -> None:
    conversation = await begin(
        {"tools": [SEARCH]}, script=[CALL_SEARCH, {"to": "tool", "echo": True}], tool_responses=responses
    )

    assert told in (await conversation.turn("news?")).output_message.content


@pytest.mark.parametrize(("iterations", "inferences"), [(0, 1), (2, 3)])
async def test_calls_end_at_the_limit_of_iterations(iterations: int, inferences: int, begin: Begin) -> None:
    for_ever = {**CALL_SEARCH, "when": None}
    conversation = await begin(
        {"tools": [SEARCH], "max_infer_iters": iterations}, script=[for_ever, {**for_ever, "to": "tool"}]
    )

    turn = await conversation.turn("news?")

    assert steps(turn).count("inference") == inferences
    assert turn.output_message.tool_calls


async def test_call_that_is_demanded_is_demanded_once(begin: Begin) -> None:
    conversation = await begin({"tools": [SEARCH], "tool_choice": "required"}, script=[FROM_TOOL])

    turn = await conversation.turn("hello")

    assert steps(turn) == ["inference", "tool_execution", "inference"]


async def test_call_whose_arguments_cannot_be_read_stays_text(begin: Begin) -> None:
    broken = {"tool_calls": [{"name": "get_weather", "arguments": "{city"}]}

    turn = await (await begin({"tools": [WEATHER]}, script=[broken])).turn("go")

    assert (turn.output_message.content, turn.output_message.tool_calls) == ("{city", [])


# --- shields ---

BAD = [{"when": "bad", "violation": {"user_message": "Not that."}}]


async def test_input_shield_blocks_the_turn_before_the_model_is_asked(begin: Begin) -> None:
    conversation = await begin({"input_shields": ["s"], "output_shields": ["s"]}, safety={"script": BAD})

    events = await conversation.streamed("bad")

    assert order(events) == ["turn_start", "start shield_call", "complete shield_call", "turn_complete"]
    assert events[1].metadata == {"touchpoint": "user-input"}
    turn = events[-1].turn
    assert turn.steps[0].violation.violation_level == "error"
    assert (turn.output_message.content, turn.output_message.stop_reason) == ("Not that.", "end_of_turn")


async def test_output_shield_replaces_what_the_model_said(begin: Begin) -> None:
    conversation = await begin(
        {"input_shields": ["s"], "output_shields": ["s"]}, script=[{"text": "a bad word"}], safety={"script": BAD}
    )

    events = await conversation.streamed("hi")

    assert order(events)[-3:] == ["start shield_call", "complete shield_call", "turn_complete"]
    assert [event.metadata for event in events if isinstance(event, StepStart)] == [
        {"touchpoint": "user-input"}, {}, {"touchpoint": "assistant-output"},
    ]  # fmt: skip
    assert events[-1].turn.output_message.content == "Not that."


async def test_warning_does_not_block(begin: Begin) -> None:
    script = [{"violation": {"level": "warn"}}]

    turn = await (await begin({"input_shields": ["s"]}, safety={"script": script})).turn("hi")

    assert steps(turn) == ["shield_call", "inference"]
    assert turn.steps[0].violation is None


async def test_blocked_turn_stays_in_the_history_and_the_next_one_works(begin: Begin) -> None:
    conversation = await begin({"input_shields": ["s"]}, safety={"script": BAD})

    await conversation.turn("bad")
    turn = await conversation.turn("good")

    assert turn.output_message.content == "good"


@pytest.mark.parametrize(
    ("tool", "kept"),
    [({"input_shields": ["s"]}, ["inference", "shield_call"]),
     ({"output_shields": ["s"]}, ["inference", "tool_execution", "shield_call"])],
)  # fmt: skip
async def test_shields_of_a_tool_judge_its_call_and_its_result(
    tool: dict[str, Any], kept: list[str], begin: Begin
) -> None:
    conversation = await begin(
        {"tools": [{**SEARCH, **tool}]},
        script=[{"tool_calls": [{"name": "brave_search", "arguments": {"query": "bad"}}]}],
        safety={"script": BAD},
        tool_responses={"brave_search": "bad news"},
    )

    turn = await conversation.turn("go")

    assert steps(turn) == kept
    assert turn.output_message.content == "Not that."
