"""A pool that is closed under requests, as when a provider is stopped."""

import asyncio

import pytest

from hitchpost.errors import BadBackendAnswerError, HitchpostError
from tests.remote.conftest import Connect
from tests.remote.raw_server import Exchange

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("turns", range(6))
async def test_requests_end_with_a_public_error_when_the_pool_is_closed_under_them(turns: int, served: Connect) -> None:
    remote, _ = await served(Exchange.client_leaves)
    asking = [asyncio.create_task(remote.fetch_json("GET", "/x")) for _ in range(8)]
    for _ in range(turns):
        await asyncio.sleep(0)

    await remote.close()

    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(end) for end in ends if not isinstance(end, HitchpostError)] == []


async def test_stream_whose_pool_was_closed_before_its_next_read_has_broken_off(served: Connect) -> None:
    async def begin(exchange: Exchange) -> None:
        await exchange.write(CHUNKED + b"3\r\n{}\n\r\n")
        await exchange.client_leaves()

    remote, raw = await served(begin)
    async with remote.send("POST", "/go", {}) as answer:
        assert await answer.next_lines() == [b"{}"]
        await remote.close()
        async with asyncio.timeout(5):
            while raw.open_connections:
                await asyncio.sleep(0.005)

        with pytest.raises(BadBackendAnswerError, match="broke"):
            await answer.next_lines()


async def test_stream_that_waits_for_more_when_the_pool_is_closed_has_broken_off(served: Connect) -> None:
    async def begin(exchange: Exchange) -> None:
        await exchange.write(CHUNKED + b"3\r\n{}\n\r\n")
        await exchange.client_leaves()

    remote, _ = await served(begin)
    async with remote.send("POST", "/go", {}) as answer:
        assert await answer.next_lines() == [b"{}"]
        waiting = asyncio.create_task(answer.next_lines())
        await asyncio.sleep(0)

        await remote.close()

        async with asyncio.timeout(5):
            with pytest.raises(BadBackendAnswerError, match="broke"):
                await waiting
