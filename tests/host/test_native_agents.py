"""Agents natively: both forms of every call that SDK and server of 0.0.53 disagreed on, and the bytes of a turn's stream."""

import re
from datetime import datetime
from typing import Any

import pytest

from hitchpost.api import (
    URL,
    Attachment,
    CompletionMessage,
    Finish,
    FinishReason,
    InferenceStep,
    StepComplete,
    StepProgress,
    StepStart,
    StepType,
    StopReason,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    Turn,
    TurnComplete,
    TurnStart,
    UserMessage,
)
from hitchpost.errors import BadBackendAnswerError
from hitchpost.host.native.streams import TurnEvents
from tests.host.served import Answer, ServedHost, until

CONFIG = {"model": "m", "instructions": "Be brief.", "enable_session_persistence": True}
WEATHER = {
    "type": "function_call",
    "function_name": "get_weather",
    "description": "the weather",
    "parameters": {"city": {"param_type": "str"}},
}
SEARCH = {"type": "brave_search", "api_key": "k"}
MEMORY = {"type": "memory"}


class Conversation:
    """A session with a new agent."""

    def __init__(self, host: ServedHost, ids: dict[str, str]) -> None:
        self.host = host
        self.ids = ids

    async def turn(self, *messages: Any, **fields: Any) -> Answer:
        said = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
        return await self.host.post("/alpha/agents/turn/create", {**self.ids, "messages": said, **fields})


async def begin(host: ServedHost, **config: Any) -> Conversation:
    agent = await host.post("/alpha/agents/create", {"agent_config": {**CONFIG, **config}})
    agent_id = agent.json["agent_id"]
    session = await host.post("/alpha/agents/session/create", {"agent_id": agent_id, "session_name": "test"})
    return Conversation(host, {"agent_id": agent_id, "session_id": session.json["session_id"]})


def query(**fields: str) -> str:
    return "&".join(f"{name}={value}" for name, value in fields.items())


# --- streams ---


def test_worked_example_is_written_byte_for_byte_as_it_was_published() -> None:
    message = CompletionMessage(content="Hi", stop_reason=StopReason.end_of_turn)
    step = InferenceStep(turn_id="T", step_id="P", model_response=message)
    turn = Turn(
        turn_id="T",
        session_id="S",
        input_messages=[UserMessage(content="Hello")],
        steps=[step],
        output_message=message,
        started_at=datetime.fromisoformat("2024-11-20T10:00:00.000001"),
        completed_at=datetime.fromisoformat("2024-11-20T10:00:01.000001"),
    )
    events = [
        TurnStart("T"),
        StepStart("P", StepType.inference),
        StepProgress("P", StepType.inference, TextDelta("Hi")),
        StepProgress("P", StepType.inference, Finish(FinishReason.stop)),
        StepComplete(step),
        TurnComplete(turn),
    ]
    encoder = TurnEvents()

    text = "".join(encoder.encode(event) for event in events) + encoder.end()

    said = '{"role":"assistant","content":"Hi","stop_reason":"end_of_turn","tool_calls":[]}'
    done = (
        '{"turn_id":"T","step_id":"P","started_at":null,"completed_at":null,"step_type":"inference",'
        f'"model_response":{said}}}'
    )
    assert text.split("\n\n") == [
        'data: {"event":{"payload":{"event_type":"turn_start","turn_id":"T"}}}',
        'data: {"event":{"payload":{"event_type":"step_start","step_type":"inference","step_id":"P","metadata":{}}}}',
        'data: {"event":{"payload":{"event_type":"step_progress","step_type":"inference","step_id":"P",'
        '"model_response_text_delta":"Hi","tool_call_delta":null,"tool_response_text_delta":null}}}',
        f'data: {{"event":{{"payload":{{"event_type":"step_complete","step_type":"inference","step_details":{done}}}}}}}',
        'data: {"event":{"payload":{"event_type":"turn_complete","turn":{"turn_id":"T","session_id":"S",'
        f'"input_messages":[{{"role":"user","content":"Hello","context":null}}],"steps":[{done}],'
        f'"output_message":{said},"output_attachments":[],"started_at":"2024-11-20T10:00:00.000001",'
        '"completed_at":"2024-11-20T10:00:01.000001"}}}}',
        "",
    ]


def test_address_of_an_output_attachment_is_a_plain_string() -> None:
    message = CompletionMessage(content="Hi", stop_reason=StopReason.end_of_turn)
    attachment = Attachment(content=URL(uri="https://example.org/a.png"), mime_type="image/png")
    moment = datetime.fromisoformat("2024-11-20T10:00:00")
    turn = Turn(
        turn_id="T",
        session_id="S",
        input_messages=[],
        steps=[],
        output_message=message,
        output_attachments=[attachment],
        started_at=moment,
    )

    text = TurnEvents().encode(TurnComplete(turn))

    assert '"output_attachments":[{"content":"https://example.org/a.png","mime_type":"image/png"}]' in text
    assert Turn.model_validate_json(turn.model_dump_json()) == turn.model_copy(
        update={"output_attachments": [Attachment(content="https://example.org/a.png", mime_type="image/png")]}
    )


def test_turn_that_ends_without_its_last_event_has_failed() -> None:
    encoder = TurnEvents()
    encoder.encode(TurnStart("T"))

    with pytest.raises(BadBackendAnswerError, match="without being complete"):
        encoder.end()


def test_calls_of_two_steps_are_not_mixed() -> None:
    encoder = TurnEvents()
    events = [
        StepStart("1", StepType.inference),
        StepProgress("1", StepType.inference, ToolCallStart(0, "a", "f")),
        StepProgress("1", StepType.inference, ToolCallDelta(0, '{"x": [[1]]}')),
        StepProgress("1", StepType.inference, Finish(FinishReason.tool_calls)),
        StepStart("2", StepType.inference),
        StepProgress("2", StepType.inference, ToolCallStart(0, "b", "g")),
        StepProgress("2", StepType.inference, Finish(FinishReason.tool_calls)),
    ]

    text = "".join(encoder.encode(event) for event in events)

    called = re.findall(r'"content":(\{.*?\}),"parse_status":"success"', text)
    assert called == [
        '{"call_id":"a","tool_name":"f","arguments":{"x":["[1]"]}}',
        '{"call_id":"b","tool_name":"g","arguments":{}}',
    ]


def test_steps_and_turns_write_their_calls_as_the_stream_does() -> None:
    call = ToolCall(call_id="a", tool_name="f", arguments_json='{"x": {"y": {"z": 1}}}')
    message = CompletionMessage(content="", stop_reason=StopReason.end_of_turn, tool_calls=[call])

    text = TurnEvents().encode(StepComplete(InferenceStep(turn_id="T", step_id="P", model_response=message)))

    assert '"tool_calls":[{"call_id":"a","tool_name":"f","arguments":{"x":{"y":"{\\"z\\": 1}"}}}]' in text


async def test_streamed_turn_is_the_whole_one_told_step_by_step(every_api: ServedHost) -> None:
    conversation = await begin(every_api, tools=[SEARCH], input_shields=["guard"])

    streamed = await conversation.turn("news", stream=True)

    payloads = [one["event"]["payload"] for one in streamed.events]
    kinds = [f"{one['event_type']} {one.get('step_type', '')}".strip() for one in payloads]
    assert streamed.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before] == [
        "turn_start",
        "step_start shield_call",
        "step_complete shield_call",
        "step_start inference",
        "step_progress inference",
        "step_complete inference",
        "step_start tool_execution",
        "step_progress tool_execution",
        "step_complete tool_execution",
        "step_start inference",
        "step_progress inference",
        "step_complete inference",
        "turn_complete",
    ]
    turn = payloads[-1]["turn"]
    assert turn["steps"] == [one["step_details"] for one in payloads if one["event_type"] == "step_complete"]
    statuses = [one["tool_call_delta"]["parse_status"] for one in payloads if one.get("tool_call_delta")]
    assert (statuses[0], set(statuses[1:-1]), statuses[-1]) == ("started", {"in_progress"}, "success")
    assert set(turn) == {
        "turn_id", "session_id", "input_messages", "steps", "output_message", "output_attachments", "started_at",
        "completed_at",
    }  # fmt: skip


async def test_turn_without_stream_is_answered_whole_whatever_is_accepted(every_api: ServedHost) -> None:
    conversation = await begin(every_api)
    said = [{"role": "user", "content": "hello"}]

    answer = await every_api.post(
        "/alpha/agents/turn/create", {**conversation.ids, "messages": said}, Accept="text/event-stream"
    )

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["output_message"] == {
        "role": "assistant", "content": "hello", "stop_reason": "end_of_turn", "tool_calls": [],
    }  # fmt: skip
    assert answer.json["input_messages"] == [{"role": "user", "content": "hello", "context": None}]
    assert answer.json["output_attachments"] == []


async def test_failure_in_a_turn_is_its_last_event_and_the_turn_is_not_kept(every_api: ServedHost) -> None:
    conversation = await begin(every_api)

    streamed = await conversation.turn("break", stream=True)
    whole = await conversation.turn("break")
    session = await every_api.post("/alpha/agents/session/get", conversation.ids)

    assert [one["event"]["payload"]["event_type"] for one in streamed.events[:-1]][-1] == "step_progress"
    assert streamed.events[-1] == {"error": {"message": "502: the answer broke off before its end"}}
    assert (whole.status, whole.json) == (502, {"detail": "the answer broke off before its end"})
    assert session.json["turns"] == []


async def test_unknown_agent_is_an_error_event_in_a_stream_and_a_400_without(every_api: ServedHost) -> None:
    nobody = Conversation(every_api, {"agent_id": "x", "session_id": "s"})

    streamed = await nobody.turn("hi", stream=True)
    whole = await nobody.turn("hi")

    message = "Invalid value: Could not find agent config for x"
    assert (streamed.status, streamed.events) == (200, [{"error": {"message": f"400: {message}"}}])
    assert (whole.status, whole.json) == (400, {"detail": message})


async def test_model_of_an_agent_is_looked_up_when_it_is_needed(every_api: ServedHost) -> None:
    conversation = await begin(every_api, model="nobody")

    answer = await conversation.turn("hi")

    assert answer.status == 400
    assert answer.json["detail"].startswith("Invalid value: Model `nobody` not served by provider: `scripted`. ")


async def test_client_that_leaves_ends_the_turn_and_the_inference_behind_it(every_api: ServedHost) -> None:
    conversation = await begin(every_api)
    body = {**conversation.ids, "messages": [{"role": "user", "content": "stall"}], "stream": True}
    gates = {gate.api.value: gate for gate in every_api.stack.providers}

    async with every_api.http.post(every_api.url + "/alpha/agents/turn/create", json=body) as response:
        await response.content.readuntil(b"step_progress")
        busy = (gates["agents"].running, gates["inference"].running)

    await until(lambda: not gates["agents"].running and not gates["inference"].running)
    assert busy == (1, 1)


# --- what is read back, in both forms ---


async def test_turn_step_and_session_are_read_by_query_and_by_body(every_api: ServedHost) -> None:
    conversation = await begin(every_api)
    turn = (await conversation.turn("hello")).json
    of_turn = {**conversation.ids, "turn_id": turn["turn_id"]}
    of_step = {**of_turn, "step_id": turn["steps"][0]["step_id"]}

    turns = [
        await every_api.get(f"/alpha/agents/turn/get?{query(**of_turn)}"),
        await every_api.post("/alpha/agents/turn/get", of_turn),
    ]
    steps = [
        await every_api.get(f"/alpha/agents/step/get?{query(**of_step)}"),
        await every_api.post("/alpha/agents/step/get", of_step),
    ]
    sessions = [
        await every_api.post(f"/alpha/agents/session/get?{query(**conversation.ids)}", {}),
        await every_api.send("POST", f"/alpha/agents/session/get?{query(**conversation.ids)}", b"", {}),
        await every_api.post(f"/alpha/agents/session/get?{query(**conversation.ids)}", {"turn_ids": [turn["turn_id"]]}),
        await every_api.post("/alpha/agents/session/get", {**conversation.ids, "turn_ids": None}),
        # What the body says goes before the query.
        await every_api.post("/alpha/agents/session/get?agent_id=x&session_id=y", conversation.ids),
    ]

    assert [one.json for one in turns] == [turn, turn]
    assert [one.json for one in steps] == [{"step": turn["steps"][0]}] * 2
    assert [one.json["turns"] for one in sessions] == [[turn]] * 5
    assert set(sessions[0].json) == {"session_id", "session_name", "turns", "started_at", "memory_bank"}
    assert sessions[0].json["memory_bank"] is None


async def test_session_answers_only_the_turns_that_are_named(every_api: ServedHost) -> None:
    conversation = await begin(every_api)
    await conversation.turn("one")
    second = (await conversation.turn("two")).json

    named = await every_api.post("/alpha/agents/session/get", {**conversation.ids, "turn_ids": [second["turn_id"]]})
    none = await every_api.post("/alpha/agents/session/get", {**conversation.ids, "turn_ids": []})

    assert (named.json["turns"], none.json["turns"]) == ([second], [])


@pytest.mark.parametrize(
    ("path", "ids", "message"),
    [
        ("session/get", {"session_id": "x"}, "Session x not found"),
        ("turn/get", {"turn_id": "x"}, "Turn x not found"),
        ("step/get", {"step_id": "x"}, "Provided step_id x could not be found"),
    ],
)
async def test_what_is_not_kept_is_a_400_that_names_it(
    path: str, ids: dict[str, str], message: str, every_api: ServedHost
) -> None:
    conversation = await begin(every_api)
    turn_id = (await conversation.turn("hello")).json["turn_id"]

    answer = await every_api.post(f"/alpha/agents/{path}", {**conversation.ids, "turn_id": turn_id, **ids})

    assert (answer.status, answer.json) == (400, {"detail": f"Invalid value: {message}"})


async def test_deletions_answer_null_twice(every_api: ServedHost) -> None:
    conversation = await begin(every_api)
    agent = {"agent_id": conversation.ids["agent_id"]}

    answers = [
        await every_api.post("/alpha/agents/session/delete", conversation.ids),
        await every_api.post("/alpha/agents/session/delete", conversation.ids),
        await every_api.post("/alpha/agents/delete", agent),
        await every_api.post("/alpha/agents/delete", agent),
    ]

    assert [(one.status, one.text) for one in answers] == [(200, "null")] * 4


# --- forms of content ---


@pytest.mark.parametrize(
    "content",
    [
        "The moss is green.",
        ["The moss", "is green."],
        "data:text/plain,The%20moss%20is%20green.",
        {"uri": "data:text/plain,The%20moss%20is%20green."},
    ],
)
async def test_attachment_may_be_text_or_an_address_in_either_form(content: Any, every_api: ServedHost) -> None:
    conversation = await begin(every_api, tools=[MEMORY])
    attachment = {"content": content, "mime_type": "text/plain"}

    turn = await conversation.turn("What is moss?", attachments=[attachment])

    [retrieved] = [step for step in turn.json["steps"] if step["step_type"] == "memory_retrieval"]
    assert "green" in "".join(retrieved["inserted_context"])


async def test_tool_round_trip_ends_with_the_call_and_goes_on_with_the_result(every_api: ServedHost) -> None:
    conversation = await begin(every_api, tools=[WEATHER, MEMORY])

    [call] = (await conversation.turn("weather")).json["output_message"]["tool_calls"]
    result = {"role": "ipython", "call_id": call["call_id"], "tool_name": call["tool_name"], "content": "rain"}
    turn = (await conversation.turn(result)).json

    assert call["arguments"] == {"city": "Oslo"}
    assert turn["input_messages"] == [result]
    assert turn["output_message"]["content"] == "The tool said so."


@pytest.mark.parametrize("url", ["https://example.org/x", {"uri": "https://example.org/x"}])
async def test_place_to_run_a_tool_is_an_address_in_either_form(url: Any, every_api: ServedHost) -> None:
    tool = {"type": "photogen", "remote_execution": {"url": url, "method": "GET"}}

    answer = await every_api.post("/alpha/agents/create", {"agent_config": {**CONFIG, "tools": [tool]}})

    assert answer.status == 200


async def test_optional_parts_of_a_config_may_be_null(every_api: ServedHost) -> None:
    names = ("sampling_params", "input_shields", "output_shields", "tools", "tool_choice", "tool_prompt_format")

    conversation = await begin(every_api, **dict.fromkeys(names))

    assert (await conversation.turn("hello")).json["output_message"]["content"] == "hello"
