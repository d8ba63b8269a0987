"""Keys and clusters that callers bring, and what no caller sees of another."""

import asyncio
import time

import pytest

from hitchpost.errors import (
    BadRequestError,
    HitchpostError,
    OverloadedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from hitchpost_weaviate import connections, objects
from tests.fakes.weaviate.server import FakeWeaviate
from tests.weaviate.conftest import Bank, MakeBank, MakeProvider, kept

OWN_KEY = "key-of-the-host"


def bearer(*keys: str | None) -> set[str | None]:
    """The authorization headers of these keys."""
    return {None if key is None else f"Bearer {key}" for key in keys}


async def test_configured_key_comes_with_every_call(make_provider: MakeProvider, make_bank: MakeBank) -> None:
    async with FakeWeaviate(OWN_KEY) as guarded:
        provider = await make_provider(url=guarded.url, grpc_port=guarded.grpc_port, api_key=OWN_KEY)
        bank = await make_bank(at=provider)
        await bank.insert({"d": "text"})

        assert await bank.found("text") == ["d"]
        assert guarded.authorizations() == bearer(OWN_KEY)


async def test_key_of_a_caller_takes_the_place_of_the_configured_one(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    provider = await make_provider(api_key=OWN_KEY)
    bank = await make_bank(at=provider, data={"weaviate_api_key": "key-of-ann"})
    fake.service.calls.clear()

    await bank.insert({"d": "text"})
    await bank.found("text")

    assert {header for _, header, _ in fake.service.calls} == bearer("key-of-ann")


async def test_server_that_wants_keys_is_fine_without_a_configured_one(
    make_provider: MakeProvider, make_bank: MakeBank
) -> None:
    async with FakeWeaviate("key-of-ann") as guarded:
        provider = await make_provider(url=guarded.url, grpc_port=guarded.grpc_port)
        bank = await make_bank(at=provider, data={"weaviate_api_key": "key-of-ann"})
        await bank.insert({"d": "text"})

        assert await provider.list_memory_banks() == []
        with pytest.raises(UnauthenticatedError, match="weaviate_api_key"):
            await Bank(provider, bank.resource).query("text")


async def test_wrong_configured_key_is_told_at_the_start(make_provider: MakeProvider) -> None:
    async with FakeWeaviate("another-key") as guarded:
        with pytest.raises(UnauthenticatedError, match="api_key") as refused:
            await make_provider(url=guarded.url, grpc_port=guarded.grpc_port, api_key=OWN_KEY)

    assert OWN_KEY not in str(refused.value)


async def test_cluster_of_a_caller_never_sees_the_configured_key(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeWeaviate() as of_ann:
        # A caller's cluster is looked for on Weaviate's own port.
        monkeypatch.setattr("hitchpost_weaviate.addresses.DEFAULT_GRPC_PORT", of_ann.grpc_port)
        provider = await make_provider(api_key=OWN_KEY, caller_clusters=[of_ann.url])
        own = await make_bank(at=provider)
        hers = Bank(provider, own.resource, {"weaviate_cluster_url": of_ann.url, "weaviate_api_key": "key-of-ann"})
        keyless = Bank(provider, own.resource, {"weaviate_cluster_url": of_ann.url})
        await own.insert({"ours": "text"})
        await hers.insert({"hers": "text"})

        assert (await own.found("text"), await hers.found("text")) == (["ours"], ["hers"])
        assert await keyless.found("text") == ["hers"]
        assert of_ann.authorizations() == bearer("key-of-ann", None)
        assert bearer("key-of-ann").isdisjoint(fake.authorizations())


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://169.254.169.254", PermissionDeniedError),
        ("https://localhost:8080", PermissionDeniedError),
        ("http://mine.weaviate.cloud", PermissionDeniedError),
        ("gopher://x", BadRequestError),
        ("https://ann:pw-of-ann@mine.weaviate.cloud", BadRequestError),
    ],
)
async def test_cluster_that_is_not_allowed_is_never_contacted(
    url: str, error: type[HitchpostError], make_provider: MakeProvider, make_bank: MakeBank
) -> None:
    bank = await make_bank(at=await make_provider())
    bank.data = {"weaviate_cluster_url": url, "weaviate_api_key": "key-of-ann"}

    with pytest.raises(error, match="weaviate_cluster_url") as refused:
        await bank.query("text")

    assert "key-of-ann" not in str(refused.value)
    assert "pw-of-ann" not in str(refused.value)


async def test_provider_without_a_server_asks_for_one(make_provider: MakeProvider, make_bank: MakeBank) -> None:
    provider = await make_provider(url=None, grpc_port=None)
    await provider.health()
    bank = await make_bank(at=provider)

    with pytest.raises(UnauthenticatedError, match="weaviate_cluster_url"):
        await bank.insert({"d": "text"})


async def test_concurrent_callers_are_each_served_under_their_own_key(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    fake.service.signs_texts = True
    bank = await make_bank("keyword", at=await make_provider(api_key=OWN_KEY))
    await bank.insert({"d": "text"})
    callers = [None, *(f"key-{number}" for number in range(8))] * 3

    async def ask(key: str | None) -> str:
        data = None if key is None else {"weaviate_api_key": key}
        answer = await Bank(bank.provider, bank.resource, data).query("text")
        return str(answer.chunks[0].content)

    said = await asyncio.gather(*map(ask, callers))

    assert said == [f"text [Bearer {key or OWN_KEY}]" for key in callers]


async def test_expired_documents_of_a_caller_go_with_its_next_insertion(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = await make_bank("keyword", at=await make_provider(), data={"weaviate_api_key": "key-of-ann"})
    await bank.insert({"d": "text"}, ttl_seconds=60)
    now = time.time()
    monkeypatch.setattr(objects.time, "time", lambda: now + 61)

    await bank.insert({"e": "text"})

    assert {one.properties["document_id"] for one in kept(fake) + kept(fake, "record")} == {"e"}


async def test_connections_under_callers_keys_are_bounded(
    make_provider: MakeProvider, make_bank: MakeBank, monkeypatch: pytest.MonkeyPatch, fake: FakeWeaviate
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    bank = await make_bank("keyword", at=await make_provider())
    await bank.insert({"d": "text"})

    for number in range(6):
        assert await Bank(bank.provider, bank.resource, {"weaviate_api_key": f"key-{number}"}).found("text") == ["d"]
    async with fake.faults.stall("Search"):
        waiting = [
            asyncio.create_task(Bank(bank.provider, bank.resource, {"weaviate_api_key": f"w{number}"}).found("text"))
            for number in range(3)
        ]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
        assert [type(task.exception()) for task in done] == [OverloadedError]
    assert await asyncio.gather(*(task for task in waiting if task not in done)) == [["d"], ["d"]]


async def test_key_that_may_only_read_is_told_apart(make_provider: MakeProvider, make_bank: MakeBank) -> None:
    async with FakeWeaviate(OWN_KEY, "reader") as guarded:
        provider = await make_provider(url=guarded.url, grpc_port=guarded.grpc_port, api_key=OWN_KEY)
        bank = await make_bank(at=provider)
        guarded.keys.read_only.add("reader")
        bank.data = {"weaviate_api_key": "reader"}

        assert await bank.found("text") == []
        with pytest.raises(PermissionDeniedError) as refused:
            await bank.insert({"d": "text"})

    assert "user 'ann'" not in str(refused.value)
