from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import (
    URL,
    AgentConfig,
    Agents,
    Attachment,
    BraveSearchTool,
    CodeInterpreterTool,
    CreateTurnRequest,
    FunctionCallTool,
    GetStepResponse,
    MemoryTool,
    SamplingParams,
    Session,
    Turn,
    routes_of,
)

CONFIG = {"model": "m", "instructions": "", "enable_session_persistence": False}
MESSAGE = {"role": "assistant", "content": "x", "stop_reason": "end_of_turn", "tool_calls": []}
STEP = {"turn_id": "T", "step_id": "P", "started_at": None, "completed_at": None}
STEPS: list[dict[str, Any]] = [
    {**STEP, "step_type": "inference", "model_response": MESSAGE},
    {
        **STEP,
        "step_type": "tool_execution",
        "tool_calls": [{"call_id": "c", "tool_name": "brave_search", "arguments": {"query": "x", "of": {"a": 1}}}],
        "tool_responses": [{"call_id": "c", "tool_name": "brave_search", "content": "found"}],
    },
    {**STEP, "step_type": "shield_call", "violation": None},
    {
        **STEP,
        "step_type": "shield_call",
        "violation": {"violation_level": "error", "user_message": None, "metadata": {"a": 1}},
    },
    {**STEP, "step_type": "memory_retrieval", "memory_bank_ids": ["b"], "inserted_context": ["a", "b"]},
]
TURN: dict[str, Any] = {
    "turn_id": "T",
    "session_id": "S",
    "input_messages": [
        {"role": "user", "content": "hi", "context": None},
        {"role": "ipython", "call_id": "c", "tool_name": "f", "content": "x"},
    ],
    "steps": STEPS,
    "output_message": MESSAGE,
    "output_attachments": [{"content": "x", "mime_type": "text/plain"}],
    "started_at": "2024-11-20T10:00:00.000001",
    "completed_at": None,
}


def test_declared_routes_are_the_published_ones_with_both_forms_of_reading() -> None:
    assert [(route.verb, route.path, route.stream_operation) for route in routes_of(Agents)] == [
        ("POST", "/agents/create", None),
        ("POST", "/agents/turn/create", "stream_turn"),
        ("POST", "/agents/turn/get", None),
        ("GET", "/agents/turn/get", None),
        ("POST", "/agents/step/get", None),
        ("GET", "/agents/step/get", None),
        ("POST", "/agents/session/create", None),
        ("POST", "/agents/session/get", None),
        ("POST", "/agents/session/delete", None),
        ("POST", "/agents/delete", None),
    ]


# --- configs ---


def test_config_has_its_defaults_where_fields_are_absent_or_null() -> None:
    names = ("sampling_params", "input_shields", "output_shields", "tools")

    absent = AgentConfig.model_validate(CONFIG)
    null = AgentConfig.model_validate({**CONFIG, **dict.fromkeys(names)})

    assert absent == null
    assert (absent.sampling_params, absent.tools, absent.input_shields) == (SamplingParams(), [], [])
    assert (absent.tool_choice, absent.tool_prompt_format, absent.max_infer_iters) == ("auto", None, 10)


@pytest.mark.parametrize("name", CONFIG)
def test_what_a_config_must_have_is_asked_for(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AgentConfig.model_validate({key: value for key, value in CONFIG.items() if key != name})

    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [((name,), "missing")]


def test_instructions_have_an_end() -> None:
    longest = {**CONFIG, "instructions": "x" * 1_000_000}

    assert AgentConfig.model_validate(longest).instructions == longest["instructions"]
    with pytest.raises(ValidationError, match="at most 1000000 characters"):
        AgentConfig.model_validate({**CONFIG, "instructions": "x" * 1_000_001})


@pytest.mark.parametrize("tool_choice", ["always", 7])
def test_choice_that_does_not_exist_is_refused(tool_choice: Any) -> None:
    with pytest.raises(ValidationError):
        AgentConfig.model_validate({**CONFIG, "tool_choice": tool_choice})


@pytest.mark.parametrize(
    ("sent", "tool"),
    [
        ({"type": "brave_search", "api_key": "k"}, BraveSearchTool(api_key="k", engine="brave")),
        ({"type": "code_interpreter"}, CodeInterpreterTool(enable_inline_code_execution=True)),
        (
            {"type": "function_call", "function_name": "f", "description": "d", "parameters": {}},
            FunctionCallTool(function_name="f", description="d", parameters={}),
        ),
        ({"type": "memory", "input_shields": None}, MemoryTool(max_chunks=10, max_tokens_in_context=4096)),
    ],
)
def test_tool_has_its_defaults(sent: dict[str, Any], tool: Any) -> None:
    assert AgentConfig.model_validate({**CONFIG, "tools": [sent]}).tools == [tool]


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "x"},
        {},
        {"type": "brave_search"},
        {"type": "brave_search", "api_key": "k", "engine": "x"},
        {"type": "function_call", "function_name": "f"},
        {"type": "memory", "max_chunks": 0},
        {"type": "memory", "query_generator_config": {"type": "llm", "model": "m"}},
        {"type": "memory", "memory_bank_configs": [{"type": "keyvalue", "bank_id": "b"}]},
        {"type": "photogen", "remote_execution": {"url": "https://x", "method": "PATCH"}},
    ],
)
def test_tool_without_sense_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentConfig.model_validate({**CONFIG, "tools": [sent]})


def test_keys_of_tools_are_not_shown_where_objects_are_printed() -> None:
    config = AgentConfig.model_validate({**CONFIG, "tools": [{"type": "wolfram_alpha", "api_key": "secret"}]})

    assert "secret" not in repr(config)


def test_config_that_is_written_is_read_again() -> None:
    tools = [
        {"type": "memory", "memory_bank_configs": [{"type": "vector", "bank_id": "b"}]},
        {"type": "photogen", "remote_execution": {"url": "https://x", "method": "GET"}},
    ]
    config = AgentConfig.model_validate({**CONFIG, "tools": tools, "sampling_params": {"temperature": 0.7}})

    assert AgentConfig.model_validate_json(config.model_dump_json()) == config


# --- turns ---


def test_turn_is_written_as_it_was_read_key_by_key() -> None:
    turn = Turn.model_validate(TURN)
    expected = {**TURN, "steps": [dict(step) for step in STEPS]}

    assert turn.model_dump(mode="json") == expected
    assert list(turn.model_dump()) == list(TURN)
    assert [list(step.model_dump()) for step in turn.steps] == [list(step) for step in STEPS]
    assert Turn.model_validate_json(turn.model_dump_json()) == turn


@pytest.mark.parametrize("step", STEPS)
def test_step_is_written_as_it_was_read(step: dict[str, Any]) -> None:
    assert GetStepResponse.model_validate({"step": step}).model_dump(mode="json") == {"step": step}


@pytest.mark.parametrize(
    "step", [{**STEP, "step_type": "x"}, STEP, {**STEP, "step_type": "inference"}, {**STEP, "step_type": "shield_call"}]
)
def test_step_without_sense_is_refused(step: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GetStepResponse.model_validate({"step": step})


def test_session_has_every_field() -> None:
    session = Session.model_validate(
        {"session_id": "S", "session_name": "n", "turns": [TURN], "started_at": TURN["started_at"]}
    )

    assert session.model_dump(mode="json") == {
        "session_id": "S",
        "session_name": "n",
        "turns": [TURN],
        "started_at": TURN["started_at"],
        "memory_bank": None,
    }


@pytest.mark.parametrize(
    ("content", "written"),
    [("x", "x"), (URL(uri="https://example.org"), "https://example.org"), (["a", "b"], ["a", "b"])],
)
def test_attachment_is_written_without_an_object_of_an_address(content: Any, written: Any) -> None:
    attachment = Attachment(content=content, mime_type="text/plain")

    assert attachment.model_dump(mode="json") == {"content": written, "mime_type": "text/plain"}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "system", "content": "x"}],
        [MESSAGE],
        [{"content": "x"}],
        [{"role": "ipython", "content": "x"}],
    ],
)
def test_turn_is_begun_by_a_user_or_a_tool_only(messages: list[Any]) -> None:
    with pytest.raises(ValidationError):
        CreateTurnRequest.model_validate({"agent_id": "A", "session_id": "S", "messages": messages})
