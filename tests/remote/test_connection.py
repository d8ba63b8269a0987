"""HTTP/1.1 as servers and proxies speak it: answers in any pieces and framings, connections that serve again or don't, tunnels."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, RequestTooLargeError
from hitchpost.remote import RemoteConfig, RemoteServer
from tests.remote.conftest import Connect
from tests.remote.raw_server import Exchange, RawServer, answered, until

BODY = b'{"text": "' + b"x" * 100 + b'"}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x;note=1\r\n%b\r\n" % (len(BODY) - 7, BODY[:-7])
    + b"7\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % BODY[-7:]
)
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY


def in_pieces(answer: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(answer)) for cut in cuts})
    return [answer[start:end] for start, end in zip([0, *places], [*places, len(answer)], strict=True) if start < end]


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """The url of a server that does with each connection what `serve` does; none of them outlives the block."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


# --- framing ---


@pytest.mark.parametrize("answer", [answered(BODY), CHUNKED, EARLY + answered(BODY), EARLY * 3 + CHUNKED, TO_THE_END])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 400), max_size=6))
async def test_answer_is_the_same_in_whatever_pieces_it_comes(answer: bytes, cuts: list[int]) -> None:
    async def write(exchange: Exchange) -> None:
        for piece in in_pieces(answer, cuts):
            await exchange.write(piece)
            await asyncio.sleep(0)

    async with RawServer(write) as raw:
        remote = RemoteServer(RemoteConfig(url=raw.url), "Acme")
        await remote.open()
        try:
            assert await remote.fetch_json("POST", "/go", {}) == {"text": "x" * 100}
        finally:
            await remote.close()


@pytest.mark.parametrize("cut", [len(CHUNKED) - 2, len(CHUNKED) - 20, CHUNKED.index(b"7\r\n")])
async def test_chunks_without_an_end_are_no_whole_answer(served: Connect, cut: int) -> None:
    remote, _ = await served(CHUNKED[:cut])

    with pytest.raises(BadBackendAnswerError, match="broke in the middle"):
        await remote.fetch_json("POST", "/go", {})


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, id="headers"),
        pytest.param(EARLY * 20_000, id="answers before the answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 300_000, id="a chunk's size"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 50_000, id="trailers"
        ),
    ],
)
async def test_framing_without_an_end_is_refused(served: Connect, flood: bytes) -> None:
    async def write(exchange: Exchange) -> None:
        with contextlib.suppress(ConnectionError):
            await exchange.write(flood)
            await exchange.client_leaves()

    remote, _ = await served(write, first_byte_timeout_s=5)

    with pytest.raises(BadBackendAnswerError):
        await remote.fetch_json("POST", "/go", {})


async def test_switching_protocols_is_no_answer(served: Connect) -> None:
    remote, _ = await served(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello")

    with pytest.raises(BadBackendAnswerError, match="no HTTP"):
        await remote.fetch_json("POST", "/go", {})


@pytest.mark.parametrize("status", [b"000", b"099"])
async def test_number_that_is_no_status_is_no_answer(served: Connect, status: bytes) -> None:
    remote, _ = await served(b"HTTP/1.1 %b X\r\n\r\n{}" % status)

    with pytest.raises(BadBackendAnswerError, match="no HTTP"):
        await remote.fetch_json("GET", "/")


async def test_server_that_sends_faster_than_it_is_read_has_to_wait(served: Connect) -> None:
    written = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal written
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n")
        for _ in range(200):
            await exchange.write(b"x" * 99_999 + b"\n")
            written += 1

    remote, _ = await served(flood)
    async with remote.send("POST", "/go", {}) as answer:
        await answer.next_lines()
        await asyncio.sleep(0.2)
        # The sockets' buffers take some megabytes; what is beyond them waits at the server.
        assert written < 150
        seen = 0
        while lines := await answer.next_lines():
            seen += len(lines)

    assert written == 200
    assert seen <= 199


async def test_large_request_arrives_whole(served: Connect) -> None:
    remote, raw = await served(answered(b"{}"))

    await remote.fetch_json("POST", "/go", {"text": "x" * 5_000_000})

    assert len(raw.exchanges[0].body) > 5_000_000


async def test_path_is_quoted_as_urls_are(served: Connect) -> None:
    remote, raw = await served(answered(b"{}"))

    await remote.fetch_json("GET", "/models/a b/ü\r\nX-Evil: 1")

    assert raw.exchanges[0].head.startswith("GET /models/a%20b/%C3%BC")
    assert "X-Evil: 1\r\n" not in raw.exchanges[0].head


# --- connections that serve again ---


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(answered(b"{}", 200, "application/json", "Connection: close"), id="the server says so"),
        pytest.param(type(answered(b""))(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"), id="HTTP/1.0"),
        pytest.param(type(answered(b""))(answered(b"{}") + answered(b'{"evil":1}')), id="a second answer came unasked"),
    ],
)
async def test_connection_that_may_not_serve_again_does_not(served: Connect, answer: bytes) -> None:
    remote, raw = await served(answer)

    assert [await remote.fetch_json("GET", "/") for _ in range(2)] == [{}, {}]

    assert raw.connections == 2


async def test_connection_whose_answer_nobody_read_serves_again(served: Connect) -> None:
    remote, _ = await served(answered(b"x" * 300_000), answered(b"{}"), first_byte_timeout_s=2)
    async with remote.send("GET", "/"):
        # Until the answer is whole, though it is more than waits to be read.
        await asyncio.sleep(0.05)

    assert await remote.fetch_json("GET", "/") == {}


async def test_what_comes_unasked_is_no_answer_to_the_next_request(served: Connect) -> None:
    sends_more = asyncio.Event()

    async def answer_twice(exchange: Exchange) -> None:
        await exchange.write(answered(b"{}"))
        await sends_more.wait()
        await exchange.write(answered(b'{"evil":1}'))

    remote, raw = await served(answer_twice, answered(b'{"good":1}'))
    await remote.fetch_json("GET", "/")
    sends_more.set()
    await until(lambda: raw.open_connections == 0)

    assert await remote.fetch_json("GET", "/") == {"good": 1}


async def test_connection_that_the_server_ended_meanwhile_is_not_noticed(served: Connect) -> None:
    async def answer_once(exchange: Exchange) -> None:
        await exchange.write(answered(b"{}"))

    remote, raw = await served(answer_once, answered(b'{"second":1}'))
    await remote.fetch_json("GET", "/")
    await until(lambda: raw.open_connections == 0)

    assert await remote.fetch_json("GET", "/") == {"second": 1}


async def test_place_of_a_broken_connection_is_taken_by_who_waits(served: Connect) -> None:
    remote, raw = await served(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", answered(b'{"ok":1}'), max_connections=1
    )

    first, second, third = await asyncio.gather(
        *(remote.fetch_json("GET", "/") for _ in range(3)), return_exceptions=True
    )

    assert isinstance(first, BadBackendAnswerError)
    assert (second, third) == ({"ok": 1}, {"ok": 1})
    assert raw.connections == 2


async def test_server_that_hangs_up_at_once_holds_no_place() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(hang_up) as url:
        remote = RemoteServer(RemoteConfig(url=url, max_retries=0, max_connections=1, connect_timeout_s=2), "Acme")
        await remote.open()

        ends = await asyncio.gather(*(remote.fetch_json("GET", "/") for _ in range(20)), return_exceptions=True)

        await remote.close()
    assert [str(end) for end in ends] == ["Acme ended the connection before its answer"] * 20


async def test_request_that_was_answered_before_it_was_whole_is_not_followed_by_another() -> None:
    connections = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answered(b'{"error":"too large"}', 413))
        # Reads nothing of the body, so that most of it is still at the sender.
        await asyncio.Event().wait()

    async with listening(refuse) as url:
        remote = RemoteServer(RemoteConfig(url=url), "Acme")
        await remote.open()

        for _ in range(2):
            with pytest.raises(RequestTooLargeError, match="too large"):
                await remote.fetch_json("POST", "/", {"text": "x" * 12_000_000})

        await remote.close()
    assert connections == 2


async def test_caller_that_leaves_while_it_waits_for_a_connection_takes_none(served: Connect) -> None:
    goes_on = asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        await goes_on.wait()
        await exchange.write(answered(b"{}"))

    remote, raw = await served(waits, answered(b'{"ok":1}'), max_connections=1)
    first = asyncio.create_task(remote.fetch_json("GET", "/"))
    await until(lambda: len(raw.exchanges) == 1)
    leaving = asyncio.create_task(remote.fetch_json("GET", "/"))
    staying = asyncio.create_task(remote.fetch_json("GET", "/"))
    await asyncio.sleep(0)

    leaving.cancel()
    goes_on.set()

    assert await first == {}
    assert await staying == {"ok": 1}


# --- proxies ---


@asynccontextmanager
async def tunnelling_proxy(answer: bytes = b"HTTP/1.1 200 Connected\r\n\r\n") -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP proxy that knows CONNECT only: its url, and the heads that it saw."""
    heads: list[str] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        writer.write(answer)
        if b" 200 " in answer:
            there = await asyncio.open_connection(*head.split(" ")[1].rsplit(":", 1))
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async with listening(serve) as url:
        yield url.replace("://", "://me:p%40ss@"), heads


def tls_of(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


@pytest.mark.parametrize("turns", range(4))
async def test_caller_that_leaves_in_the_handshake_leaves_nothing_to_the_next(turns: int) -> None:
    asking: asyncio.Task[object]
    has_ended = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if has_ended.is_set() or asking.done():
            return
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        has_ended.set()

    async with listening(hang) as url:
        remote = RemoteServer(RemoteConfig(url=url.replace("http", "https"), max_retries=0), "Acme")
        await remote.open()
        asking = asyncio.create_task(remote.fetch_json("GET", "/"))
        async with asyncio.timeout(5):
            await asyncio.wait([asking])
            # It may get the very socket that the first one had.
            with pytest.raises(BackendUnavailableError, match="can't be reached"):
                await remote.fetch_json("GET", "/")
            await has_ended.wait()
        await remote.close()


async def test_https_goes_through_a_tunnel_of_the_proxy(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        RawServer(answered(b'{"by":"server"}'), tls=tls_of(certificate)) as raw,
        tunnelling_proxy() as (url, heads),
    ):
        monkeypatch.setenv("https_proxy", url)
        monkeypatch.setenv("no_proxy", "")
        remote = RemoteServer(RemoteConfig(url=raw.url, tls_ca_file=certificate), "Acme")
        await remote.open()
        try:
            answers = [await remote.fetch_json("GET", "/x") for _ in range(2)]
        finally:
            await remote.close()

    assert answers == [{"by": "server"}] * 2
    assert [head.split("\r\n")[0] for head in heads] == [f"CONNECT {raw.url.removeprefix('https://')} HTTP/1.1"]
    assert "Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in heads[0]
    assert "Proxy-Authorization" not in raw.exchanges[0].head


async def test_certificate_is_checked_inside_the_tunnel(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(answered(b"{}"), tls=tls_of(certificate)) as raw, tunnelling_proxy() as (url, _):
        monkeypatch.setenv("https_proxy", url)
        monkeypatch.setenv("no_proxy", "")
        remote = RemoteServer(RemoteConfig(url=raw.url), "Acme")
        await remote.open()
        try:
            with pytest.raises(BackendUnavailableError, match="certificate of Acme is not trusted"):
                await remote.fetch_json("GET", "/x")
        finally:
            await remote.close()

    assert raw.exchanges == []


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n",
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\ngarbage",
    ],
)
async def test_proxy_that_refuses_is_told_apart_from_the_server(
    refusal: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tunnelling_proxy(refusal) as (url, _):
        monkeypatch.setenv("https_proxy", url)
        monkeypatch.setenv("no_proxy", "")
        remote = RemoteServer(RemoteConfig(url="https://localhost:9", max_retries=0), "Acme")
        await remote.open()
        try:
            with pytest.raises(BackendUnavailableError, match="the proxy that the environment names") as caught:
                await remote.fetch_json("GET", "/x")
        finally:
            await remote.close()

    assert "p%40ss" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://", "://"])
async def test_proxy_that_is_no_http_proxy_is_refused_by_its_kind(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    remote = RemoteServer(RemoteConfig(url="http://localhost:9"), "Acme")

    with pytest.raises(BackendUnavailableError, match="no HTTP proxy") as caught:
        await remote.open()

    assert caught.value.is_permanent
