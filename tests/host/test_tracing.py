"""Requests are traced where telemetry is configured: each has its own spans, whatever runs beside it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from hitchpost.config import state_home
from hitchpost.store import SqliteStoreConfig, open_store
from hitchpost.telemetry.traces import KeptSpan, KeptTrace
from tests.host.served import EVERY_API, Answer, ServedHost, scripted_config, served

CHAT = "/alpha/inference/chat-completion"
TRACE = "x-hitchpost-trace"
CALLER = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def traced_host() -> AbstractAsyncContextManager[ServedHost]:
    """A host with a provider of every API, whose traces lie where `kept_traces` looks."""
    config = {"store": {"type": "sqlite", "db_path": str(state_home() / "traces.db")}}
    telemetry = [{"provider_id": "traces", "provider_type": "inline::meta-reference", "config": config}]
    return served({**EVERY_API, "providers": {**EVERY_API["providers"], "telemetry": telemetry}})


async def kept_traces() -> dict[str, KeptTrace]:
    """What a host that was stopped has left in its store."""
    store = await open_store(SqliteStoreConfig(), default_path=state_home() / "traces.db")
    try:
        texts = [text async for _, text in store.scan("telemetry:trace:")]
    finally:
        await store.close()
    return {trace.trace_id: trace for trace in map(KeptTrace.model_validate_json, texts)}


def chat(text: str = "hello there", **fields: Any) -> dict[str, Any]:
    return {"model_id": "m", "messages": [{"role": "user", "content": text}], **fields}


def tree(trace: KeptTrace) -> list[tuple[str, str | None]]:
    """Each span by name with its parent's name, in the order of their beginnings."""
    names = {span_id: span.name for span_id, span in trace.spans.items()}
    spans = sorted(trace.spans.values(), key=lambda span: span.start_time)
    return [(span.name, names.get(span.parent_span_id or "")) for span in spans]


def root_of(trace: KeptTrace) -> KeptSpan:
    return trace.spans[trace.root_span_id]


async def traced(call: str, body: dict[str, Any], **headers: str) -> tuple[Answer, KeptTrace]:
    """The answer to one request, and its trace."""
    async with traced_host() as host:
        answer = await host.post(call, body, **headers)
    return answer, (await kept_traces())[answer.headers[TRACE]]


# --- many at once ---


async def new_session(host: ServedHost) -> dict[str, str]:
    config = {"model": "m", "instructions": "", "enable_session_persistence": False, "input_shields": ["guard"]}
    agent = (await host.post("/alpha/agents/create", {"agent_config": config})).json
    return {**agent, **(await host.post("/alpha/agents/session/create", {**agent, "session_name": "s"})).json}


async def test_spans_of_concurrent_requests_never_mix() -> None:
    expected = {
        "whole": [(f"POST {CHAT}", None), ("inference.chat_completion", f"POST {CHAT}")],
        "streamed": [(f"POST {CHAT}", None), ("inference.stream_chat_completion", f"POST {CHAT}")],
        "openai": [
            ("POST /v1/chat/completions", None),
            ("inference.stream_chat_completion", "POST /v1/chat/completions"),
        ],
        "turn": [
            ("POST /alpha/agents/turn/create", None),
            ("agents.stream_turn", "POST /alpha/agents/turn/create"),
            ("safety.run_shield", "agents.stream_turn"),
            ("inference.stream_chat_completion", "agents.stream_turn"),
        ],
    }
    kinds = list(expected)

    async with traced_host() as host:
        sessions = [await new_session(host) for _ in range(50)]

        async def ask(number: int) -> tuple[str, str, str]:
            kind, request_id = kinds[number % 4], f"request-{number}"
            text = f"{request_id} one two three"
            path, body = {
                "whole": (CHAT, chat(text)),
                "streamed": (CHAT, chat(text, stream=True)),
                "openai": ("/v1/chat/completions", {**chat(text, stream=True), "model": "m"}),
                "turn": ("/alpha/agents/turn/create", {**chat(text, stream=True), **sessions[number // 4]}),
            }[kind]
            answer = await host.post(path, body, **{"x-request-id": request_id})
            assert request_id in answer.text
            return answer.headers[TRACE], kind, request_id

        asked = await asyncio.gather(*(ask(number) for number in range(200)))
        shown = await asyncio.gather(
            *(host.get(f"/alpha/telemetry/get-trace?trace_id={trace_id}") for trace_id, _, _ in asked)
        )
    kept = await kept_traces()

    assert len({trace_id for trace_id, _, _ in asked}) == 200
    assert [tree(kept[trace_id]) for trace_id, _, _ in asked] == [expected[kind] for _, kind, _ in asked]
    assert [root_of(kept[trace_id]).attributes["request_id"] for trace_id, _, _ in asked] == [
        request_id for _, _, request_id in asked
    ]
    assert [answer.json["root_span_id"] for answer in shown] == [kept[one].root_span_id for one, _, _ in asked]
    assert all(answer.json["end_time"] for answer in shown)


# --- what a trace holds ---


async def test_spans_tell_what_was_asked_of_whom_and_nothing_of_the_content() -> None:
    secret = "my very secret words"
    headers = {"x-request-id": "r", "X-LlamaStack-ProviderData": '{"key": "secret-key"}'}

    _, trace = await traced(CHAT, chat(secret, stream=True), **headers)

    root, call = sorted(trace.spans.values(), key=lambda span: span.start_time)
    assert root.attributes == {
        "request_id": "r", "surface": "native", "model": "m", "status": 200, "outcome": "ok",
    }  # fmt: skip
    assert call.attributes == {
        "provider_id": "scripted", "provider_type": "inline::scripted", "resource": "scripted/m", "outcome": "ok",
    }  # fmt: skip
    assert (root.status, call.status) == ("ok", "ok")
    assert trace.end_time == root.end_time
    assert root.start_time <= call.start_time
    assert "secret" not in trace.model_dump_json()


@pytest.mark.parametrize(
    ("body", "status", "outcomes"),
    [
        (chat("break"), 502, ["status_502", "bad_backend_answer"]),
        (chat("break", stream=True), 200, ["bad_backend_answer", "bad_backend_answer"]),
        (chat(model_id="nobody"), 400, ["status_400"]),
        ({"model_id": 7}, 400, ["status_400"]),
    ],
)
async def test_failure_is_told_by_the_spans_that_it_belongs_to(
    body: dict[str, Any], status: int, outcomes: list[str]
) -> None:
    answer, trace = await traced(CHAT, body)

    spans = sorted(trace.spans.values(), key=lambda span: span.start_time)
    assert answer.status == status
    assert [span.attributes["outcome"] for span in spans] == outcomes
    assert {span.status for span in spans} == {"error"}


async def test_long_name_of_a_model_is_cut() -> None:
    _, trace = await traced(CHAT, chat(model_id="x" * 5000))

    assert root_of(trace).attributes["model"] == "x" * 200


async def test_client_that_leaves_ends_the_spans_of_its_stream() -> None:
    async with (
        traced_host() as host,
        host.http.post(host.url + CHAT, json=chat("stall", stream=True)) as response,
    ):
        await response.content.readuntil(b"one")
        trace_id = response.headers[TRACE]
    trace = (await kept_traces())[trace_id]

    assert [span.attributes["outcome"] for span in trace.spans.values()] == ["cancelled", "cancelled"]


async def test_items_of_a_batch_are_spans_of_one_trace() -> None:
    _, trace = await traced("/alpha/batch-inference/completion", {"model": "m", "content_batch": ["a", "b", "c"]})

    root = "POST /alpha/batch-inference/completion"
    assert tree(trace) == [(root, None), *[("inference.completion", root)] * 3]


async def test_path_that_is_no_route_is_named_without_it() -> None:
    async with traced_host() as host:
        answer = await host.get("/alpha/nothing/secret")
    trace = (await kept_traces())[answer.headers[TRACE]]

    assert tree(trace) == [("GET unmatched", None)]


async def test_trace_of_the_caller_is_gone_on_with() -> None:
    trace_id, parent = CALLER

    answer, trace = await traced(CHAT, chat(), traceparent=f"00-{trace_id}-{parent}-01")

    assert answer.headers[TRACE] == trace_id
    assert root_of(trace).parent_span_id == parent


# --- where nothing is traced ---


async def test_host_without_telemetry_traces_nothing() -> None:
    async with served(scripted_config([{"echo": True}])) as host:
        answers = [
            await host.post(CHAT, chat(), traceparent=f"00-{CALLER[0]}-{CALLER[1]}-01"),
            await host.post(CHAT, chat(stream=True)),
        ]

    assert [TRACE in answer.headers for answer in answers] == [False, False]


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_operations_are_not_traced(path: str) -> None:
    async with traced_host() as host:
        answer = await host.get(path)

    assert TRACE not in answer.headers


async def test_telemetry_that_can_not_start_holds_up_nobody() -> None:
    store = {"type": "redis", "host": "127.0.0.1", "port": 1}
    telemetry = [{"provider_id": "traces", "provider_type": "inline::meta-reference", "config": {"store": store}}]
    config = {**EVERY_API, "providers": {**EVERY_API["providers"], "telemetry": telemetry}}

    async with served(config) as host:
        answer = await host.post(CHAT, chat())

    assert (answer.status, TRACE in answer.headers) == (200, False)
