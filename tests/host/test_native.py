"""The native surface: the exact forms of llama-stack 0.0.53."""

import asyncio
import math
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
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
    UnsupportedError,
)
from tests.host.conftest import OddHost
from tests.host.served import ServedHost

CHAT = "/alpha/inference/chat-completion"
COMPLETION = "/alpha/inference/completion"


def chat(text: str = "hello there", **fields: Any) -> dict[str, Any]:
    return {"model_id": "m", "messages": [{"role": "user", "content": text}], **fields}


def tool(name: str) -> dict[str, Any]:
    return {"tool_name": name, "parameters": {"city": {"param_type": "str"}}}


def progress(delta: Any, stop_reason: str | None = None, logprobs: Any = None) -> dict[str, Any]:
    return {"event": {"event_type": "progress", "delta": delta, "logprobs": logprobs, "stop_reason": stop_reason}}


START = {"event": {"event_type": "start", "delta": "", "logprobs": None, "stop_reason": None}}


def complete(stop_reason: str) -> dict[str, Any]:
    return {"event": {"event_type": "complete", "delta": "", "logprobs": None, "stop_reason": stop_reason}}


# --- whole answers ---


async def test_chat_answers_one_message_with_every_field(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat())

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {
        "completion_message": {
            "role": "assistant",
            "content": "hello there",
            "stop_reason": "end_of_turn",
            "tool_calls": [],
        },
        "logprobs": None,
    }


async def test_chat_with_a_tool_call_answers_its_arguments_as_an_object(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat("weather?", tools=[tool("get_weather")]))

    message = answer.json["completion_message"]
    assert message["content"] == ""
    assert [(call["tool_name"], call["arguments"]) for call in message["tool_calls"]] == [
        ("get_weather", {"city": "Oslo"})
    ]


async def test_nested_arguments_become_json_text_below_the_first_level(odd: OddHost) -> None:
    arguments = '{"a": {"b": [1, {"c": null}], "d": 2}, "e": [1, [2]], "f": NaN, "g": "x"}'
    odd.provider.events = [
        ToolCallStart(0, "id", "f"),
        ToolCallDelta(0, arguments),
        Finish(FinishReason.tool_calls),
    ]

    answer = await odd.host.post(CHAT, chat())

    [call] = answer.json["completion_message"]["tool_calls"]
    assert call["arguments"] == {"a": {"b": '[1, {"c": null}]', "d": 2}, "e": [1, "[2]"], "f": None, "g": "x"}


async def test_call_that_can_not_be_read_goes_out_as_text_and_the_others_stay_calls(odd: OddHost) -> None:
    odd.provider.events = [
        TextDelta("So: "),
        ToolCallStart(0, "id-0", "f"), ToolCallDelta(0, '{"a": '),
        ToolCallStart(1, "id-1", "g"), ToolCallDelta(1, '{"b": 1}'),
        Finish(FinishReason.tool_calls),
    ]  # fmt: skip

    answer = await odd.host.post(CHAT, chat())

    message = answer.json["completion_message"]
    assert message["tool_calls"] == [{"call_id": "id-1", "tool_name": "g", "arguments": {"b": 1}}]
    assert message["content"] == 'So: {"a": '


async def test_unreadable_arguments_go_out_as_text(odd: OddHost) -> None:
    odd.provider.events = [ToolCallStart(0, "id", "f"), ToolCallDelta(0, '{"a": '), Finish(FinishReason.tool_calls)]

    answer = await odd.host.post(CHAT, chat())

    assert answer.json["completion_message"]["tool_calls"] == []
    assert answer.json["completion_message"]["content"] == '{"a": '


async def test_refusal_is_text_and_reasoning_is_dropped(odd: OddHost) -> None:
    odd.provider.events = [ReasoningDelta("Hm."), RefusalDelta("No."), Finish(FinishReason.stop)]

    answer = await odd.host.post(CHAT, chat())

    assert answer.json["completion_message"]["content"] == "No."


@pytest.mark.parametrize(
    ("reason", "stop_reason"),
    [
        ("stop", "end_of_turn"),
        ("tool_calls", "end_of_turn"),
        ("content_filter", "end_of_turn"),
        ("length", "out_of_tokens"),
        ("end_of_message", "end_of_message"),
    ],
)
async def test_finish_reasons_in_native_words(reason: str, stop_reason: str, odd: OddHost) -> None:
    odd.provider.events = [Finish(FinishReason(reason))]

    whole = await odd.host.post(CHAT, chat())
    streamed = await odd.host.post(CHAT, chat(stream=True))

    assert whole.json["completion_message"]["stop_reason"] == stop_reason
    assert streamed.events == [START, complete(stop_reason)]


async def test_completion_answers_text_and_stop_reason(host: ServedHost) -> None:
    answer = await host.post(COMPLETION, {"model_id": "m", "content": "abc"})

    assert answer.json == {"content": "abc", "stop_reason": "end_of_turn", "logprobs": None}


async def test_log_probabilities_map_tokens_to_numbers(odd: OddHost) -> None:
    token = TokenLogprob("a", -0.5, top=[TopLogprob("b", -math.inf), TopLogprob("a", -0.5)])
    odd.provider.events = [TextDelta("a", logprobs=[token]), Finish(FinishReason.stop)]
    expected = [{"logprobs_by_token": {"b": -9999.0, "a": -0.5}}]

    whole = await odd.host.post(COMPLETION, {"model_id": "m", "content": "x", "logprobs": {"top_k": 2}})
    streamed = await odd.host.post(CHAT, chat(stream=True, logprobs={"top_k": 2}))

    assert whole.json["logprobs"] == expected
    assert streamed.events[1] == progress("a", logprobs=expected)


async def test_embeddings_answer_vectors_only(odd: OddHost) -> None:
    answer = await odd.host.post("/alpha/inference/embeddings", {"model_id": "m", "contents": ["abc", ["de", "f"]]})

    assert answer.json == {"embeddings": [[3.0, -0.5], [4.0, -0.5]]}


# --- streams ---


async def test_chat_stream_starts_progresses_and_completes(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat(stream=True), Accept="application/json")

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.events == [START, progress("hello"), progress(" there"), complete("end_of_turn")]


async def test_accept_header_does_not_make_a_stream(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat(), Accept="text/event-stream")

    assert answer.headers["Content-Type"] == "application/json"


async def test_stream_as_text_is_understood(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat(stream="true"))

    assert answer.events[0] == START


async def test_tool_calls_are_announced_told_and_closed_at_the_end(odd: OddHost) -> None:
    odd.provider.events = [
        TextDelta("Well."),
        ToolCallStart(0, "one", "f"),
        ToolCallStart(1, "two", "g"),
        ToolCallDelta(0, '{"a": [[1'),
        ToolCallDelta(1, '{"b"'),
        ToolCallDelta(0, "]]}"),
        Usage(1, 2),
        Finish(FinishReason.end_of_message),
    ]

    answer = await odd.host.post(CHAT, chat(stream=True))

    started = {"content": "", "parse_status": "started"}
    call = {"call_id": "one", "tool_name": "f", "arguments": {"a": ["[1]"]}}
    assert answer.events == [
        START,
        progress("Well."),
        progress(started),
        progress(started),
        progress({"content": '{"a": [[1', "parse_status": "in_progress"}),
        progress({"content": '{"b"', "parse_status": "in_progress"}),
        progress({"content": "]]}", "parse_status": "in_progress"}),
        progress({"content": call, "parse_status": "success"}, "end_of_message"),
        progress({"content": "", "parse_status": "failure"}, "end_of_message"),
        complete("end_of_message"),
    ]


async def test_call_without_arguments_has_an_empty_object(odd: OddHost) -> None:
    odd.provider.events = [ToolCallStart(0, "one", "f"), Finish(FinishReason.tool_calls)]

    answer = await odd.host.post(CHAT, chat(stream=True))

    success = {"content": {"call_id": "one", "tool_name": "f", "arguments": {}}, "parse_status": "success"}
    assert answer.events[2] == progress(success, "end_of_turn")


async def test_completion_stream_ends_with_the_stop_reason(host: ServedHost) -> None:
    answer = await host.post(COMPLETION, {"model_id": "m", "content": "ab cd", "stream": True})

    assert answer.events == [
        {"delta": "ab", "stop_reason": None, "logprobs": None},
        {"delta": " cd", "stop_reason": None, "logprobs": None},
        {"delta": "", "stop_reason": "end_of_turn", "logprobs": None},
    ]


async def test_native_stream_sends_its_headers_before_the_first_event(host: ServedHost) -> None:
    async with host.http.post(host.url + CHAT, json=chat("stall at once", stream=True)) as response:
        assert response.status == 200

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await response.content.readany()


@pytest.mark.parametrize(
    ("text", "sent", "error"),
    [
        ("fail at once", [], "503: the script says so"),
        ("fail later", [START, progress("one"), progress(" two")], "400: Invalid value: the script says so"),
        ("defect", [START, progress("one")], "500: Internal server error: An unexpected error occurred."),
        ("cut", [START, progress("one"), progress(" two")], "502: the answer broke off before its end"),
    ],
)
async def test_failed_stream_ends_with_one_error_event(
    text: str, sent: list[Any], error: str, host: ServedHost
) -> None:
    answer = await host.post(CHAT, chat(text, stream=True))

    assert answer.status == 200
    assert answer.events == [*sent, {"error": {"message": error}}]


async def test_unknown_model_is_an_error_event_in_a_stream_and_a_400_without(host: ServedHost) -> None:
    streamed = await host.post(CHAT, chat(stream=True, model_id="nobody"))
    whole = await host.post(CHAT, chat(model_id="nobody"))

    assert streamed.status == 200
    assert streamed.events[0]["error"]["message"].startswith("400: Invalid value: Model `nobody` not served")
    assert whole.status == 400
    assert whole.json["detail"].startswith("Invalid value: Model `nobody` not served")


# --- errors ---


@pytest.mark.parametrize(
    ("error", "status", "detail", "may_retry"),
    [
        (NotFoundError("x"), 400, "Invalid value: x", True),
        (UnauthenticatedError("x"), 401, "x", True),
        (PermissionDeniedError("x"), 403, "Permission denied: x", True),
        (ConflictError("x"), 409, "x", False),
        (RateLimitedError("x"), 429, "x", True),
        (HitchpostError("x"), 500, "Internal server error: x", False),
        (UnsupportedError("x"), 501, "Not implemented: x", False),
        (BadBackendAnswerError("x"), 502, "x", False),
        (OverloadedError("x"), 503, "x", True),
        (BackendUnavailableError("x"), 503, "x", True),
        (BackendUnavailableError("x", is_permanent=True), 503, "x", False),
        (DeadlineExceededError("x"), 504, "Operation timed out: x", False),
    ],
)
async def test_errors_of_the_tree(
    error: HitchpostError, status: int, detail: str, may_retry: bool, odd: OddHost
) -> None:
    odd.provider.events = [error]

    answer = await odd.host.post(CHAT, chat())

    assert (answer.status, answer.json) == (status, {"detail": detail})
    assert answer.headers.get("x-should-retry") == (None if may_retry else "false")
    assert answer.headers["x-hitchpost-provider"] == "odd"


async def test_retry_after_is_told_in_whole_seconds(odd: OddHost) -> None:
    odd.provider.events = [OverloadedError("x", retry_after_s=1.2)]

    answer = await odd.host.post(CHAT, chat())

    assert answer.headers["Retry-After"] == "2"


async def test_defect_of_a_provider_tells_nothing(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat("early defect"))

    assert answer.status == 500
    assert answer.json == {"detail": "Internal server error: An unexpected error occurred."}


async def test_several_choices_are_refused(host: ServedHost) -> None:
    answer = await host.post(CHAT, chat(sampling_params={"n": 2}))

    assert answer.status == 400
    assert "sampling_params.n" in answer.json["detail"]


async def test_unknown_route_and_wrong_method_have_their_old_bodies(host: ServedHost) -> None:
    unknown = await host.get("/alpha/nothing")
    wrong = await host.get(CHAT)

    assert (unknown.status, unknown.json) == (404, {"detail": "Not Found"})
    assert (wrong.status, wrong.json, wrong.headers["Allow"]) == (405, {"detail": "Method Not Allowed"}, "POST")


async def test_client_whose_base_url_lacks_v1_is_told_so(host: ServedHost) -> None:
    answer = await host.post("/chat/completions", {"model": "scripted", "messages": []})

    assert answer.status == 404
    assert "a base URL that ends with it" in answer.json["detail"]


async def test_trailing_slash_is_redirected_with_its_query(host: ServedHost) -> None:
    answer = await host.get("/alpha/models/get/?identifier=a%26b")

    assert answer.status == 307
    assert answer.headers["Location"] == "/alpha/models/get?identifier=a%26b"


@pytest.mark.parametrize("path", ["//example.org/", "/alpha/nothing/", "//alpha/models/list/"])
async def test_no_redirect_to_what_does_not_exist(path: str, host: ServedHost) -> None:
    answer = await host.get(path)

    assert answer.status == 404


# --- models, inspect ---


async def test_models_are_listed_registered_found_and_unregistered(host: ServedHost) -> None:
    registered = await host.post("/alpha/models/register", {"model_id": "mine", "provider_model_id": "m"})
    found = await host.get("/alpha/models/get?identifier=mine")
    listed = await host.get("/alpha/models/list")
    gone = await host.post("/alpha/models/unregister", {"model_id": "mine"})
    absent = await host.get("/alpha/models/get?identifier=mine")

    model = {
        "identifier": "mine",
        "provider_resource_id": "m",
        "provider_id": "scripted",
        "type": "model",
        "metadata": {},
    }
    assert registered.json == model
    assert found.json == model
    assert listed.json == [model]
    assert (gone.status, gone.text) == (200, "null")
    assert (absent.status, absent.text) == (200, "null")


async def test_missing_query_parameter_is_named(host: ServedHost) -> None:
    answer = await host.get("/alpha/models/get")

    assert answer.status == 400
    problem = {"loc": ["query", "identifier"], "msg": "is missing", "type": "missing"}
    assert answer.json == {"error": {"detail": {"errors": [problem]}}}


async def test_inspect_tells_health_providers_and_routes(host: ServedHost) -> None:
    health = await host.get("/alpha/health")
    providers = await host.get("/alpha/providers/list")
    routes = await host.get("/alpha/routes/list")

    assert health.json == {"status": "OK"}
    assert providers.json == {"inference": [{"provider_id": "scripted", "provider_type": "inline::scripted"}]}
    assert {"route": CHAT, "method": "post", "provider_types": ["inline::scripted"]} in routes.json["inference"]


# --- provider data ---


@pytest.mark.parametrize("header", ["X-LlamaStack-ProviderData", "X-LlamaStack-Provider-Data", "X-OGX-Provider-Data"])
async def test_provider_data_reaches_the_provider(header: str, odd: OddHost) -> None:
    odd.provider.events = [Finish(FinishReason.stop)]

    await odd.host.post(CHAT, chat(), **{header: '{"key": "secret"}'})

    [context] = odd.provider.contexts
    assert context.raw_provider_data == {"key": "secret"}
    assert "secret" not in repr(context)


@pytest.mark.parametrize("value", ["{", "[1]", '"text"', "", "{" * 3000])
@pytest.mark.parametrize("path", [CHAT, "/v1/chat/completions"])
async def test_malformed_provider_data_is_refused_at_once(path: str, value: str, host: ServedHost) -> None:
    body = chat(stream=True, model="m")

    answer = await host.post(path, body, **{"X-LlamaStack-ProviderData": value})

    assert answer.status == 400
    assert "X-LlamaStack-ProviderData" in answer.text
