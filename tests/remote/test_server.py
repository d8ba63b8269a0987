import asyncio
import gzip
import time

import pytest
from pydantic import SecretStr

from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    DeadlineExceededError,
    HitchpostError,
    NotFoundError,
    RateLimitedError,
    UnauthenticatedError,
)
from hitchpost.remote import RemoteServer, ServerError
from tests.remote.conftest import Connect
from tests.remote.raw_server import NDJSON, SSE, Exchange, answered, stays_silent, until

KEY = "sk-very-secret-key"
JSON = "application/json"


async def read_events(remote: RemoteServer, deadline: float | None = None) -> list[bytes]:
    data = []
    async with remote.send("POST", "/go", {"a": 1}, accept="text/event-stream", deadline=deadline) as answer:
        while events := await answer.next_events():
            data += [event.data for event in events]
    return data


async def read_lines(remote: RemoteServer) -> list[bytes]:
    seen = []
    async with remote.send("POST", "/go", {}) as answer:
        while lines := await answer.next_lines():
            seen += lines
    return seen


# --- whole answers ---


async def test_request_carries_json_and_the_key(served: Connect) -> None:
    remote, raw = await served(answered(b'{"ok":true}'), key=SecretStr(KEY))

    assert await remote.fetch_json("POST", "/v1/x", {"text": "ü"}) == {"ok": True}

    head = raw.exchanges[0].head
    assert head.startswith("POST /v1/x HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}\r\n" in head
    assert raw.exchanges[0].body == '{"text":"ü"}'.encode()


async def test_key_of_a_request_replaces_that_of_the_config(served: Connect) -> None:
    remote, raw = await served(answered(b"{}"), key=SecretStr(KEY))

    await remote.fetch_json("GET", "/", key=SecretStr("other"))

    assert "Authorization: Bearer other\r\n" in raw.exchanges[0].head


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "schlüssel", "a\0b"])
async def test_key_that_no_header_may_hold_is_refused_without_quoting_it(served: Connect, key: str) -> None:
    remote, raw = await served(answered(b"{}"))

    with pytest.raises(UnauthenticatedError) as caught:
        await remote.fetch_json("GET", "/", key=SecretStr(key))

    assert key not in str(caught.value)
    assert raw.exchanges == []


async def test_half_a_surrogate_pair_travels_as_an_escape(served: Connect) -> None:
    remote, raw = await served(answered(b"{}"))

    await remote.fetch_json("POST", "/", {"text": "\ud83d"})

    assert b"\\ud83d" in raw.exchanges[0].body


async def test_connection_serves_again_after_a_whole_answer(served: Connect) -> None:
    remote, raw = await served(answered(b"{}"))

    await remote.fetch_json("GET", "/")
    await remote.fetch_json("GET", "/")

    assert (len(raw.exchanges), raw.connections) == (2, 1)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        pytest.param(answered(b"<!doctype html><p>hi", kind="text/html"), BadBackendAnswerError, "an HTML page", id="page"),
        pytest.param(answered(b""), BadBackendAnswerError, "answered nothing", id="empty body"),
        pytest.param(answered(b'{"a": 1'), BadBackendAnswerError, "half of something", id="half an object"),
        pytest.param(answered(b"\xc3"), BadBackendAnswerError, "no UTF-8", id="half a character"),
        pytest.param(answered(b"OK"), BadBackendAnswerError, "answered text", id="text"),
        pytest.param(answered(b'{"error":"out of memory"}'), BadBackendAnswerError, "out of memory", id="a 200 that is an error"),
        pytest.param(answered(b'{"error":{"message":"too long","code":400}}'), BadRequestError, "too long", id="with its status inside"),
        pytest.param(answered(b"", 302, "text/html", "Location: http://evil"), BadBackendAnswerError, "redirect \\(302\\)", id="redirect"),
        pytest.param(answered(b"<html>" * 99, 400, "text/html"), BadRequestError, "status 400", id="page with a status"),
        pytest.param(answered(b"<html>", 404, "text/html"), BadBackendAnswerError, "has no /go", id="unknown route"),
        pytest.param(answered(b'{"error":{"message":"no model"}}', 404), NotFoundError, "no model", id="unknown model"),
        pytest.param(answered(b"x" * 100_000, 500), BadBackendAnswerError, "status 500", id="huge error"),
        pytest.param(answered(gzip.compress(b"{}"), 200, JSON, "Content-Encoding: gzip"), BadBackendAnswerError, "compressed", id="gzip"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", BadBackendAnswerError, "broke in the middle", id="cut"),
        pytest.param(b"\x16\x03\x01 garbage\r\n\r\n", BadBackendAnswerError, "no HTTP", id="no HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", BadBackendAnswerError, "no HTTP", id="huge header"),
    ],
)  # fmt: skip
async def test_bad_answer_is_a_clear_error(
    served: Connect, answer: bytes, error: type[HitchpostError], text: str
) -> None:
    remote, _ = await served(answer, max_retries=0)

    with pytest.raises(error, match=text) as caught:
        await remote.fetch_json("POST", "/go", {})

    assert len(caught.value.message) < 400


async def test_answer_is_bounded(served: Connect) -> None:
    remote, _ = await served(answered(b" " * 5000))

    async with remote.send("GET", "/") as answer:
        with pytest.raises(BadBackendAnswerError, match="more than 4000 bytes"):
            await answer.read(4000)


async def test_server_may_mean_something_else_by_its_errors(served: Connect) -> None:
    def read_error(status: int, error: ServerError) -> HitchpostError | None:
        return RateLimitedError("busy") if error.code == "odd" else None

    remote, _ = await served(
        answered(b'{"error":{"message":"x","code":"odd"}}', 418), answered(b'{"error":"y"}', 418), read_error=read_error
    )

    with pytest.raises(RateLimitedError, match="busy"):
        await remote.fetch_json("GET", "/")
    with pytest.raises(BadRequestError, match="y"):
        await remote.fetch_json("GET", "/")


async def test_key_that_looks_like_none_is_not_quoted_either(served: Connect) -> None:
    remote, _ = await served(answered(b'{"error":"wrong key plain word"}', 401), key=SecretStr("plain word"))

    with pytest.raises(UnauthenticatedError) as caught:
        await remote.fetch_json("GET", "/")

    assert caught.value.message == "Acme: wrong key …"


# --- streams ---


async def test_events_come_as_the_server_sends_them(served: Connect) -> None:
    first_seen = asyncio.Event()

    async def slowly(exchange: Exchange) -> None:
        await exchange.write(SSE + b"data: 1\n\n")
        await first_seen.wait()
        await exchange.write(b"data: 2\n\ndata: 3\n\n")

    remote, _ = await served(slowly)

    async with remote.send("POST", "/go", {}) as answer:
        first = await answer.next_events()
        first_seen.set()
        rest = await answer.next_events()

    assert [event.data for event in first] == [b"1"]
    assert [event.data for event in rest] == [b"2", b"3"]


async def test_lines_are_read_without_blank_ones(served: Connect) -> None:
    remote, _ = await served(NDJSON + b'{"a":1}\r\n\n {}\n[half')

    assert await read_lines(remote) == [b'{"a":1}', b" {}", b"[half"]


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        pytest.param(SSE + b"data: " + b"x" * 10_000_000, BadBackendAnswerError, "Acme sent a line of more than", id="10 MB line"),
        pytest.param(answered(b"<html>", kind="text/html"), BadBackendAnswerError, "an HTML page", id="page"),
        pytest.param(answered(b'{"choices":[]}'), BadBackendAnswerError, "as a whole", id="one JSON object"),
        pytest.param(answered(b'{"error":"no"}'), BadBackendAnswerError, "no", id="an error"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n5\r\nda",
            BadBackendAnswerError, "broke in the middle", id="cut",
        ),
    ],
)  # fmt: skip
async def test_bad_stream_is_a_clear_error(
    served: Connect, answer: bytes, error: type[HitchpostError], text: str
) -> None:
    remote, _ = await served(answer)

    with pytest.raises(error, match=text):
        await read_events(remote)


async def test_10_mb_line_of_json_is_a_clear_error(served: Connect) -> None:
    remote, _ = await served(NDJSON + b"x" * 10_000_000)

    with pytest.raises(BadBackendAnswerError, match="a line of more than"):
        await read_lines(remote)


async def test_server_sees_that_its_reader_left(served: Connect) -> None:
    left = asyncio.Event()

    async def endlessly(exchange: Exchange) -> None:
        await exchange.write(SSE + b"data: 1\n\n")
        await exchange.client_leaves()
        left.set()

    remote, _ = await served(endlessly)

    async with remote.send("POST", "/go", {}) as answer:
        await answer.next_events()

    await asyncio.wait_for(left.wait(), 5)


async def test_server_sees_that_a_waiting_caller_was_cancelled(served: Connect) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def never(exchange: Exchange) -> None:
        asked.set()
        await exchange.client_leaves()
        left.set()

    remote, _ = await served(never)
    caller = asyncio.create_task(remote.fetch_json("POST", "/go", {}))
    await asked.wait()

    caller.cancel()

    await asyncio.wait_for(left.wait(), 5)
    assert caller.cancelled() or (await asyncio.wait([caller])) is not None


async def test_stream_that_was_read_to_its_end_leaves_the_connection_usable(served: Connect) -> None:
    stream = answered(b"data: 1\n\ndata: [DONE]\n\n", 200, "text/event-stream")
    remote, raw = await served(stream)

    async with remote.send("POST", "/go", {}) as answer:
        await answer.next_events()
        await answer.finish()
    await read_events(remote)

    assert raw.connections == 1


# --- time limits ---


async def sends_half_a_header(exchange: Exchange) -> None:
    await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev")
    await exchange.client_leaves()


async def sends_its_header_only(exchange: Exchange) -> None:
    await exchange.write(SSE)
    await exchange.client_leaves()


async def falls_silent(exchange: Exchange) -> None:
    await exchange.write(SSE + b"data: 1\n\n")
    await exchange.client_leaves()


@pytest.mark.parametrize(
    ("respond", "limit", "text"),
    [
        (stays_silent, "first_byte_timeout_s", "did not begin to answer within 0.1 s"),
        (sends_half_a_header, "first_byte_timeout_s", "did not begin to answer within 0.1 s"),
        (sends_its_header_only, "first_byte_timeout_s", "did not begin to answer within 0.1 s"),
        (falls_silent, "between_chunks_timeout_s", "fell silent in the middle of an answer, for 0.1 s"),
        (falls_silent, "total_timeout_s", "was not whole in time"),
        (stays_silent, "total_timeout_s", "did not begin to answer"),
    ],
)
async def test_silence_ends_at_its_limit(served: Connect, respond: object, limit: str, text: str) -> None:
    remote, raw = await served(respond, **{limit: 0.1})

    with pytest.raises(DeadlineExceededError, match=text):
        await read_events(remote)

    await until(lambda: raw.open_connections == 0)


async def test_only_the_silence_counts_that_is_waited_through(served: Connect) -> None:
    goes_on = asyncio.Event()

    async def sends_more_when_asked(exchange: Exchange) -> None:
        await exchange.write(SSE + b"data: 1\n\n")
        await goes_on.wait()
        await exchange.write(b"data: 2\n\n")

    remote, _ = await served(sends_more_when_asked, between_chunks_timeout_s=0.1)
    over = asyncio.Event()

    async with remote.send("POST", "/generate", {}, accept="text/event-stream") as answer:
        first = await answer.next_events()
        # A caller that takes its time, longer than the server may.
        asyncio.get_running_loop().call_later(0.12, over.set)
        await over.wait()
        goes_on.set()
        second = await answer.next_events()

    assert [event.data for event in (*first, *second)] == [b"1", b"2"]


async def test_whole_answer_has_its_limit_also_where_more_is_always_there(served: Connect) -> None:
    async def sends_without_an_end(exchange: Exchange) -> None:
        await exchange.write(SSE)
        while True:
            await exchange.write(b"data: 1\n\n" * 100)
            await asyncio.sleep(0.001)

    remote, raw = await served(sends_without_an_end, total_timeout_s=0.2)

    async def read_slowly() -> None:
        async with asyncio.timeout(5), remote.send("POST", "/go", {}) as answer:
            while await answer.next_events():
                # Slower than the server, so that it is never waited for.
                await asyncio.sleep(0.01)

    with pytest.raises(DeadlineExceededError, match="was not whole in time"):
        await read_slowly()

    await until(lambda: raw.open_connections == 0)


async def test_deadline_of_a_request_holds_besides_the_limits(served: Connect) -> None:
    remote, _ = await served(falls_silent)

    with pytest.raises(DeadlineExceededError):
        await read_events(remote, time.monotonic() + 0.1)


# --- retries ---

BUSY = answered(b'{"error":{"message":"busy"}}', 503, "application/json", "Retry-After: 0.01")


@pytest.mark.parametrize("status", [429, 502, 503, 529])
async def test_what_the_server_did_not_take_is_sent_again(served: Connect, status: int) -> None:
    remote, raw = await served(answered(b"{}", status, "application/json", "Retry-After: 0.01"), answered(b'{"ok":1}'))

    assert await remote.fetch_json("POST", "/go", {"a": 1}) == {"ok": 1}

    assert [exchange.body for exchange in raw.exchanges] == [b'{"a":1}'] * 2


async def test_lost_connection_without_an_answer_is_tried_again(served: Connect) -> None:
    remote, raw = await served(b"", answered(b'{"ok":1}'))

    assert await remote.fetch_json("POST", "/go", {}) == {"ok": 1}
    assert len(raw.exchanges) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 408, 409, 422, 500, 501, 504])
async def test_other_refusals_are_final(served: Connect, status: int) -> None:
    remote, raw = await served(answered(b'{"error":{"message":"no"}}', status))

    with pytest.raises(HitchpostError):
        await remote.fetch_json("POST", "/go", {})

    assert len(raw.exchanges) == 1


async def test_retries_are_counted(served: Connect) -> None:
    remote, raw = await served(BUSY, max_retries=1)

    with pytest.raises(BackendUnavailableError, match="busy"):
        await remote.fetch_json("POST", "/go", {})

    assert len(raw.exchanges) == 2


async def test_long_wish_of_the_server_is_handed_to_the_caller_at_once(served: Connect) -> None:
    remote, raw = await served(answered(b"{}", 429, "application/json", "Retry-After: 3600"))

    with pytest.raises(RateLimitedError) as caught:
        await remote.fetch_json("POST", "/go", {})

    assert caught.value.retry_after_s == 3600
    assert len(raw.exchanges) == 1


async def test_spent_quota_is_not_tried_again(served: Connect) -> None:
    remote, raw = await served(answered(b'{"error":{"message":"pay","code":"insufficient_quota"}}', 429))

    with pytest.raises(HitchpostError, match="pay"):
        await remote.fetch_json("POST", "/go", {})

    assert len(raw.exchanges) == 1


async def test_answer_that_has_begun_is_never_begun_again(served: Connect) -> None:
    remote, raw = await served(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ndata: 1\n\n")

    with pytest.raises(BadBackendAnswerError):
        await read_events(remote)

    assert len(raw.exchanges) == 1


async def test_half_of_a_character_that_is_escaped_is_text_all_the_same(served: Connect) -> None:
    """Servers written in JavaScript cut an emoji into two escapes, each in a chunk of its own."""
    remote, _ = await served(answered(b'{"text": "\\ud83d"}'))

    assert await remote.fetch_json("GET", "/") == {"text": "\ud83d"}


async def test_garbage_with_half_a_character_is_garbage(served: Connect) -> None:
    remote, _ = await served(answered(b"[" * 100_000 + b'"\\ud83d"'))

    with pytest.raises(BadBackendAnswerError, match="where JSON belongs"):
        await remote.fetch_json("GET", "/")
