"""What is no HTTP, or breaks off being it: answered in the host's own form, and never repeated to its sender."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from hitchpost.api import Finish, FinishReason, TextDelta
from hitchpost.host.keys import LIFECYCLE
from tests.host.conftest import OddHost
from tests.host.served import ServedHost, until

CHATS = ["/v1/chat/completions", "/alpha/inference/chat-completion"]
SECRET = b"sk-SECRET"


@asynccontextmanager
async def connection(host: ServedHost) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(host.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()


async def raw_exchange(host: ServedHost, sent: bytes) -> bytes:
    """What the host answers to bytes, up to the end of the connection."""
    async with connection(host) as (reader, writer):
        writer.write(sent)
        return await reader.read()


def parsed(raw: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON body of the one answer in the bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return int(status.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(SECRET + b"\r\n\r\n", id="no request line"),
        pytest.param(b"G\x01T /" + SECRET + b" HTTP/1.1\r\n\r\n", id="method"),
        pytest.param(b"GET /" + SECRET + b" FTP/1.1\r\n\r\n", id="protocol"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n" + SECRET + b"\r\n\r\n", id="header without a colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nKey: " + SECRET + b"\x01\r\n\r\n", id="control character"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nKey: " + SECRET * 2_000 + b"\r\n\r\n", id="long header"),
        pytest.param(b"GET /" + SECRET * 2_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="long path"),
        pytest.param(b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: " + SECRET + b"\r\n\r\n", id="length"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECRET, id="TLS"),
        pytest.param(
            b"POST /v1/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n", id="chunk"
        ),
    ],
)
async def test_what_is_no_http_is_answered_in_our_own_form_and_not_repeated(sent: bytes, host: ServedHost) -> None:
    raw = await raw_exchange(host, sent)

    status, headers, body = parsed(raw)
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")
    assert body["error"]["type"] == "invalid_request_error"
    assert SECRET not in raw


@pytest.mark.parametrize("path", CHATS)
async def test_chunk_that_breaks_while_the_body_is_read_is_answered_once_in_the_form_of_the_path(
    path: str, host: ServedHost
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()

    async with connection(host) as (reader, writer):
        writer.write(head + b"3\r\n{  \r\n")
        await until(lambda: host.app[LIFECYCLE].running == 1)
        writer.write(SECRET + b"\r\n")
        raw = await reader.read()

    status, headers, body = parsed(raw)
    assert status == 400
    assert headers["x-request-id"].startswith("req_")
    assert "framed wrongly" in (body["error"]["message"] if path == CHATS[0] else body["detail"])
    assert SECRET not in raw


async def test_body_that_breaks_while_an_earlier_request_is_answered_is_answered_next(odd: OddHost) -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    odd.provider.events = [gate, TextDelta("done"), Finish(FinishReason.stop)]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]})
    head = f"POST {CHATS[0]} HTTP/1.1\r\nHost: localhost\r\n"
    async with connection(odd.host) as (reader, writer):
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{{  \r\n".encode())
        await until(lambda: odd.provider.played == 1)
        writer.write(SECRET + b"\r\n")
        gate.set_result(None)
        first = await reader.readuntil(b'"usage":null}')
        raw = await reader.read()

    assert b'"done"' in first
    assert parsed(raw)[0] == 400


async def test_what_follows_a_good_request_and_is_no_http_gets_an_answer_of_its_own(host: ServedHost) -> None:
    async with connection(host) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b'{"status":"OK"}')
        writer.write(SECRET + b"\r\n\r\n")
        raw = await reader.read()

    assert parsed(raw)[0] == 400


@pytest.mark.parametrize("expectation", [SECRET.decode(), "\xff"])
async def test_expectation_that_nobody_meets_is_refused_and_not_repeated(expectation: str, host: ServedHost) -> None:
    answer = await host.get("/v1/models", Expect=expectation)

    assert answer.status == 417
    assert answer.json["error"]["code"] == "expectation_failed"
    assert answer.headers["x-request-id"]
    assert expectation not in answer.text


@pytest.mark.parametrize(("path", "is_native"), [("/v1", False), ("/v1/", False), ("/v1/x", False), ("/alpha", True)])
async def test_unknown_path_is_answered_in_the_form_of_its_surface(
    path: str, is_native: bool, host: ServedHost
) -> None:
    answer = await host.get(path)

    assert answer.status == 404
    assert ("detail" in answer.json) is is_native
    assert is_native or answer.json["error"]["code"] == "unknown_url"
