"""What a caller sees on the server's bad days."""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hitchpost.api import Finish, RequestContext, TextDelta
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    DeadlineExceededError,
    HitchpostError,
    OverloadedError,
    RateLimitedError,
    UnauthenticatedError,
)
from hitchpost.plugin import collect_chat
from hitchpost_remote_tgi.provider import TgiInference
from tests.fakes.tgi.faults import answered
from tests.fakes.tgi.server import FakeTgi
from tests.plugged import until
from tests.remote_tgi.conftest import LLAMA, PLAIN, StartedProvider, chat, streamed

WRONG_KEY = "wr0ng-secret"
MODELS = [LLAMA, "acme/seer"]
Ask = Callable[[TgiInference, Any], Awaitable[Any]]


async def whole(provider: TgiInference, request: Any) -> Any:
    """A whole answer."""
    return await provider.chat_completion(request, PLAIN)


ways = pytest.mark.parametrize("ask", [streamed, whole], ids=["streamed", "whole"])
models = pytest.mark.parametrize("model_id", MODELS)


# --- errors that the server says ---


@ways
@models
async def test_full_server_is_overloaded_and_says_when_to_come_back(
    model_id: str, ask: Ask, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id, max_concurrent_requests=0) as fake:
        provider = await started_provider(fake)

        with pytest.raises(OverloadedError, match="overloaded") as refused:
            await ask(provider, chat())

        assert refused.value.retry_after_s == 1


@ways
async def test_request_that_the_server_finds_wrong_is_refused_with_its_words(ask: Ask, provider: TgiInference) -> None:
    with pytest.raises(BadRequestError, match=r"supports up to 4 stop sequences\. Given: 5"):
        await ask(provider, chat(sampling_params={"stop": ["a1", "b2", "c3", "d4", "e5"]}))


@pytest.mark.parametrize("model_id", MODELS)
async def test_more_alternatives_than_the_server_gives_are_refused(
    model_id: str, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)

        with pytest.raises(BadRequestError, match="top_n_tokens"):
            await streamed(provider, chat(logprobs={"top_k": 6}))


@ways
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            424,
            {"error": "Request failed during generation: out of memory", "error_type": "generation"},
            BackendUnavailableError,
        ),
        (500, {"error": "Incomplete generation", "error_type": "incomplete_generation"}, BadBackendAnswerError),
        (422, {"error": "Template error: roles must alternate", "error_type": "template_error"}, BadRequestError),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, OverloadedError),
        (429, {"error": "Rate limit reached"}, RateLimitedError),
        (401, {"error": "Invalid token"}, UnauthenticatedError),
    ],
)
async def test_errors_of_the_server_have_their_class(
    status: int, body: Any, expected: type[HitchpostError], ask: Ask, provider: TgiInference, fake_tgi: FakeTgi
) -> None:
    async with fake_tgi.faults.answering(answered(json.dumps(body).encode(), status, "application/json")):
        with pytest.raises(expected):
            await ask(provider, chat())


@models
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"error": "Request failed during generation: oops", "error_type": "generation"}, BackendUnavailableError),
        (
            {"error": {"message": "Request failed during generation: oops", "http_status_code": 422}},
            BackendUnavailableError,
        ),
        ({"error": {"message": "Model is overloaded", "http_status_code": 422}}, OverloadedError),
        ({"error": {"message": "Input validation error: no", "http_status_code": 422}}, BadRequestError),
        ({"error": {}, "error_type": "x"}, BadBackendAnswerError),
        ({"error": "anything"}, BadBackendAnswerError),
    ],
    ids=str,
)
async def test_error_inside_a_good_stream_has_its_class(
    model_id: str, event: Any, expected: type[HitchpostError], started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)
        body = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
        async with fake.faults.answering(answered(body)):
            with pytest.raises(expected):
                await streamed(provider, chat())


@ways
async def test_error_with_the_status_200_is_an_error(ask: Ask, provider: TgiInference, fake_tgi: FakeTgi) -> None:
    body = {"error": "Request failed during generation: oops", "error_type": "generation"}
    async with fake_tgi.faults.answering(answered(json.dumps(body).encode(), 200, "application/json")):
        with pytest.raises(BackendUnavailableError):
            await ask(provider, chat())


# --- answers that nobody can read ---


@models
@ways
@pytest.mark.parametrize(
    "fault",
    [
        answered(b"<html><body>502</body></html>", 200, "text/html"),
        answered(b'{"token": ', 200, "application/json"),
        answered(b"data: {garbage\n\n"),
        answered(b'data: {"index":1,"token":{"id":1,"text":"h'),
        answered('data: {"token":{"text":"ü'.encode()[:-1]),
        answered(b"data: " + b"x" * 10_000_000 + b"\n\n"),
        answered(b""),
        answered(b"data: null\n\n"),
        answered(b"", 307, headers={"Location": "http://127.0.0.1:1/"}),
    ],
    ids=[
        "page",
        "half JSON",
        "garbage",
        "half an event",
        "half a character",
        "10 MB line",
        "nothing",
        "null",
        "redirect",
    ],
)
async def test_what_is_no_answer_is_a_bad_one(
    model_id: str, ask: Ask, fault: Any, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)

        async with fake.faults.answering(fault):
            with pytest.raises(BadBackendAnswerError):
                await ask(provider, chat())

        assert await ask(provider, chat())


@models
async def test_stream_that_ends_properly_before_the_answer_does_is_a_bad_one(
    model_id: str, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)

        async def end(response: web.StreamResponse | None) -> None:
            assert response is not None
            await response.write_eof()
            await asyncio.Event().wait()

        events: list[Any] = []

        async def listen() -> None:
            async for event in provider.stream_chat_completion(chat("a long text to say"), PLAIN):
                events.append(event)  # noqa: PERF401 - what came before the error counts

        async with fake.faults.breaking(end):
            with pytest.raises(BadBackendAnswerError, match="before the answer's end"):
                await listen()

        assert [type(event) for event in events[:1]] == [TextDelta]
        assert not [event for event in events if isinstance(event, Finish)]


# --- silence, and ends ---


@ways
async def test_stalled_server_is_given_up(ask: Ask, fake_tgi: FakeTgi, started_provider: StartedProvider) -> None:
    provider = await started_provider(fake_tgi, first_byte_timeout_s=0.2, between_chunks_timeout_s=0.2)

    async with fake_tgi.faults.stall():
        with pytest.raises((DeadlineExceededError, BackendUnavailableError)):
            await ask(provider, chat("a long text to say"))

    await until(lambda: fake_tgi.running == 0)


async def test_slow_header_is_given_up(fake_tgi: FakeTgi, started_provider: StartedProvider) -> None:
    provider = await started_provider(fake_tgi, first_byte_timeout_s=0.2)

    async def slow(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
        await asyncio.Event().wait()
        raise AssertionError

    async with fake_tgi.faults.answering(slow):
        with pytest.raises((DeadlineExceededError, BackendUnavailableError)):
            await streamed(provider, chat())


async def test_deadline_of_the_request_holds(provider: TgiInference, fake_tgi: FakeTgi) -> None:
    context = RequestContext(request_id="req_test", deadline=time.monotonic() + 0.2)

    async with fake_tgi.faults.stall():
        with pytest.raises((DeadlineExceededError, BackendUnavailableError)):
            await provider.chat_completion(chat(), context)


async def test_killed_server_is_unavailable_and_serves_again_when_it_is_back(
    provider: TgiInference, fake_tgi: FakeTgi
) -> None:
    async with fake_tgi.faults.stall():
        asking = asyncio.create_task(streamed(provider, chat("a long text to say")))
        await until(lambda: fake_tgi.running == 1)
        await fake_tgi.die()
        with pytest.raises((BadBackendAnswerError, BackendUnavailableError)):
            await asking
    with pytest.raises(BackendUnavailableError):
        await streamed(provider, chat())
    with pytest.raises(BackendUnavailableError):
        await provider.health()

    async with fake_tgi:
        answer = await collect_chat(provider.stream_chat_completion(chat(), PLAIN), 1)

    assert answer.choices[0].text == "You said: hello"


@ways
async def test_caller_that_leaves_ends_the_servers_work(ask: Ask, provider: TgiInference, fake_tgi: FakeTgi) -> None:
    async with fake_tgi.faults.stall():
        asking = asyncio.create_task(ask(provider, chat("a long text to say")))  # type: ignore[arg-type]
        await until(lambda: fake_tgi.running == 1)

        asking.cancel()

        await until(lambda: fake_tgi.running == 0)
    with pytest.raises(asyncio.CancelledError):
        await asking


# --- start and health ---


async def test_wrong_key_is_noticed_at_the_start_and_named_nowhere(
    started_provider: StartedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeTgi(api_key="right") as fake:
        with pytest.raises(UnauthenticatedError, match="api_token") as refused:
            await started_provider(fake, api_token=WRONG_KEY)

        assert WRONG_KEY not in "".join(traceback.format_exception(refused.value)) + caplog.text


async def test_something_else_than_the_server_is_said_to_be_it(started_provider: StartedProvider) -> None:
    async with FakeTgi("") as fake:
        with pytest.raises(BadBackendAnswerError, match="no text-generation-inference"):
            await started_provider(fake)


async def test_server_whose_model_crashed_is_not_well(provider: TgiInference, fake_tgi: FakeTgi) -> None:
    await provider.health()
    fake_tgi.is_healthy = False

    with pytest.raises(BackendUnavailableError, match="unhealthy"):
        await provider.health()
