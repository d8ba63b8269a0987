"""Documents are fetched from the web within the limits, and no server leads where nobody may go."""

import asyncio
import gzip
import logging
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from hitchpost.api import URL, MemoryBankDocument
from hitchpost.errors import BackendUnavailableError, BadRequestError, DeadlineExceededError, UnsupportedError
from hitchpost.ingest import IngestConfig, Ingestor
from tests.ingest.conftest import LOG
from tests.ingest.made_documents import document, pdf_of
from tests.remote.raw_server import Exchange, RawServer, answered, stays_silent, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
LOOPBACK: dict[str, Any] = {"allowed_networks": ["127.0.0.0/8"], "max_document_bytes": MIB}


@asynccontextmanager
async def ingesting(**config: Any) -> AsyncIterator[Ingestor]:
    """An ingestor of a config, for which the loopback interface is public."""
    made = Ingestor(IngestConfig(**{**LOOPBACK, **config}), LOG)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fetching() -> AsyncIterator[Ingestor]:
    """One that may fetch from this machine."""
    async with ingesting() as made:
        yield made


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, list[str]]], list[str]]:
    """Sets what names resolve to: the first address at the first question, the second at the second, none where there are none; answers the names
    asked for."""

    def set_names(names: dict[str, list[str]]) -> list[str]:
        asked: list[str] = []
        system = socket.getaddrinfo

        def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            if host not in names:
                return system(host, port, *args, **kwargs)
            asked.append(host)
            addresses = names[host]
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "nobody knows it")
            address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        return asked

    return set_names


def redirect(target: str, status: int = 302) -> bytes:
    return answered(b"", status, "text/plain", f"Location: {target}")


async def text_at(ingestor: Ingestor, url: str) -> str:
    (chunk,) = (await ingestor.read(document(url), chunk_size=None)).chunks
    return chunk.text


async def test_document_is_fetched(fetching: Ingestor) -> None:
    async with RawServer(answered("Grüße".encode("latin-1"), 200, "text/plain; charset=latin1")) as server:
        assert await text_at(fetching, f"{server.url}/a.txt") == "Grüße"


async def test_url_object_is_fetched_and_read_as_its_name_and_bytes_say(fetching: Ingestor) -> None:
    async with RawServer(
        answered(b"# T\n\ntext", 200, "text/plain"), answered(pdf_of(["page"]), 200, "text/html")
    ) as server:
        read = MemoryBankDocument(document_id="d", content=URL(uri=f"{server.url}/README.MD?x=1#part"))

        found = [await fetching.read(read, chunk_size=10) for _ in range(2)]

    assert [each.mime_type for each in found] == ["text/markdown", "application/pdf"]
    assert server.exchanges[0].head.startswith("GET /README.MD?x=1 HTTP/1.1")


async def test_request_carries_no_cookie_and_no_credentials(
    fetching: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with RawServer(
        answered(b"x", 302, "text/plain", "Set-Cookie: a=b", "Location: /there"), answered(b"x", 200, "text/plain")
    ) as server:
        await text_at(fetching, server.url)

    heads = [exchange.head.lower() for exchange in server.exchanges]
    assert len(heads) == 2
    assert not [head for head in heads if "cookie" in head or "authorization" in head or "referer" in head]


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b"text"), zlib.compress(b"text"), gzip.compress(b"te") + gzip.compress(b"xt")],
    # gzip writes down when it packed: names that are the bytes would differ between two that collect the tests.
    ids=["gzip", "zlib", "two members of gzip"],
)
async def test_packed_document_is_inflated(packed: bytes, fetching: Ingestor) -> None:
    encoding = "gzip" if packed.startswith(b"\x1f\x8b") else "deflate"
    async with RawServer(answered(packed, 200, "text/plain", f"Content-Encoding: {encoding}")) as server:
        assert await text_at(fetching, server.url) == "text"


async def test_document_that_inflates_to_more_than_allowed_is_refused(fetching: Ingestor) -> None:
    bomb = gzip.compress(b"\0" * (64 * MIB), 9)
    async with RawServer(answered(bomb, 200, "text/plain", "Content-Encoding: gzip")) as server:
        with pytest.raises(BadRequestError, match="larger than 1,048,576 bytes"):
            await fetching.read(document(server.url), chunk_size=10)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
async def test_other_packing_is_refused(encoding: str, fetching: Ingestor) -> None:
    async with RawServer(answered(b"x", 200, "text/plain", f"Content-Encoding: {encoding}")) as server:
        with pytest.raises(UnsupportedError, match="packed as"):
            await fetching.read(document(server.url), chunk_size=10)


async def test_content_that_is_not_packed_as_it_says_is_refused(fetching: Ingestor) -> None:
    async with RawServer(answered(b"text", 200, "text/plain", "Content-Encoding: gzip")) as server:
        with pytest.raises(BadRequestError, match="not packed as it says"):
            await fetching.read(document(server.url), chunk_size=10)


async def test_gigabyte_that_is_announced_is_refused_before_it_comes(fetching: Ingestor) -> None:
    gone: list[bool] = []

    async def announces(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1073741824\r\n\r\nbegin")
        await exchange.client_leaves()
        gone.append(True)

    async with RawServer(announces) as server:
        with pytest.raises(BadRequestError, match="larger than"):
            await fetching.read(document(server.url), chunk_size=10)
        await until(lambda: bool(gone))


async def test_body_without_an_end_is_left_at_the_limit(fetching: Ingestor) -> None:
    sent = 0

    async def never_ends(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            await exchange.write(b"x" * 65536)
            sent += 65536

    async with RawServer(never_ends) as server:
        with pytest.raises(BadRequestError, match="larger than"):
            await fetching.read(document(server.url), chunk_size=10)

    assert sent < 16 * MIB


async def test_body_that_trickles_is_given_up() -> None:
    async def trickles(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            await exchange.write(b"x")
            await asyncio.sleep(0.02)

    async with RawServer(trickles) as server, ingesting(fetch_timeout_s=0.2) as ingestor:
        with pytest.raises(DeadlineExceededError, match=r"within 0\.2 s"):
            await ingestor.read(document(server.url), chunk_size=10)


async def test_server_that_says_nothing_is_given_up() -> None:
    async with RawServer(stays_silent) as server, ingesting(fetch_timeout_s=0.1) as ingestor:
        with pytest.raises(DeadlineExceededError):
            await ingestor.read(document(server.url), chunk_size=10)


async def test_cancelled_fetch_closes_its_connection_and_frees_its_place() -> None:
    async with (
        RawServer(stays_silent, answered(b"next", 200, "text/plain")) as server,
        ingesting(max_concurrent=1) as ingestor,
    ):
        left = asyncio.create_task(ingestor.read(document(server.url), chunk_size=10))
        await until(lambda: len(server.exchanges) == 1)

        left.cancel()
        await asyncio.wait([left])

        await until(lambda: server.open_connections == 0)
        assert await text_at(ingestor, server.url) == "next"


async def test_redirects_are_followed_as_often_as_allowed() -> None:
    answers = (redirect("/b"), redirect("c", 308), answered(b"there", 200, "text/plain"))
    async with RawServer(*answers) as server, ingesting(max_redirects=2) as ingestor:
        assert await text_at(ingestor, f"{server.url}/a") == "there"

    assert [exchange.head.split()[1] for exchange in server.exchanges] == ["/a", "/b", "/c"]


async def test_redirects_without_an_end_are_left(fetching: Ingestor) -> None:
    async with RawServer(redirect("/again")) as server:
        with pytest.raises(BadRequestError, match="leads on more than 5 times"):
            await fetching.read(document(server.url), chunk_size=10)

    assert len(server.exchanges) == 6


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/", "//169.254.169.254/", "http://[::ffff:a9fe:a9fe]/", "http://10.0.0.1/", "file:///etc/passwd",
        "ftp://example.org/", "gopher://127.0.0.1/", "data:text/plain,x", "http://user:word@127.0.0.1/", "http://[",
        "http://a..b/", f"http://{'a' * 64}.example/",
    ],
)  # fmt: skip
async def test_redirect_to_a_forbidden_place_is_refused(target: str, fetching: Ingestor) -> None:
    async with RawServer(redirect(target), answered(b"secret", 200, "text/plain")) as server:
        with pytest.raises(BadRequestError):
            await fetching.read(document(server.url), chunk_size=10)

    assert len(server.exchanges) == 1


async def test_name_is_resolved_once_and_the_connection_goes_where_it_was_checked(
    resolved: Callable[[dict[str, list[str]]], list[str]],
) -> None:
    asked = resolved({"rebinding.example": ["127.0.0.1", "169.254.169.254"]})
    async with RawServer(answered(b"checked", 200, "text/plain")) as server, ingesting() as ingestor:
        url = server.url.replace("127.0.0.1", "rebinding.example")

        assert await text_at(ingestor, url) == "checked"

    assert asked == ["rebinding.example"]


async def test_name_that_turns_to_a_forbidden_address_is_refused_at_the_next_connection(
    resolved: Callable[[dict[str, list[str]]], list[str]],
) -> None:
    resolved({"rebinding.example": ["127.0.0.1", "169.254.169.254"]})
    async with RawServer(redirect("/again"), answered(b"secret", 200, "text/plain")) as server, ingesting() as ingestor:
        with pytest.raises(
            BadRequestError, match=r"'rebinding\.example' is not known, or has an address that is not public"
        ):
            await ingestor.read(document(server.url.replace("127.0.0.1", "rebinding.example")), chunk_size=10)

    assert len(server.exchanges) == 1


@pytest.mark.parametrize(
    ("addresses", "logged"),
    [([], "nobody knows it"), (["10.9.8.7"], "10.9.8.7 is not public"), (["fd00::1"], "fd00::1 is not public")],
)
async def test_only_the_log_tells_whether_a_refused_name_is_unknown_or_inside(
    addresses: list[str],
    logged: str,
    resolved: Callable[[dict[str, list[str]]], list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    resolved({"internal.example": addresses})
    with caplog.at_level(logging.INFO, LOG.name):
        async with ingesting() as ingestor:
            with pytest.raises(BadRequestError) as refused:
                await ingestor.read(document("http://internal.example/"), chunk_size=10)

    assert refused.value.message == (
        "the host 'internal.example' is not known, or has an address that is not public; "
        "ingest.allowed_networks of the config can allow it"
    )
    [line] = caplog.messages
    assert line.startswith("no document is fetched from 'internal.example': ")
    assert logged in line


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("docs.example", True), ("DOCS.example.", True), ("a.example.org", True), ("a.b.example.org", True), ("example.org", False),
        ("badexample.org", False), ("docs.example.evil", False),
    ],
)  # fmt: skip
async def test_only_hosts_of_the_list_are_fetched_from(
    host: str, is_allowed: bool, resolved: Callable[[dict[str, list[str]]], list[str]]
) -> None:
    asked = resolved({name: ["127.0.0.1"] for name in (host, host.lower(), host.lower().rstrip("."))})
    config: dict[str, Any] = {"allowed_hosts": ["docs.example", "*.Example.org"]}
    async with RawServer(answered(b"", 404, "text/plain")) as server, ingesting(**config) as ingestor:
        with pytest.raises(BadRequestError, match="status 404" if is_allowed else "may not be fetched from the host"):
            await ingestor.read(document(server.url.replace("127.0.0.1", host)), chunk_size=10)

    assert bool(asked) is bool(server.exchanges) is is_allowed


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, BadRequestError),
        (401, BadRequestError),
        (304, BadRequestError),
        (429, BackendUnavailableError),
        (503, BackendUnavailableError),
    ],
)
async def test_status_of_the_server_is_told(status: int, error: type[Exception], fetching: Ingestor) -> None:
    async with RawServer(answered(b"", status, "text/plain")) as server:
        with pytest.raises(error, match=str(status)):
            await fetching.read(document(server.url), chunk_size=10)


@pytest.mark.parametrize("media_type", ["image/png", "video/mp4", "application/zip", "application/vnd.ms-excel"])
async def test_type_that_cannot_be_read_is_refused_before_the_body_comes(media_type: str, fetching: Ingestor) -> None:
    async def holds_back(exchange: Exchange) -> None:
        await exchange.write(f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: 10\r\n\r\n".encode())
        await exchange.client_leaves()

    async with RawServer(holds_back) as server:
        with pytest.raises(UnsupportedError, match="can't be read"):
            await fetching.read(document(server.url), chunk_size=10)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: text/plain\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        answered(gzip.compress(b"text" * 1000)[:-20], 200, "text/plain", "Content-Encoding: gzip"),
    ],
    ids=["nothing", "no-http", "short", "negative", "long-header", "bad-chunk", "half-gzip"],
)
async def test_broken_answer_is_the_servers_fault(answer: bytes, fetching: Ingestor) -> None:
    async with RawServer(answer) as server:
        with pytest.raises(BackendUnavailableError, match="document's server"):
            await fetching.read(document(server.url), chunk_size=10)


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"],
    ids=["headers", "trailers"],
)
async def test_headers_without_an_end_are_left_at_the_limit(head: bytes, fetching: Ingestor) -> None:
    sent = 0

    async def never_ends(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.write(head)
        while True:
            await exchange.write(b"X-Name: value\r\n" * 1000)
            sent += 15_000

    async with RawServer(never_ends) as server:
        with pytest.raises(BackendUnavailableError, match="headers that are too long"):
            await fetching.read(document(server.url), chunk_size=10)

    assert sent < 16 * MIB


async def test_server_that_is_not_there_cannot_be_reached(fetching: Ingestor) -> None:
    async with RawServer(b"") as server:
        url = server.url

    with pytest.raises(BackendUnavailableError, match="can't be reached"):
        await fetching.read(document(url), chunk_size=10)


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///path", "http://user@127.0.0.1/", "http://127.0.0.1:99999/", "http://127.0.0.1:0/", "https://a b/", "http://x\n/",
        "http://" + "a" * 9000],
)  # fmt: skip
async def test_malformed_url_is_refused(url: str, fetching: Ingestor) -> None:
    with pytest.raises(BadRequestError):
        await fetching.read(document(url), chunk_size=10)


async def test_text_that_only_begins_like_a_url_says_so(fetching: Ingestor) -> None:
    with pytest.raises(BadRequestError, match="white space"):
        await fetching.read(document("https://example.org is a good page to read."), chunk_size=10)


async def test_stopped_ingestor_fetches_no_more_until_it_is_started_again() -> None:
    async with RawServer(answered(b"text", 200, "text/plain")) as server, ingesting() as ingestor:
        await ingestor.stop()
        await ingestor.stop()
        with pytest.raises(BackendUnavailableError, match="being stopped"):
            await ingestor.read(document(server.url), chunk_size=10)

        await ingestor.start()

        assert await text_at(ingestor, server.url) == "text"
