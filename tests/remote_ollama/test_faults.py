"""Bad days of an Ollama server: each ends as a clear error, and the next request is served."""

import asyncio

import pytest
from aiohttp import web

from hitchpost.api import TextDelta
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
    UnsupportedError,
)
from hitchpost_remote_ollama.provider import OllamaInference
from tests.fakes.ollama.faults import GOOD_LINE, Answer, failing, redirecting, saying, slow_header
from tests.fakes.ollama.server import FakeOllama
from tests.remote_ollama.conftest import TINY, StartedProvider, chat, streamed

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
SHORT = {"first_byte_timeout_s": 0.3, "between_chunks_timeout_s": 0.3, "total_timeout_s": 0.3}
WRONG_TYPE = b'{"model":"tiny","message":{"role":"assistant","content":["Hi"]},"done":false}\n'
RUNNER_DIED = b'{"error":"llama-server process has terminated: signal: killed"}\n'
BUSY = failing(503, "server busy, please try again.  maximum pending requests exceeded")
ANSWERS: dict[str, tuple[Answer, type[HitchpostError]]] = {
    "no done line": (saying(GOOD_LINE), BadBackendAnswerError),
    "nothing at all": (saying(), BadBackendAnswerError),
    "garbage": (saying(b"\x00\xff\xfe garbage\n"), BadBackendAnswerError),
    "garbage after a line": (saying(GOOD_LINE, b"garbage\n"), BadBackendAnswerError),
    "half a line": (saying(GOOD_LINE, GOOD_LINE[:40]), BadBackendAnswerError),
    "half a character": (saying(GOOD_LINE, GOOD_LINE.replace(b"Hi", b"\xf0\x9f\x90")), BadBackendAnswerError),
    "a wrong type": (saying(GOOD_LINE, WRONG_TYPE), BadBackendAnswerError),
    "a list": (saying(b"[1,2,3]\n"), BadBackendAnswerError),
    "deeply nested": (saying(b"[" * 100_000 + b"\n"), BadBackendAnswerError),
    "a page with status 200": (saying(HTML, content_type="text/html"), BadBackendAnswerError),
    "a page with status 502": (saying(HTML, status=502, content_type="text/html"), BackendUnavailableError),
    "a page with status 404": (
        saying(b"404 page not found", status=404, content_type="text/plain"),
        BadBackendAnswerError,
    ),
    "a line of 10 MB": (
        saying(GOOD_LINE, b'{"message":{"content":"', *[b"a" * 2**20] * 10, b'"}}\n'),
        BadBackendAnswerError,
    ),
    "an error alone with status 200": (saying(RUNNER_DIED), BackendUnavailableError),
    "a redirect": (redirecting("http://127.0.0.1:1/elsewhere"), BadBackendAnswerError),
    "a refused host name": (saying(b"", status=403), PermissionDeniedError),
    "busy": (BUSY, OverloadedError),
    "out of memory": (
        failing(500, "model requires more system memory (9.1 GiB) than is available (2.2 GiB)"),
        BackendUnavailableError,
    ),
    "a bad option": (failing(500, 'option "seed" must be of type integer'), BadRequestError),
    "anything else": (failing(500, "something went wrong"), BadBackendAnswerError),
    "too long": (failing(400, "the prompt is longer than the context length"), BadRequestError),
    "no tools": (failing(400, "registry.ollama.ai/library/tiny:latest does not support tools"), UnsupportedError),
    "not found": (failing(404, "model 'tiny' not found"), NotFoundError),
    "not found by the scheduler": (failing(404, 'model "tiny" not found, try pulling it first'), NotFoundError),
    "not signed in": (failing(401, "unauthorized"), UnauthenticatedError),
    "cloud disabled": (failing(403, "cloud models are disabled"), PermissionDeniedError),
    "too many": (failing(429, "you have reached your weekly limit"), RateLimitedError),
}


@pytest.mark.parametrize("way", ["streamed", "whole"])
@pytest.mark.parametrize("name", ANSWERS)
async def test_bad_answer_is_a_clear_error_and_the_next_is_served(
    name: str, way: str, provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    answer, expected = ANSWERS[name]

    with fake_ollama.faults.answering(answer), pytest.raises(expected) as failed:
        await (streamed(provider, chat()) if way == "streamed" else provider.chat_completion(chat(), TINY))

    assert failed.value.provider_id == "ollama"
    assert (await provider.chat_completion(chat(), TINY)).choices[0].text == "You said: hello"
    assert fake_ollama.running == 0


async def test_error_in_a_line_of_a_stream_is_said_after_what_came_before(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    with fake_ollama.faults.answering(saying(GOOD_LINE, RUNNER_DIED)):
        stream = provider.stream_chat_completion(chat(), TINY)
        assert await anext(stream) == TextDelta("Hi")
        with pytest.raises(BackendUnavailableError, match="terminated"):
            await anext(stream)


@pytest.mark.parametrize("way", ["streamed", "whole"])
async def test_slow_header_meets_its_time_limit(
    way: str, started_provider: StartedProvider, fake_ollama: FakeOllama
) -> None:
    provider = await started_provider(**SHORT)

    with fake_ollama.faults.answering(slow_header), pytest.raises(DeadlineExceededError, match="within"):
        await (streamed(provider, chat()) if way == "streamed" else provider.chat_completion(chat(), TINY))


async def test_silence_in_the_middle_meets_its_time_limit(
    started_provider: StartedProvider, fake_ollama: FakeOllama
) -> None:
    provider = await started_provider(**{**SHORT, "total_timeout_s": 5})

    async with fake_ollama.faults.stall():
        with pytest.raises(DeadlineExceededError, match="silent"):
            await streamed(provider, chat("a long story"))


async def test_stream_that_drips_for_ever_meets_the_limit_of_the_whole(
    started_provider: StartedProvider, fake_ollama: FakeOllama
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(GOOD_LINE)
            await asyncio.sleep(0.02)

    provider = await started_provider(**{**SHORT, "total_timeout_s": 0.5})

    with fake_ollama.faults.answering(drip), pytest.raises(DeadlineExceededError, match="not whole in time"):
        await streamed(provider, chat())


async def test_server_that_dies_in_the_middle_is_an_error_and_back_it_serves_again(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    async with fake_ollama.faults.stall():
        asking = asyncio.create_task(streamed(provider, chat("a long story")))
        async with asyncio.timeout(5):
            while not fake_ollama.faults.stalled:
                await asyncio.sleep(0.01)
        await fake_ollama.die()
        with pytest.raises((BadBackendAnswerError, BackendUnavailableError)):
            await asking
    with pytest.raises(BackendUnavailableError, match="configured url"):
        await provider.health()

    await fake_ollama.__aenter__()

    await provider.health()
    assert (await provider.chat_completion(chat(), TINY)).choices[0].text == "You said: hello"


async def test_provider_without_a_server_does_not_start(started_provider: StartedProvider) -> None:
    with pytest.raises(BackendUnavailableError, match="configured url"):
        await started_provider(url="http://127.0.0.1:1")


async def test_request_that_a_busy_server_refused_is_sent_again(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    refusals = iter([True])

    async def busy_once(request: web.Request) -> web.StreamResponse:
        if next(refusals, False):
            return await BUSY(request)
        return await saying(GOOD_LINE.replace(b"false", b"true"))(request)

    with fake_ollama.faults.answering(busy_once):
        assert (await provider.chat_completion(chat(), TINY)).choices[0].text == "Hi"


async def test_certificates_that_cannot_be_read_are_said_so(started_provider: StartedProvider) -> None:
    with pytest.raises(BackendUnavailableError, match="tls_ca_file") as refused:
        await started_provider(tls_ca_file="/no/such/file.pem")

    assert "/no/such" not in refused.value.message


async def test_paths_and_length_of_a_servers_words_are_kept_from_clients(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    words = "open /usr/share/ollama/.ollama/models/blobs/sha256-abc: no such file " + "x" * 1000

    with fake_ollama.faults.answering(failing(500, words)), pytest.raises(BadBackendAnswerError) as refused:
        await provider.chat_completion(chat(), TINY)

    assert "no such file" in refused.value.message
    assert "/usr" not in refused.value.message
    assert len(refused.value.message) < 400
