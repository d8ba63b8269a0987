"""The stream writer: what is written when, whatever the text, and never more than the client reads."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientConnectionResetError, ClientError, web
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import (
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from hitchpost.host import HostSettings
from hitchpost.host.json_text import encoded, json_bytes, json_string, json_value
from hitchpost.host.native.streams import ChatEvents, CompletionEvents
from hitchpost.host.openai.chunks import ChatChunks, CompletionChunks
from hitchpost.host.openai.encode import AnswerHead
from hitchpost.host.sse import next_event
from tests.host.conftest import OddHost
from tests.host.served import ServedHost, odd_config, parse_events, served, until

ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""Half surrogate pairs and control characters included."""
LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
CHAT = "/v1/chat/completions"


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}


def shown(text: str) -> str:
    """Text as a client gets it: half surrogate pairs can't be sent."""
    return text.encode("utf-8", "replace").decode()


# --- text ---


@given(ANY_TEXT)
def test_any_text_is_one_line_of_json(text: str) -> None:
    quoted = json_string(text)

    assert not set(LINE_BREAKS) & set(quoted)
    assert json.loads(encoded(quoted)) == shown(text)
    assert json.loads(json_bytes({"a": [text]})) == {"a": [shown(text)]}
    assert not set(LINE_BREAKS) & set(json_value([text]))


@given(st.lists(ANY_TEXT, max_size=6), ANY_TEXT, ANY_TEXT)
def test_openai_chunks_of_any_text_parse_and_add_up(texts: list[str], name: str, model: str) -> None:
    chunks = ChatChunks(AnswerHead.new("chatcmpl", model), include_usage=True)
    token = TokenLogprob(name, -1.0)
    events = [
        *(TextDelta(text) for text in texts),
        TextDelta(name, logprobs=[token]),
        ReasoningDelta(name),
        ToolCallStart(0, name, name),
        ToolCallDelta(0, name),
        Usage(1, 2),
        Finish(FinishReason.stop),
    ]

    text = encoded("".join(map(chunks.encode, events)) + chunks.end()).decode()

    *parsed, usage, done = parse_events(text)
    said = [choice["delta"] for chunk in parsed for choice in chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in said) == shown("".join(texts) + name)
    assert "".join(delta.get("reasoning_content", "") for delta in said) == shown(name)
    assert usage["usage"]["total_tokens"] == 3
    assert done == "[DONE]"


@given(st.lists(ANY_TEXT, max_size=6))
def test_openai_text_chunks_of_any_text_parse_and_add_up(texts: list[str]) -> None:
    chunks = CompletionChunks(AnswerHead.new("cmpl", "m"), include_usage=False)
    events = [*(TextDelta(text) for text in texts), Finish(FinishReason.length)]

    text = encoded("".join(map(chunks.encode, events)) + chunks.end()).decode()

    *parsed, done = parse_events(text)
    assert "".join(chunk["choices"][0]["text"] for chunk in parsed) == shown("".join(texts))
    assert parsed[-1]["choices"][0]["finish_reason"] == "length"
    assert done == "[DONE]"


@given(st.lists(ANY_TEXT, max_size=6), ANY_TEXT)
def test_native_events_of_any_text_parse_and_add_up(texts: list[str], arguments: str) -> None:
    encoder = ChatEvents()
    events = [
        *(TextDelta(text) for text in texts),
        ToolCallStart(0, arguments, arguments),
        ToolCallDelta(0, arguments),
        ToolCallStart(1, "two", "g"),
        ToolCallDelta(1, json.dumps({arguments: [arguments, [arguments]]})),
        Finish(FinishReason.stop),
    ]

    text = encoded("".join(map(encoder.encode, events)) + encoder.end()).decode()

    parsed = [event["event"] for event in parse_events(text)]
    assert "".join(event["delta"] for event in parsed if isinstance(event["delta"], str)) == shown("".join(texts))
    assert parsed[-2]["delta"]["content"]["arguments"].keys() == {shown(arguments)}
    assert parsed[-1]["event_type"] == "complete"


@given(st.lists(ANY_TEXT, max_size=6))
def test_native_completion_chunks_of_any_text_parse_and_add_up(texts: list[str]) -> None:
    encoder = CompletionEvents()
    events = [*(TextDelta(text) for text in texts), Finish(FinishReason.stop)]

    text = encoded("".join(map(encoder.encode, events)) + encoder.end()).decode()

    parsed = parse_events(text)
    assert "".join(chunk["delta"] for chunk in parsed) == shown("".join(texts))
    assert parsed[-1]["stop_reason"] == "end_of_turn"


@pytest.mark.parametrize("path", [CHAT, "/alpha/inference/chat-completion"])
@pytest.mark.parametrize("stream", [False, True])
async def test_half_a_surrogate_pair_from_a_provider_reaches_the_client_as_a_question_mark(
    path: str, stream: bool, odd: OddHost
) -> None:
    odd.provider.events = [TextDelta("a\ud800b"), Finish(FinishReason.stop)]

    answer = await odd.host.post(path, chat(stream=stream, model_id="m"))

    assert answer.status == 200
    assert "a?b" in answer.text


# --- next_event ---


async def test_next_event_flushes_only_where_it_has_to_wait() -> None:
    waited: list[int] = []
    seen: list[int] = []

    async def numbers() -> AsyncGenerator[int, None]:
        yield 1
        yield 2
        await asyncio.sleep(0)
        yield 3

    async def note() -> None:
        waited.append(len(seen))

    stream = numbers()
    while len(seen) < 3:
        seen.append(await next_event(stream, note))
    with pytest.raises(StopAsyncIteration):
        await next_event(stream, note)

    assert seen == [1, 2, 3]
    assert waited == [2]


async def test_cancelling_next_event_cancels_the_generator_where_it_waits() -> None:
    ended: list[str] = []

    async def forever() -> AsyncGenerator[int, None]:
        try:
            await asyncio.Event().wait()
            yield 1
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ended.append("cancelled")
            raise

    async def nothing() -> None: ...

    task = asyncio.ensure_future(asyncio.wait_for(next_event(forever(), nothing), 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended == ["cancelled"]


async def ended_by(error: BaseException) -> list[BaseException]:
    """What a generator gets that waits when `error` comes before its wait."""
    ended: list[BaseException] = []

    async def forever() -> AsyncGenerator[int, None]:
        try:
            await asyncio.Event().wait()
            yield 1
        except BaseException as raised:
            await asyncio.sleep(0)
            ended.append(raised)
            raise

    async def fail() -> None:
        raise error

    stream = forever()
    with pytest.raises(type(error)):
        await next_event(stream, fail)
    await stream.aclose()
    return ended


async def test_cancellation_before_waiting_goes_to_the_generator() -> None:
    error = asyncio.CancelledError()

    assert await ended_by(error) == [error]


async def test_failure_before_waiting_cancels_the_generator_and_nobody_else() -> None:
    [ended] = await ended_by(RuntimeError("flush"))

    assert isinstance(ended, asyncio.CancelledError)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await asyncio.sleep(0)


# --- writing ---


async def written(host: ServedHost, path: str, body: Any) -> list[str]:
    """The text of a stream write by write, each of which is a chunk of HTTP."""
    async with host.http.post(host.url + path, json=body) as response:
        chunks, chunk = [], b""
        async for data, is_end in response.content.iter_chunks():
            chunk += data
            if is_end:
                chunks.append(chunk.decode())
                chunk = b""
    return chunks


async def test_events_that_are_ready_share_one_write_and_the_first_goes_at_once(odd: OddHost) -> None:
    pause = 0.01
    odd.provider.events = [
        TextDelta("a"),
        TextDelta("b"),
        TextDelta("c"),
        pause,
        TextDelta("d"),
        TextDelta("e"),
        pause,
        TextDelta("f"),
        Finish(FinishReason.stop),
    ]

    writes = await written(odd.host, "/alpha/inference/completion", {"model_id": "m", "content": "x", "stream": True})

    texts = [[event["delta"] for event in parse_events(text)] for text in writes]
    assert texts == [["a"], ["b", "c"], ["d", "e"], ["f", ""]]


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_client_that_knows_no_chunks_gets_the_events_as_they_are(connection: str, odd: OddHost) -> None:
    odd.provider.events = [TextDelta("a"), 0.01, TextDelta("b"), 0.01, TextDelta("c"), Finish(FinishReason.stop)]
    body = json.dumps(chat(stream=True))
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(odd.host.url).port)
    headers = f"Host: localhost\r\nConnection: {connection}\r\nContent-Length: {len(body)}"
    writer.write(f"POST {CHAT} HTTP/1.0\r\n{headers}\r\n\r\n{body}".encode())

    async with asyncio.timeout(5):
        head, _, text = (await reader.read()).decode().partition("\r\n\r\n")

    writer.close()
    assert "chunked" not in head
    *chunks, done = parse_events(text)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "abc"
    assert done == "[DONE]"


async def test_no_provider_is_blamed_for_a_client_that_has_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, odd: OddHost
) -> None:
    write = web.StreamResponse.write

    async def write_until_it_leaves(self: web.StreamResponse, data: bytes) -> None:
        if b'"last' not in data:
            return await write(self, data)
        assert self._payload_writer is not None
        assert self._payload_writer.transport is not None
        self._payload_writer.transport.abort()
        raise ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(web.StreamResponse, "write", write_until_it_leaves)
    caplog.set_level(logging.INFO)
    # So much is not written without asking whether the client keeps up.
    last = "last" + 100_000 * "."
    odd.provider.events = [TextDelta("first"), 0.01, TextDelta(last), 0.01, Finish(FinishReason.stop)]

    with pytest.raises(ClientError):
        await odd.host.post(CHAT, chat(stream=True))

    await until(lambda: " 499 " in caplog.text)
    assert "stream_error" not in caplog.text
    assert not [record.message for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_provider_that_never_waits_lets_others_run(odd: OddHost) -> None:
    odd.provider.events = [TextDelta("x" * 1000)] * 5000 + [Finish(FinishReason.stop)]
    streaming = asyncio.create_task(odd.host.post(CHAT, chat(stream=True)))
    await until(lambda: odd.provider.played > 0)

    health = await odd.host.get("/health")

    assert health.status == 200
    assert not streaming.done()
    assert (await streaming).text.endswith("data: [DONE]\n\n")


async def test_client_that_reads_nothing_stops_the_provider(odd: OddHost) -> None:
    odd.provider.events = [TextDelta("x" * 1000)] * 50_000 + [Finish(FinishReason.stop)]
    body = json.dumps(chat(stream=True))
    # aiohttp's client reads ahead, how far depends on its version: here nobody does.
    _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(odd.host.url).port, limit=1)
    writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode())
    writer.write(b"Content-Type: application/json\r\n\r\n" + body.encode())
    await until(lambda: odd.provider.played > 0)
    played = 0
    while odd.provider.played > played:
        played = odd.provider.played
        await asyncio.sleep(0.1)

    assert played < 20_000

    writer.transport.abort()
    await until(lambda: odd.provider.closed == 1)


async def test_client_that_reads_nothing_for_long_is_cut_off() -> None:
    async with served(odd_config(), settings=HostSettings(stalled_reader_s=0.1)) as host:
        provider: Any = host.stack.providers[0].provider
        provider.events = [TextDelta("x" * 1000)] * 50_000 + [Finish(FinishReason.stop)]
        async with host.http.post(host.url + CHAT, json=chat(stream=True)) as response:
            assert response.status == 200

            await until(lambda: provider.closed == 1)

        assert host.stack.providers[0].running == 0


async def test_many_streams_side_by_side_stay_apart(odd: OddHost) -> None:
    odd.provider.events = [TextDelta("a"), 0.001, TextDelta("b"), 0.001, Finish(FinishReason.stop)]

    answers = await asyncio.gather(*(odd.host.post(CHAT, chat(stream=True)) for _ in range(100)))

    assert len({answer.events[0]["id"] for answer in answers}) == 100
    assert all(len({event["id"] for event in answer.events[:-1]}) == 1 for answer in answers)
    assert all(
        "".join(c["delta"].get("content", "") for e in a.events[:-1] for c in e["choices"]) == "ab" for a in answers
    )
