"""What doesn't validate natively: status, envelope and `loc` of every route."""

from typing import Any

import pytest

from tests.host.served import ServedHost

SAID = [{"role": "user", "content": "hi"}]
AGENT = {"model": "m", "instructions": "", "enable_session_persistence": False}
EVENT = {"trace_id": "t", "span_id": "s", "timestamp": "2024-11-20T10:00:00"}
TURN = {"agent_id": "a", "session_id": "s"}


def agent_with(**fields: Any) -> dict[str, Any]:
    return {"agent_config": {**AGENT, **fields}}


@pytest.mark.parametrize(
    ("path", "body", "loc", "kind"),
    [
        ("safety/run-shield", {"messages": SAID}, ["shield_id"], "missing"),
        ("safety/run-shield", {"shield_id": 7, "messages": SAID}, ["shield_id"], "string_type"),
        (
            "safety/run-shield",
            {"shield_id": "s", "messages": [{"role": "x", "content": ""}]},
            ["messages", 0],
            "union_tag_invalid",
        ),
        (
            "safety/run-shield",
            {"shield_id": "s", "messages": [{"role": "assistant", "content": "", "stop_reason": "x"}]},
            ["messages", 0, "assistant", "stop_reason"],
            "enum",
        ),
        ("shields/register", {}, ["shield_id"], "missing"),
        ("shields/register", {"shield_id": "s", "params": "[1]"}, ["params"], "dict_type"),
        ("shields/unregister", {}, ["shield_id"], "missing"),
        ("memory-banks/register", {"memory_bank_id": "b"}, ["params"], "missing"),
        (
            "memory-banks/register",
            {"memory_bank_id": "b", "params": {"memory_bank_type": "x"}},
            ["params"],
            "union_tag_invalid",
        ),
        ("memory-banks/register", {"memory_bank_id": "b", "params": {}}, ["params"], "union_tag_not_found"),
        (
            "memory-banks/register",
            {"memory_bank_id": "b", "params": {"memory_bank_type": "vector", "embedding_model": "e"}},
            ["params", "vector", "chunk_size_in_tokens"],
            "missing",
        ),
        ("memory-banks/unregister", {}, ["memory_bank_id"], "missing"),
        ("memory/insert", {"bank_id": "b"}, ["documents"], "missing"),
        (
            "memory/insert",
            {"bank_id": "b", "documents": [{"content": "x"}]},
            ["documents", 0, "document_id"],
            "missing",
        ),
        ("memory/insert", {"bank_id": "b", "documents": [], "ttl_seconds": 0}, ["ttl_seconds"], "greater_than_equal"),
        ("memory/query", {"bank_id": "b"}, ["query"], "missing"),
        (
            "memory/query",
            {"bank_id": "b", "query": "x", "params": {"max_chunks": 0}},
            ["params", "max_chunks"],
            "greater_than_equal",
        ),
        ("agents/create", {}, ["agent_config"], "missing"),
        ("agents/create", {"agent_config": {**AGENT, "model": None}}, ["agent_config", "model"], "string_type"),
        ("agents/create", agent_with(tools=[{"type": "x"}]), ["agent_config", "tools", 0], "union_tag_invalid"),
        (
            "agents/create",
            agent_with(tools=[{"type": "memory", "memory_bank_configs": [{"type": "graph", "bank_id": "b"}]}]),
            ["agent_config", "tools", 0, "memory", "memory_bank_configs", 0, "graph", "entities"],
            "missing",
        ),
        (
            "agents/create",
            agent_with(tools=[{"type": "photogen", "remote_execution": {"url": "ftp://x", "method": "GET"}}]),
            ["agent_config", "tools", 0, "photogen", "remote_execution", "url", "uri"],
            "string_pattern_mismatch",
        ),
        ("agents/delete", {}, ["agent_id"], "missing"),
        ("agents/session/create", {"agent_id": "a"}, ["session_name"], "missing"),
        ("agents/session/get", {"agent_id": "a"}, ["session_id"], "missing"),
        ("agents/session/get", {**TURN, "turn_ids": [1]}, ["turn_ids", 0], "string_type"),
        ("agents/session/delete", {"agent_id": "a"}, ["session_id"], "missing"),
        ("agents/turn/create", {**TURN, "messages": []}, ["messages"], "too_short"),
        (
            "agents/turn/create",
            {**TURN, "messages": [{"role": "system", "content": ""}]},
            ["messages", 0],
            "union_tag_invalid",
        ),
        (
            "agents/turn/create",
            {**TURN, "messages": SAID, "attachments": [{"content": "x"}]},
            ["attachments", 0, "mime_type"],
            "missing",
        ),
        ("agents/turn/get", TURN, ["turn_id"], "missing"),
        ("agents/step/get", {**TURN, "turn_id": "t"}, ["step_id"], "missing"),
        ("telemetry/log-event", {"event": {**EVENT, "type": "x"}}, ["event"], "union_tag_invalid"),
        (
            "telemetry/log-event",
            {"event": {**EVENT, "type": "structured_log", "payload": {"type": "span_end"}}},
            ["event", "structured_log", "payload", "span_end", "status"],
            "missing",
        ),
        (
            "telemetry/log-event",
            {"event": {**EVENT, "type": "unstructured_log", "message": "", "severity": "loud"}},
            ["event", "unstructured_log", "severity"],
            "enum",
        ),
        ("batch-inference/completion", {"content_batch": ["a"]}, ["model"], "missing"),
        ("batch-inference/chat-completion", {"model": "m", "messages_batch": [[]]}, ["messages_batch", 0], "too_short"),
    ],
)
async def test_wrong_body_is_named_by_its_place(
    path: str, body: Any, loc: list[Any], kind: str, every_api: ServedHost
) -> None:
    answer = await every_api.post(f"/alpha/{path}", body)

    [problem] = answer.json["error"]["detail"]["errors"]
    assert answer.status == 400
    assert (problem["loc"], problem["type"]) == (["body", *loc], kind)
    assert set(problem) == {"loc", "msg", "type"}


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("shields/get", ["identifier"]),
        ("memory-banks/get", ["memory_bank_id"]),
        ("telemetry/get-trace", ["trace_id"]),
        ("agents/turn/get", ["agent_id", "session_id", "turn_id"]),
        ("agents/step/get", ["agent_id", "session_id", "turn_id", "step_id"]),
    ],
)
async def test_missing_parameters_of_the_query_are_named(path: str, missing: list[str], every_api: ServedHost) -> None:
    answer = await every_api.get(f"/alpha/{path}")

    assert answer.status == 400
    assert [problem["loc"] for problem in answer.json["error"]["detail"]["errors"]] == [
        ["query", name] for name in missing
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"text"', b"\xff", b'{"a": ' * 500])
@pytest.mark.parametrize("path", ["safety/run-shield", "agents/session/get", "telemetry/log-event"])
async def test_body_that_is_no_object_is_a_400_in_the_same_envelope(
    path: str, body: bytes, every_api: ServedHost
) -> None:
    answer = await every_api.send("POST", f"/alpha/{path}", body, {"Content-Type": "application/json"})

    assert answer.status == 400
    assert answer.json["error"]["detail"]["errors"]


async def test_text_that_is_not_json_makes_every_field_look_missing(every_api: ServedHost) -> None:
    headers = {"Content-Type": "text/plain"}

    answer = await every_api.send("POST", "/alpha/agents/session/create", b'{"agent_id": "a"}', headers)

    assert [problem["loc"] for problem in answer.json["error"]["detail"]["errors"]] == [
        ["body", "agent_id"], ["body", "session_name"],
    ]  # fmt: skip


# --- APIs that nobody serves ---


@pytest.mark.parametrize(
    ("path", "body", "api"),
    [
        ("safety/run-shield", {"shield_id": "s", "messages": SAID}, "safety"),
        ("memory/query", {"bank_id": "b", "query": "x"}, "memory"),
        ("agents/create", {"agent_config": AGENT}, "agents"),
        ("agents/turn/create", {**TURN, "messages": SAID, "stream": True}, "agents"),
    ],
)
async def test_api_without_a_provider_says_which_types_would_serve_it(
    path: str, body: Any, api: str, host: ServedHost
) -> None:
    answer = await host.post(f"/alpha/{path}", body)

    assert (answer.status, answer.headers["x-should-retry"]) == (501, "false")
    start = f"Not implemented: this host serves no {api}: no provider of {api} is configured. Provider types for it: "
    assert answer.json["detail"].startswith(start)
    assert "inline::scripted" in answer.json["detail"]


async def test_telemetry_without_a_provider_names_the_built_in_type(host: ServedHost) -> None:
    answer = await host.get("/alpha/telemetry/get-trace?trace_id=t")

    assert answer.status == 501
    assert "inline::meta-reference" in answer.json["detail"]


@pytest.mark.parametrize("path", ["shields/list", "memory-banks/list"])
async def test_registries_are_there_without_a_provider(path: str, host: ServedHost) -> None:
    answer = await host.get(f"/alpha/{path}")

    assert (answer.status, answer.text) == (200, "[]")


async def test_nothing_is_registered_where_no_provider_could_own_it(host: ServedHost) -> None:
    answer = await host.post("/alpha/shields/register", {"shield_id": "s"})

    assert (answer.status, answer.json) == (400, {"detail": "Invalid value: no safety provider is configured"})
