"""Bedrock's bad days: each ends with its own error, at once, and without secrets."""

import asyncio
import json
import logging
import threading
import traceback
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

from hitchpost.api import CompletionRequest, TextDelta
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    ContextLengthExceededError,
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
)
from hitchpost_bedrock.aws import transport
from hitchpost_bedrock.inference import sdk_calls
from hitchpost_bedrock.inference.provider import BedrockInference
from tests.bedrock.conftest import MakeProvider, asking, keys_of
from tests.fakes.bedrock import frames
from tests.fakes.bedrock.rules import Refused
from tests.fakes.bedrock.server import Answer, FakeBedrock
from tests.fakes.bedrock.shapes import CONVERSE_STREAM
from tests.plugged import chat, until
from tests.remote.raw_server import RawServer, answered

pytestmark = pytest.mark.timeout(30)
COUNT = "Count from one"


async def streamed(provider: BedrockInference, text: str = COUNT, **context: Any) -> list[Any]:
    async with aclosing(provider.stream_chat_completion(chat(text=text), asking(**context))) as events:  # type: ignore[type-var]
        return [event async for event in events]


async def whole(provider: BedrockInference, text: str = COUNT, **context: Any) -> list[Any]:
    return (await provider.chat_completion(chat(text=text), asking(**context))).choices


ASKS = pytest.mark.parametrize("ask", [streamed, whole])
REFUSALS = [
    (429, "ThrottlingException", RateLimitedError),
    (400, "ServiceQuotaExceededException", RateLimitedError),
    (429, "ModelNotReadyException", BackendUnavailableError),
    (503, "ServiceUnavailableException", BackendUnavailableError),
    (500, "InternalServerException", BackendUnavailableError),
    (403, "ExpiredTokenException", UnauthenticatedError),
    (403, "UnrecognizedClientException", UnauthenticatedError),
    (403, "InvalidSignatureException", UnauthenticatedError),
    (403, "AccessDeniedException", PermissionDeniedError),
    (404, "ResourceNotFoundException", NotFoundError),
    (408, "ModelTimeoutException", DeadlineExceededError),
    (424, "ModelErrorException", BadBackendAnswerError),
    (400, "ValidationException", BadRequestError),
    (418, "TeapotException", BadRequestError),
    (502, "SomethingNewException", BackendUnavailableError),
]


@ASKS
@pytest.mark.parametrize(("status", "code", "expected"), REFUSALS)
async def test_each_refusal_has_its_own_error(
    provider: BedrockInference, fake: FakeBedrock, ask: Any, status: int, code: str, expected: type[HitchpostError]
) -> None:
    fake.refusals = [Refused(status, code, "too bad")]

    with pytest.raises(HitchpostError) as failed:
        await ask(provider)

    assert type(failed.value) is expected
    assert failed.value.provider_id == "bedrock"


@pytest.mark.parametrize(
    "words",
    [
        "Input is too long for requested model.",
        "The model returned the following errors: prompt is too long: 213462 tokens > 200000 maximum",
        "This model's maximum context length is 8192 tokens. Please reduce the length of the prompt",
        "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 9000",
    ],
)
async def test_prompt_that_does_not_fit_has_an_error_of_its_own(
    provider: BedrockInference, fake: FakeBedrock, words: str
) -> None:
    fake.refusals = [Refused(400, "ValidationException", words)]

    with pytest.raises(ContextLengthExceededError) as failed:
        await whole(provider)

    assert words in failed.value.message


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "ExpiredTokenException"])
async def test_errors_name_no_account_and_no_key(provider: BedrockInference, fake: FakeBedrock, code: str) -> None:
    text = "User: arn:aws:iam::123456789012:user/x with AKIAIOSFODNN7EXAMPLE may not"
    fake.refusals = [Refused(400, code, text)]

    with pytest.raises(HitchpostError) as failed:
        await streamed(provider)

    assert "123456789012" not in failed.value.message
    assert "AKIA" not in failed.value.message


async def test_time_to_retry_after_is_passed_on(provider: BedrockInference, fake: FakeBedrock) -> None:
    fake.refusals, fake.retry_after = [Refused(429, "ThrottlingException", "slow down")], "7"

    with pytest.raises(RateLimitedError) as failed:
        await whole(provider)

    assert failed.value.retry_after_s == 7


IN_STREAM = [
    ("throttlingException", RateLimitedError),
    ("modelStreamErrorException", BadBackendAnswerError),
    ("internalServerException", BackendUnavailableError),
    ("serviceUnavailableException", BackendUnavailableError),
    ("validationException", BadRequestError),
]


@pytest.mark.parametrize(("code", "expected"), IN_STREAM)
async def test_errors_in_the_middle_of_a_stream_come_after_its_text(
    provider: BedrockInference, fake: FakeBedrock, code: str, expected: type[HitchpostError]
) -> None:
    fake.in_stream = CONVERSE_STREAM.exception(code, "that was it")

    async with aclosing(provider.stream_chat_completion(chat(text=COUNT), asking())) as events:  # type: ignore[type-var]
        texts = [(await anext(events)).text, (await anext(events)).text]
        with pytest.raises(HitchpostError) as failed:
            await anext(events)

    assert type(failed.value) is expected
    assert texts == ["one", " two"]


GOOD = CONVERSE_STREAM.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x"}})
BROKEN = {
    "ends without its end": b"",
    "ends within a message": GOOD[:-7],
    "has a wrong checksum": GOOD[:-4] + b"\0\0\0\0",
    "has a wrong checksum of its lengths": b"\0\0\0\x10\0\0\0\0\0\0\0\0" + GOOD,
    "is garbage": b"what is this?" * 20,
    "has a message of 3 GB": b"\xbf\xff\xff\xff" + GOOD[4:],
    "has a line of 10 MB that is no message": b"x" * 10_000_000,
    "has a message of 10 MB that is no JSON": frames.frame(
        {":event-type": "contentBlockDelta", ":message-type": "event"}, b"x" * 10_000_000
    ),
    "has a payload that is no JSON": frames.frame(
        {":event-type": "contentBlockDelta", ":message-type": "event"}, b"{half"
    ),
    "has half a character": frames.frame(
        {":event-type": "contentBlockDelta", ":message-type": "event"}, b'{"delta":{"text":"\xc3"}}'
    ),
    "ends for an unknown reason": frames.event("messageStop", {"stopReason": "boredom"}),
    "ends as the model failed": CONVERSE_STREAM.event("messageStop", {"stopReason": "malformed_model_output"}),
}


@pytest.mark.parametrize("rest", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_stream_is_an_error_and_the_next_is_served(
    provider: BedrockInference, fake: FakeBedrock, rest: bytes
) -> None:
    fake.in_stream = rest

    with pytest.raises(BadBackendAnswerError):
        await streamed(provider)

    fake.in_stream = None
    assert await streamed(provider)


def saying(body: bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=content_type, headers=headers)

    return answer


ODD_ANSWERS = {
    "an error with status 200": (saying(b'{"message":"no"}'), BadBackendAnswerError),
    "an empty body": (saying(b""), BadBackendAnswerError),
    "a list": (saying(b"[1]"), BadBackendAnswerError),
    "a page of HTML": (saying(b"<html>hi</html>", content_type="text/html"), BadBackendAnswerError),
    "a line of 10 MB": (saying(b"x" * 10_000_000), BadBackendAnswerError),
    "half a character": (saying(b'{"output":"\xc3'), BadBackendAnswerError),
    "a page of HTML as an error": (saying(b"<html>", 503, "text/html"), BackendUnavailableError),
    "a redirect": (saying(b"", 307, Location="http://127.0.0.1:1/"), BadBackendAnswerError),
}


@pytest.mark.parametrize(("answer", "expected"), ODD_ANSWERS.values(), ids=ODD_ANSWERS.keys())
async def test_odd_answer_is_an_error(
    provider: BedrockInference, fake: FakeBedrock, answer: Answer, expected: type[HitchpostError]
) -> None:
    fake.answering = answer

    with pytest.raises(HitchpostError) as failed:
        await whole(provider)

    assert type(failed.value) is expected


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 2**16)


async def completed(provider: BedrockInference) -> Any:
    return await provider.completion(CompletionRequest(model_id="m", content="Once"), asking())


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"generation":7,"stop_reason":"stop"}',
        b'{"generation":"x"}',
        b'{"generation":"x","stop_reason":"boredom"}',
        b'{"generation":"x","stop_reason":["stop"]}',
        b"[" * 100_000,
    ],
    ids=["nothing", "a number", "no end", "an unknown end", "a list as its end", "deep"],
)
async def test_odd_completion_is_an_error(provider: BedrockInference, fake: FakeBedrock, body: bytes) -> None:
    fake.answering = saying(body)

    with pytest.raises(BadBackendAnswerError):
        await completed(provider)


@pytest.mark.parametrize("ask", [whole, completed])
async def test_answer_without_an_end_is_not_read_for_ever(
    provider: BedrockInference, fake: FakeBedrock, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 2**20)
    monkeypatch.setattr(sdk_calls, "MAX_ANSWER_BYTES", 2**20)
    fake.answering = endless

    with pytest.raises(BadBackendAnswerError, match="more than 1048576 bytes"):
        await ask(provider)

    await until(lambda: fake.running == 0)


async def test_silence_in_a_stream_ends_it_after_the_read_timeout(
    make_provider: MakeProvider, fake: FakeBedrock
) -> None:
    provider = await make_provider(read_timeout=0.3)

    async with fake.stall():
        with pytest.raises(DeadlineExceededError, match="read_timeout"):
            await streamed(provider)


async def half_a_header(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await asyncio.Event().wait()
    raise AssertionError


async def test_slow_header_of_a_stream_ends_after_the_read_timeout(
    make_provider: MakeProvider, fake: FakeBedrock
) -> None:
    provider = await make_provider(read_timeout=0.2)
    fake.answering = half_a_header

    with pytest.raises(DeadlineExceededError, match="read_timeout"):
        await streamed(provider)

    await until(lambda: fake.running == 0)


async def test_slow_header_of_a_whole_answer_ends_with_its_caller(
    provider: BedrockInference, fake: FakeBedrock
) -> None:
    fake.answering = half_a_header

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(whole(provider), 0.2)

    await until(lambda: fake.running == 0)


async def test_proxy_of_the_environment_is_asked_unless_the_host_is_excepted(
    make_provider: MakeProvider, fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"output": {"message": {"role": "assistant", "content": [{"text": "by proxy"}]}}, "stopReason": "end_turn"}
    async with RawServer(answered(json.dumps(said).encode())) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://me:pass@"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        far, near = await make_provider(endpoint_url="http://bedrock.example"), await make_provider()

        answers = [(await whole(provider))[0].text for provider in (far, near)]

    assert answers[0] == "by proxy"
    assert answers[1] != "by proxy"
    [exchange] = proxy.exchanges
    assert exchange.head.startswith("POST http://bedrock.example/model/")
    assert "Proxy-Authorization: Basic bWU6cGFzcw==" in exchange.head


async def test_proxy_that_is_not_there_is_an_error_without_its_password(
    make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:pass-of-the-proxy@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    provider = await make_provider(endpoint_url="http://bedrock.example")

    with pytest.raises(BackendUnavailableError) as failed:
        await whole(provider)

    assert "pass-of-the-proxy" not in "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize("code", ["ExpiredTokenException", "ValidationException"])
async def test_secrets_are_in_no_error_and_no_log(
    make_provider: MakeProvider, fake: FakeBedrock, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bedrock")
    secrets = {
        "aws_access_key_id": "ASIAHOSTHOSTHOSTHOST",
        "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_session_token": "IQoJb3JpZ2luX2VjEDoaCXVzLWVhc3QtMSJHMEUCIQ==" * 5,
    }
    provider = await make_provider(**secrets)
    fake.refusals = [Refused(403, code, f"no: {' '.join(secrets.values())}")]

    with pytest.raises(HitchpostError) as failed:
        await streamed(provider)

    told = failed.value.message + caplog.text + repr(provider.config)
    assert not [secret for secret in secrets.values() if secret in told]


async def test_whole_answer_may_take_longer_than_the_read_timeout(
    make_provider: MakeProvider, fake: FakeBedrock
) -> None:
    provider = await make_provider(read_timeout=0.1)

    async def late(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.4)
        fake.answering = None
        content = [{"text": "late"}]
        message = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"}
        return web.json_response(message)

    fake.answering = late

    [choice] = await whole(provider)

    assert choice.text == "late"


async def test_backend_that_is_not_there_is_unavailable(make_provider: MakeProvider) -> None:
    provider = await make_provider(endpoint_url="http://127.0.0.1:1")

    with pytest.raises(BackendUnavailableError):
        await whole(provider)


@pytest.mark.parametrize(("config", "calls"), [({}, 1), ({"total_max_attempts": 3}, 3)])
async def test_only_botocore_retries(
    make_provider: MakeProvider, fake: FakeBedrock, config: dict[str, Any], calls: int
) -> None:
    provider = await make_provider(retry_mode="standard", **config)
    fake.refusals = [Refused(503, "ServiceUnavailableException", "later")] * 9

    with pytest.raises(BackendUnavailableError):
        await streamed(provider)

    assert len(fake.requests) == calls


async def test_a_throttled_call_is_repeated_as_the_mode_says(make_provider: MakeProvider, fake: FakeBedrock) -> None:
    provider = await make_provider(retry_mode="standard", total_max_attempts=2)
    fake.refusals = [Refused(429, "ThrottlingException", "slow down")]

    assert await streamed(provider)


@ASKS
async def test_callers_that_leave_stalled_calls_give_their_threads_back(
    make_provider: MakeProvider, fake: FakeBedrock, ask: Any
) -> None:
    provider = await make_provider(max_connections=2, read_timeout=600)
    async with fake.stall():
        for _ in range(3):
            tasks = [asyncio.ensure_future(ask(provider)) for _ in range(2)]
            await until(lambda: fake.stalled == 2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await until(lambda: fake.running == 0)

    assert await ask(provider)


async def test_interrupted_calls_are_not_retried(make_provider: MakeProvider, fake: FakeBedrock) -> None:
    provider = await make_provider(total_max_attempts=5, retry_mode="standard")
    async with fake.stall():
        task = asyncio.ensure_future(whole(provider))
        await until(lambda: fake.stalled == 1)
        task.cancel()
        await until(lambda: fake.running == 0)
    await provider.stop()

    assert len(fake.requests) == 1


async def test_stop_ends_calls_that_run_and_calls_that_wait_for_a_thread(
    make_provider: MakeProvider, fake: FakeBedrock
) -> None:
    provider = await make_provider(max_connections=1)
    async with fake.stall():
        tasks = [asyncio.ensure_future(ask(provider)) for ask in (whole, streamed, whole, streamed)]
        await until(lambda: fake.stalled == 1)
        await provider.stop()
        errors = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(error) for error in errors} == {BackendUnavailableError}


async def test_no_thread_is_left_after_stop(make_provider: MakeProvider) -> None:
    before = threading.active_count()
    provider = await make_provider()
    await streamed(provider)
    await provider.stop()

    await until(lambda: threading.active_count() <= before)


async def test_provider_serves_again_after_it_was_stopped_and_started(provider: BedrockInference) -> None:
    await provider.stop()
    await provider.start()

    assert await whole(provider)


async def test_slow_reader_holds_the_backend_back_and_loses_nothing(provider: BedrockInference) -> None:
    words = " ".join(f"w{number}" for number in range(500))
    texts = []

    async with aclosing(provider.stream_chat_completion(chat(text=words), asking())) as events:  # type: ignore[type-var]
        async for event in events:
            await asyncio.sleep(0)
            texts += [event.text] if isinstance(event, TextDelta) else []

    assert "".join(texts) == f"You said: {words} [AKIAHOST]"


async def test_wrong_keys_of_a_caller_are_the_callers_error(open_provider: BedrockInference) -> None:
    with pytest.raises(UnauthenticatedError) as failed:
        await whole(open_provider, data=keys_of("WRONG"))

    assert "WRONG" not in failed.value.message


async def test_no_credentials_at_all_are_an_error_of_the_request(make_provider: MakeProvider) -> None:
    provider = await make_provider(aws_access_key_id=None, aws_secret_access_key=None)

    with pytest.raises(UnauthenticatedError, match="no AWS credentials"):
        await whole(provider)


@pytest.mark.parametrize("config", [{"region_name": None}, {"profile_name": "nobody"}])
async def test_provider_that_can_not_be_started_says_why_for_good(
    make_provider: MakeProvider, config: dict[str, Any]
) -> None:
    with pytest.raises(BackendUnavailableError) as failed:
        await make_provider(**config)

    assert failed.value.is_permanent
