"""The routes of October 2024: every one in the form of that time, its body or query, and its answer."""

from typing import Any

import pytest

from hitchpost.api import PROTOCOLS, routes_of
from hitchpost.host.native.october import SERVED_BY_OPERATIONS, october_path
from tests.host.served import Answer, ServedHost

SAID = [{"role": "user", "content": "hello there"}]
AGENT = {"model": "m", "instructions": "", "enable_session_persistence": False}
MESSAGE = {"role": "assistant", "content": "hello there", "stop_reason": "end_of_turn", "tool_calls": []}
MODEL = {"identifier": "old", "llama_model": "m", "metadata": {"a": 1}, "provider_id": "scripted"}
VECTOR = {
    "identifier": "bank",
    "provider_id": "scripted",
    "type": "vector",
    "embedding_model": "e",
    "chunk_size_in_tokens": 64,
    "overlap_size_in_tokens": 8,
}
SHIELD = {"identifier": "llama_guard", "type": "llama_guard", "params": {"a": 1}, "provider_id": "scripted"}
GUARD = {"identifier": "guard", "type": "generic_content_shield", "params": {}, "provider_id": "scripted"}
SPAN = {"type": "structured_log", "trace_id": "t", "span_id": "root", "timestamp": "2199-11-20T10:00:00Z"}

# --- calls that stand by themselves ---

CALLS: list[tuple[str, str, Any, Any]] = [
    ("POST", "/inference/completion", {"model": "m", "content": "hello there"},
     {"completion_message": MESSAGE, "logprobs": None}),
    ("POST", "/inference/completion", {"model_id": "m", "content": "hello there"},
     {"completion_message": MESSAGE, "logprobs": None}),
    ("POST", "/inference/chat_completion", {"model": "m", "messages": SAID},
     {"completion_message": MESSAGE, "logprobs": None}),
    ("GET", "/models/get?identifier=none", None, None),
    ("POST", "/safety/run_shield", {"shield_type": "guard", "messages": SAID, "params": {}}, {"violation": None}),
    ("GET", "/shields/list", None, [GUARD]),
    ("GET", "/shields/get?shield_type=guard", None, GUARD),
    ("GET", "/shields/get?identifier=guard", None, GUARD),
    ("GET", "/shields/get?shield_type=none", None, None),
    ("GET", "/memory_banks/list", None, []),
    ("GET", "/memory_banks/get?identifier=none", None, None),
    ("POST", "/telemetry/log_event", {"event": {**SPAN, "payload": {"type": "span_start", "name": "x"}}}, None),
    ("POST", "/batch_inference/completion", {"model": "m", "content_batch": ["hello there"]},
     {"completion_message_batch": [MESSAGE]}),
    ("POST", "/batch_inference/chat_completion", {"model": "m", "messages_batch": [SAID]},
     {"completion_message_batch": [MESSAGE]}),
    ("GET", "/health", None, {"status": "OK"}),
    ("GET", "/providers/list", None,
     {"inference": [{"provider_id": "scripted", "provider_type": "inline::scripted"}],
      "safety": [{"provider_id": "scripted", "provider_type": "inline::scripted"}],
      "memory": [{"provider_id": "scripted", "provider_type": "inline::scripted"}],
      "agents": [{"provider_id": "scripted", "provider_type": "inline::scripted"}],
      "telemetry": [{"provider_id": "traces", "provider_type": "inline::meta-reference"}]}),
]  # fmt: skip


async def ask(host: ServedHost, verb: str, path: str, body: Any) -> Answer:
    return await (host.get(path) if verb == "GET" else host.post(path, body))


@pytest.mark.parametrize(("verb", "path", "body", "expected"), CALLS)
async def test_call_is_answered_as_it_was_then(
    verb: str, path: str, body: Any, expected: Any, every_api: ServedHost
) -> None:
    answer = await ask(every_api, verb, path, body)

    assert (answer.status, answer.json) == (200, expected)


@pytest.mark.parametrize(
    ("verb", "path"),
    [(route.verb, route.path) for protocol in PROTOCOLS.values() for route in routes_of(protocol)],
)
async def test_every_operation_has_its_old_path(verb: str, path: str, every_api: ServedHost) -> None:
    answer = await ask(every_api, verb, october_path(path), {})

    assert answer.status not in (404, 405)


def test_the_operations_that_are_left_out_are_answered_elsewhere() -> None:
    assert SERVED_BY_OPERATIONS == ("/health",)


# --- registrations ---


async def test_model_is_registered_found_and_listed_as_an_object_of_then(every_api: ServedHost) -> None:
    registered = await every_api.post("/models/register", {"model": {**MODEL, "identifier": "m2", "llama_model": ""}})
    found = await every_api.get("/models/get?identifier=m2")
    listed = await every_api.get("/models/list")

    model = {"identifier": "m2", "llama_model": "m2", "metadata": {"a": 1}, "provider_id": "scripted"}
    assert (registered.status, registered.text) == (200, "null")
    assert found.json == model
    assert model in listed.json
    assert [set(one) for one in listed.json] == [set(model)] * len(listed.json)


async def test_llama_model_of_a_registration_is_told_again(every_api: ServedHost) -> None:
    llama = "meta-llama/Llama-3.1-8B-Instruct"

    await every_api.post("/models/register", {"model": {**MODEL, "identifier": "m2", "llama_model": llama}})

    assert (await every_api.get("/models/get?identifier=m2")).json["llama_model"] == llama
    today = await every_api.get("/alpha/models/get?identifier=m2")
    assert today.json["metadata"] == {"a": 1, "llama_model": llama}


@pytest.mark.parametrize("provider_id", ["scripted", "", None])
async def test_shield_is_registered_found_and_listed_as_an_object_of_then(
    provider_id: str | None, every_api: ServedHost
) -> None:
    registered = await every_api.post("/shields/register", {"shield": {**SHIELD, "provider_id": provider_id}})

    assert (registered.status, registered.text) == (200, "null")
    assert (await every_api.get("/shields/get?shield_type=llama_guard")).json == SHIELD
    assert SHIELD in (await every_api.get("/shields/list")).json


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (VECTOR, VECTOR),
        ({**VECTOR, "provider_id": "", "overlap_size_in_tokens": None}, {**VECTOR, "overlap_size_in_tokens": None}),
        (
            {"identifier": "bank", "type": "keyvalue"},
            {"identifier": "bank", "type": "keyvalue", "provider_id": "scripted"},
        ),
        (
            {"identifier": "bank", "type": "keyword", "provider_id": "scripted"},
            {"identifier": "bank", "type": "keyword", "provider_id": "scripted"},
        ),
        ({name: VECTOR[name] for name in VECTOR if name != "type"}, VECTOR),
    ],
)
async def test_bank_is_registered_found_and_listed_as_an_object_of_then(
    sent: dict[str, Any], kept: dict[str, Any], every_api: ServedHost
) -> None:
    registered = await every_api.post("/memory_banks/register", {"memory_bank": sent})

    assert (registered.status, registered.text) == (200, "null")
    assert (await every_api.get("/memory_banks/get?identifier=bank")).json == kept
    assert (await every_api.get("/memory_banks/list")).json == [kept]


async def test_documents_go_into_a_bank_of_then_and_are_found(every_api: ServedHost) -> None:
    await every_api.post("/memory_banks/register", {"memory_bank": VECTOR})
    documents = [{"document_id": "d", "content": "a language", "mime_type": "text/plain", "metadata": {}}]

    inserted = await every_api.post("/memory/insert", {"bank_id": "bank", "documents": documents})
    found = await every_api.post("/memory/query", {"bank_id": "bank", "query": "language"})

    assert (inserted.status, inserted.text) == (200, "null")
    assert [chunk["content"] for chunk in found.json["chunks"]] == ["a language"]


async def test_what_was_registered_then_is_unregistered_by_the_routes_that_came_later(every_api: ServedHost) -> None:
    await every_api.post("/models/register", {"model": {"identifier": "m2"}})
    await every_api.post("/shields/register", {"shield": SHIELD})
    await every_api.post("/memory_banks/register", {"memory_bank": VECTOR})

    answers = [
        await every_api.post("/models/unregister", {"model_id": "m2"}),
        await every_api.post("/shields/unregister", {"shield_id": "llama_guard"}),
        await every_api.post("/memory_banks/unregister", {"memory_bank_id": "bank"}),
    ]

    assert [(one.status, one.text) for one in answers] == [(200, "null")] * 3


# --- agents and telemetry ---


async def test_agent_answers_turns_whole_and_streamed_and_is_deleted(every_api: ServedHost) -> None:
    agent = (await every_api.post("/agents/create", {"agent_config": AGENT})).json
    session = (await every_api.post("/agents/session/create", {**agent, "session_name": "s"})).json
    ids = {**agent, **session}
    said = {**ids, "messages": SAID}

    turn = (await every_api.post("/agents/turn/create", said)).json
    streamed = (await every_api.post("/agents/turn/create", {**said, "stream": True})).events
    of_turn = {**ids, "turn_id": turn["turn_id"]}
    read = [
        await every_api.get("/agents/turn/get?" + "&".join(f"{name}={value}" for name, value in of_turn.items())),
        await every_api.post("/agents/turn/get", of_turn),
    ]
    step = await every_api.post("/agents/step/get", {**of_turn, "step_id": turn["steps"][0]["step_id"]})
    kept = await every_api.post("/agents/session/get", ids)
    gone = [await every_api.post("/agents/session/delete", ids), await every_api.post("/agents/delete", agent)]

    assert turn["output_message"] == MESSAGE
    assert streamed[-1]["event"]["payload"]["turn"]["output_message"] == MESSAGE
    assert [one.json for one in read] == [turn, turn]
    assert step.json == {"step": turn["steps"][0]}
    assert len(kept.json["turns"]) == 2
    assert [one.text for one in gone] == ["null", "null"]


async def test_logged_trace_is_read(every_api: ServedHost) -> None:
    await every_api.post("/telemetry/log_event", {"event": {**SPAN, "payload": {"type": "span_start", "name": "x"}}})

    answer = await every_api.get("/telemetry/get_trace?trace_id=t")

    assert answer.json["root_span_id"] == "root"


async def test_routes_are_listed(every_api: ServedHost) -> None:
    assert (await every_api.get("/routes/list")).json == (await every_api.get("/alpha/routes/list")).json


# --- streams ---


@pytest.mark.parametrize("path", ["chat_completion", "completion"])
async def test_stream_is_the_one_of_today(path: str, every_api: ServedHost) -> None:
    said = {"messages": SAID} if path == "chat_completion" else {"content": "hello there"}

    then = await every_api.post(f"/inference/{path}", {"model": "m", **said, "stream": True})
    today = await every_api.post(
        f"/alpha/inference/{path.replace('_', '-')}", {"model_id": "m", **said, "stream": True}
    )

    assert then.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert then.text == today.text
    assert "hello" in then.text


async def test_failure_is_an_event_in_a_stream_and_a_status_without(every_api: ServedHost) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "break"}]}

    streamed = await every_api.post("/inference/chat_completion", {**body, "stream": True})
    whole = await every_api.post("/inference/chat_completion", body)

    assert streamed.events[-1] == {"error": {"message": "502: the answer broke off before its end"}}
    assert (whole.status, whole.json) == (502, {"detail": "the answer broke off before its end"})


# --- errors ---


@pytest.mark.parametrize(
    ("path", "body", "loc"),
    [
        ("/inference/chat_completion", {"messages": SAID}, ["body", "model"]),
        ("/inference/completion", {"model": 7, "content": ""}, ["body", "model"]),
        ("/inference/embeddings", {"contents": []}, ["body", "model"]),
        ("/safety/run_shield", {"messages": SAID}, ["body", "shield_type"]),
        ("/models/register", {}, ["body", "model"]),
        ("/models/register", {"model": "m"}, ["body", "model"]),
        ("/models/register", {"model": {}}, ["body", "model", "identifier"]),
        ("/models/register", {"model": {"identifier": "m", "metadata": 7}}, ["body", "model", "metadata"]),
        ("/shields/register", {"shield": {"identifier": ""}}, ["body", "shield", "identifier"]),
        ("/shields/register", {"shield": {"identifier": "s", "params": []}}, ["body", "shield", "params"]),
        ("/memory_banks/register", {"memory_bank": {"type": "keyword"}}, ["body", "memory_bank", "identifier"]),
        ("/memory_banks/register", {"memory_bank": {"identifier": "b", "type": "x"}}, ["body", "memory_bank"]),
        ("/memory_banks/register", {"memory_bank": {"identifier": "b", "type": None}}, ["body", "memory_bank"]),
        (
            "/memory_banks/register",
            {"memory_bank": {"identifier": "b", "type": "vector", "embedding_model": "e"}},
            ["body", "memory_bank", "chunk_size_in_tokens"],
        ),
    ],
)
async def test_what_is_wrong_is_named_as_it_was_written(
    path: str, body: Any, loc: list[str], every_api: ServedHost
) -> None:
    answer = await every_api.post(path, body)

    assert answer.status == 400
    assert answer.json["error"]["detail"]["errors"][0]["loc"] == loc


@pytest.mark.parametrize(
    ("path", "name"),
    [("/shields/get", "shield_type"), ("/memory_banks/get", "identifier"), ("/models/get", "identifier")],
)
async def test_missing_parameter_of_the_query_is_named_as_it_was_then(
    path: str, name: str, every_api: ServedHost
) -> None:
    answer = await every_api.get(path)

    assert answer.json["error"]["detail"]["errors"][0]["loc"] == ["query", name]


async def test_unknown_model_is_a_400_in_the_same_words(every_api: ServedHost) -> None:
    answer = await every_api.post("/inference/chat_completion", {"model": "nobody", "messages": SAID})

    assert answer.status == 400
    assert answer.json["detail"].startswith("Invalid value: Model `nobody` not served by provider: `scripted`. ")


async def test_registration_with_an_unknown_provider_says_so(every_api: ServedHost) -> None:
    answer = await every_api.post("/models/register", {"model": {"identifier": "m2", "provider_id": "x"}})

    assert answer.json["detail"].startswith("Invalid value: Provider `x` not found")


async def test_wrong_verb_is_a_405(every_api: ServedHost) -> None:
    answer = await every_api.get("/inference/chat_completion")

    assert (answer.status, answer.json) == (405, {"detail": "Method Not Allowed"})
