"""POST /v1/chat/completions and the surface's errors."""

import asyncio
from typing import Any

import pytest

from hitchpost.api import (
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    TopLogprob,
    Usage,
)
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    ConflictError,
    ContextLengthExceededError,
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
    UnsupportedError,
)
from hitchpost.host import HostSettings
from hitchpost.host.keys import LIFECYCLE
from tests.host.conftest import SCRIPT, OddHost
from tests.host.served import ServedHost, odd_config, parse_events, scripted_config, served, until

CHAT = "/v1/chat/completions"


def chat(text: str = "hello there", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


def deltas(events: list[Any]) -> list[Any]:
    """What each choice of each chunk says: delta, or finish reason."""
    return [
        choice["delta"] or choice["finish_reason"]
        for event in events
        if event != "[DONE]"
        for choice in event["choices"]
    ]


# --- whole answers ---


async def test_answer_has_every_field_of_a_chat_completion(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat())

    body = answer.json
    assert body.pop("id").startswith("chatcmpl-")
    assert isinstance(body.pop("created"), int)
    assert body == {
        "object": "chat.completion",
        "model": "m",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    }


async def test_several_choices_are_answered(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat(n=3))

    assert [choice["index"] for choice in answer.json["choices"]] == [0, 1, 2]


async def test_tool_calls_keep_the_arguments_of_the_model_verbatim(odd: OddHost) -> None:
    odd.provider.events = [
        ToolCallStart(0, "one", "f"),
        ToolCallDelta(0, '{"a" : '),
        Usage(5, 6, cached_tokens=4),
        Finish(FinishReason.end_of_message),
    ]

    answer = await odd.host.post(CHAT, chat())

    [choice] = answer.json["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [{"id": "one", "type": "function", "function": {"name": "f", "arguments": '{"a" : '}}],
    }
    assert answer.json["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}


async def test_refusal_and_reasoning_have_fields_of_their_own(odd: OddHost) -> None:
    odd.provider.events = [ReasoningDelta("Hm."), RefusalDelta("No."), Finish(FinishReason.end_of_message)]

    answer = await odd.host.post(CHAT, chat())

    [choice] = answer.json["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": "No.",
        "reasoning_content": "Hm.",
    }


async def test_log_probabilities_have_openais_form(odd: OddHost) -> None:
    token = TokenLogprob("é", -0.5, bytes=[195, 169], top=[TopLogprob("e", float("-inf"), bytes=[101])])
    odd.provider.events = [TextDelta("é", logprobs=[token]), Finish(FinishReason.stop)]
    expected = {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [{"token": "e", "logprob": -9999.0, "bytes": [101]}],
            }
        ],
        "refusal": None,
    }

    whole = await odd.host.post(CHAT, chat(logprobs=True, top_logprobs=1))
    streamed = await odd.host.post(CHAT, chat(logprobs=True, top_logprobs=1, stream=True))

    assert whole.json["choices"][0]["logprobs"] == expected
    assert streamed.events[1]["choices"][0]["logprobs"] == expected


# --- streams ---


async def test_stream_has_a_role_first_then_text_finish_and_done(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat(stream=True))

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"
    *chunks, done = answer.events
    assert done == "[DONE]"
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"content": "hello"}, {"content": " there"}, "stop"]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert all("usage" not in chunk for chunk in chunks)


async def test_usage_comes_last_when_asked_for_and_is_null_before(odd: OddHost) -> None:
    odd.provider.events = [Usage(5, 6), TextDelta("x"), Finish(FinishReason.stop)]

    answer = await odd.host.post(CHAT, chat(stream=True, stream_options={"include_usage": True}))

    *chunks, last, done = answer.events
    assert done == "[DONE]"
    assert [chunk["usage"] for chunk in chunks] == [None, None, None]
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}


async def test_streamed_tool_calls_come_in_pieces(odd: OddHost) -> None:
    odd.provider.events = [
        ToolCallStart(0, "one", "f"),
        ToolCallDelta(0, '{"a":'),
        ToolCallDelta(0, "1}"),
        ToolCallStart(1, "two", "g"),
        Finish(FinishReason.stop),
    ]

    answer = await odd.host.post(CHAT, chat(stream=True))

    def call(index: int, id_: str, name: str) -> dict[str, Any]:
        function = {"name": name, "arguments": ""}
        return {"tool_calls": [{"index": index, "id": id_, "type": "function", "function": function}]}

    assert deltas(answer.events)[1:] == [
        call(0, "one", "f"),
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        call(1, "two", "g"),
        "tool_calls",
    ]


async def test_streamed_refusal_and_reasoning(odd: OddHost) -> None:
    odd.provider.events = [ReasoningDelta("Hm."), RefusalDelta("No."), Finish(FinishReason.content_filter)]

    answer = await odd.host.post(CHAT, chat(stream=True))

    assert deltas(answer.events)[1:] == [{"reasoning_content": "Hm."}, {"refusal": "No."}, "content_filter"]


async def test_choices_interleave_each_with_its_role(odd: OddHost) -> None:
    odd.provider.events = [
        TextDelta("a", 0),
        TextDelta("b", 1),
        TextDelta("", 0),
        Finish(FinishReason.length, 1),
        TextDelta("c", 0),
        Finish(FinishReason.stop, 0),
    ]

    answer = await odd.host.post(CHAT, chat(stream=True, n=2))

    said = [
        (choice["index"], choice["delta"] or choice["finish_reason"])
        for chunk in answer.events[:-1]
        for choice in chunk["choices"]
    ]
    role = {"role": "assistant", "content": ""}
    assert said == [
        (0, role),
        (0, {"content": "a"}),
        (1, role),
        (1, {"content": "b"}),
        (1, "length"),
        (0, {"content": "c"}),
        (0, "stop"),
    ]


# --- failures in streams ---


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [("fail at once", 503, "overloaded"), ("early defect", 500, "internal_error"), ("hello", 404, "model_not_found")],
)
async def test_failure_before_the_first_event_has_its_status(
    text: str, status: int, code: str, host: ServedHost
) -> None:
    answer = await host.post(CHAT, chat(text, stream=True, model="m" if text != "hello" else "nobody"))

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["error"]["code"] == code


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "fail later",
            {
                "message": "the script says so",
                "type": "invalid_request_error",
                "param": None,
                "code": "bad_request",
            },
        ),
        (
            "defect",
            {
                "message": "An unexpected error occurred.",
                "type": "server_error",
                "param": None,
                "code": "internal_error",
            },
        ),
        (
            "cut",
            {
                "message": "the answer broke off before its end",
                "type": "server_error",
                "param": None,
                "code": "bad_backend_answer",
            },
        ),
    ],
)
async def test_failure_in_mid_stream_is_the_last_event_and_never_done(
    text: str, error: dict[str, Any], host: ServedHost
) -> None:
    answer = await host.post(CHAT, chat(text, stream=True))

    assert answer.status == 200
    assert answer.events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert answer.events[-1] == {"error": error}
    assert "[DONE]" not in answer.text


async def test_status_waits_for_the_first_event_and_then_sends_heartbeats() -> None:
    settings = HostSettings(first_event_s=0.1)
    async with served(scripted_config(SCRIPT), settings=settings) as host:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), host.http.post(host.url + CHAT, json=chat("stall at once", stream=True)):
                pass

        async with host.http.post(host.url + CHAT, json=chat("stall at once", stream=True)) as response:
            first = await response.content.readuntil(b"\n\n")
            second = await response.content.readuntil(b"\n\n")

    assert response.status == 200
    assert first.startswith(b":")
    assert second.startswith(b":")


async def test_failure_after_heartbeats_is_an_error_event() -> None:
    events = [0.15, OverloadedError("busy")]
    async with served(odd_config(), settings=HostSettings(first_event_s=0.02)) as host:
        host.stack.providers[0].provider.events = events  # type: ignore[union-attr]

        answer = await host.post(CHAT, chat(stream=True))

    assert answer.status == 200
    assert answer.text.startswith(": ")
    assert [event["error"]["code"] for event in parse_events(answer.text)] == ["overloaded"]


async def test_heartbeats_come_only_into_silence() -> None:
    events = [TextDelta("a"), 0.2, TextDelta("b"), Finish(FinishReason.stop)]
    async with served(odd_config(), settings=HostSettings(first_event_s=0.05)) as host:
        host.stack.providers[0].provider.events = events  # type: ignore[union-attr]

        answer = await host.post(CHAT, chat(stream=True))

    before, _, after = answer.text.partition("\n: ")
    assert '"a"' in before
    assert '"b"' in after
    assert deltas(answer.events)[1:] == [{"content": "a"}, {"content": "b"}, "stop"]


# --- errors ---


class NoKeyError(UnauthenticatedError):
    """A class of a provider's own."""


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "may_retry"),
    [
        (NotFoundError("x", param="model"), 404, "invalid_request_error", "model_not_found", True),
        (UnauthenticatedError("x", param="model"), 401, "authentication_error", "invalid_api_key", True),
        (NoKeyError("x", param="model"), 401, "authentication_error", "invalid_api_key", True),
        (PermissionDeniedError("x", param="model"), 403, "permission_error", "permission_denied", True),
        (ConflictError("x", param="model"), 409, "invalid_request_error", "conflict", False),
        (RateLimitedError("x", param="model"), 429, "rate_limit_error", "rate_limit_exceeded", True),
        (
            ContextLengthExceededError("x", param="model"),
            400,
            "invalid_request_error",
            "context_length_exceeded",
            True,
        ),
        (HitchpostError("x", param="model"), 500, "server_error", "internal_error", False),
        (UnsupportedError("x", param="model"), 400, "invalid_request_error", "unsupported", True),
        (BadBackendAnswerError("x", param="model"), 502, "server_error", "bad_backend_answer", False),
        (OverloadedError("x", param="model"), 503, "server_error", "overloaded", True),
        (BackendUnavailableError("x", param="model"), 503, "server_error", "backend_unavailable", True),
        (
            BackendUnavailableError("x", param="model", is_permanent=True),
            503,
            "server_error",
            "backend_unavailable",
            False,
        ),
        (DeadlineExceededError("x", param="model"), 504, "server_error", "deadline_exceeded", False),
    ],
)
async def test_errors_of_the_tree_in_openais_envelope(
    error: HitchpostError, status: int, kind: str, code: str, may_retry: bool, odd: OddHost
) -> None:
    odd.provider.events = [error]

    answer = await odd.host.post(CHAT, chat())

    assert answer.status == status
    assert answer.json == {"error": {"message": "x", "type": kind, "param": "model", "code": code}}
    assert answer.headers.get("x-should-retry") == (None if may_retry else "false")
    assert answer.headers["x-hitchpost-provider"] == "odd"


async def test_what_nobody_foresaw_is_logged_under_the_request_id_and_shown_to_nobody(
    odd: OddHost, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    odd.host.stack.models.list_models = fail  # type: ignore[method-assign,assignment]

    answer = await odd.host.get("/v1/models", **{"x-request-id": "abc-1"})

    assert answer.status == 500
    assert "secret" not in answer.text
    assert answer.headers["x-should-retry"] == "false"
    [record] = [record for record in caplog.records if record.exc_info]
    assert "abc-1" in record.getMessage()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/v1/nothing", 404, "unknown_url"), ("GET", CHAT, 405, "method_not_allowed")],
)
async def test_unknown_routes_and_wrong_methods_have_the_envelope(
    method: str, path: str, status: int, code: str, host: ServedHost
) -> None:
    answer = await host.send(method, path, None, {})

    assert answer.status == status
    assert answer.json["error"]["code"] == code
    assert path in answer.json["error"]["message"]


async def test_client_that_asks_for_responses_is_told_what_is_served(host: ServedHost) -> None:
    answer = await host.post("/v1/responses", {"model": "m", "input": "hi"})

    assert (answer.status, answer.json["error"]["code"]) == (404, "unknown_url")
    assert "set the client to chat completions" in answer.json["error"]["message"]


# --- request ids ---


async def test_request_id_of_the_caller_is_kept(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat(stream=True), **{"x-request-id": "mine-1"})

    assert answer.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("given", ["", "has space", "x" * 129, "umläut", '"quoted"'])
async def test_request_id_that_could_do_harm_is_replaced(given: str, host: ServedHost) -> None:
    answer = await host.post(CHAT, chat(), **{"x-request-id": given})

    assert answer.headers["x-request-id"].startswith("req_")


# --- departing clients ---


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, "/alpha/inference/chat-completion"])
async def test_client_that_leaves_before_the_first_token_ends_the_work(
    path: str, stream: bool, host: ServedHost
) -> None:
    gate = host.stack.providers[0]
    body = chat("stall at once", stream=stream, model_id="m")
    asking = asyncio.create_task(host.post(path, body))
    await until(lambda: gate.running == 1)

    asking.cancel()

    await until(lambda: gate.running == 0)
    assert await host.metric("hitchpost_provider_cancelled_total") == 1


@pytest.mark.parametrize("path", [CHAT, "/alpha/inference/chat-completion"])
async def test_client_that_leaves_in_mid_stream_ends_the_work(path: str, host: ServedHost) -> None:
    gate = host.stack.providers[0]
    async with host.http.post(host.url + path, json=chat("stall later", stream=True, model_id="m")) as response:
        await response.content.readuntil(b"\n\n")
        assert gate.running == 1

        response.close()

        await until(lambda: gate.running == 0)
    assert await host.metric("hitchpost_provider_cancelled_total") == 1
    await until(lambda: host.app[LIFECYCLE].running == 0)
    assert 'status="499"' in (await host.get("/metrics")).text
