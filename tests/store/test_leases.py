"""Who may do a job, on every store."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from hitchpost.errors import BadRequestError
from hitchpost.store import KeyValueStore, Lease
from tests.store.places import Place, keys_of, on_every_lasting_store, on_every_store

NAME = "refresh models"
LONG_S = 60.0
SHORT_S = 0.05


async def eventually(ask: Callable[[], Awaitable[Lease | None]]) -> Lease:
    """The lease, once it is given."""
    async with asyncio.timeout(10):
        while (lease := await ask()) is None:
            await asyncio.sleep(0.01)
    return lease


async def taken(store: KeyValueStore, owner: str = "a", ttl_s: float = LONG_S) -> Lease:
    """A lease that is free."""
    lease = await store.acquire(NAME, owner, ttl_s)
    assert lease is not None
    return lease


@on_every_store
async def test_lease_is_one_owners_at_a_time(store: KeyValueStore) -> None:
    before = time.monotonic()
    lease = await taken(store, "a")

    assert await store.acquire(NAME, "b", LONG_S) is None
    assert (lease.name, lease.owner, lease.ttl_s) == (NAME, "a", LONG_S)
    assert before < lease.expires_at <= time.monotonic() + LONG_S


@on_every_store
async def test_of_many_who_compete_one_gets_the_lease(store: KeyValueStore) -> None:
    leases = await asyncio.gather(*(store.acquire(NAME, f"host {number}", LONG_S) for number in range(20)))

    assert len([lease for lease in leases if lease]) == 1


@on_every_store
async def test_leases_of_different_names_are_apart(store: KeyValueStore) -> None:
    await taken(store, "a")

    assert await store.acquire("another job", "b", LONG_S)


@on_every_store
async def test_expired_lease_is_free_and_its_token_is_outdated(store: KeyValueStore) -> None:
    late = await taken(store, "a", SHORT_S)

    next_one = await eventually(lambda: store.acquire(NAME, "b", LONG_S))

    assert next_one.token > late.token
    assert await store.renew(late) is None
    assert await store.release(late) is False
    assert await store.acquire(NAME, "c", LONG_S) is None


@on_every_store
async def test_released_lease_is_free_at_once(store: KeyValueStore) -> None:
    lease = await taken(store, "a")

    assert await store.release(lease) is True
    assert await store.release(lease) is False
    assert (await taken(store, "b")).token > lease.token


@on_every_store
async def test_renewed_lease_lives_on(store: KeyValueStore) -> None:
    lease = await taken(store, "a", 1.0)

    renewed = await store.renew(lease)

    assert renewed is not None
    assert renewed.token == lease.token
    assert renewed.expires_at > lease.expires_at
    assert await store.acquire(NAME, "b", LONG_S) is None


@on_every_store
async def test_expired_lease_is_not_renewed(store: KeyValueStore) -> None:
    lease = await taken(store, "a", SHORT_S)
    await eventually(lambda: store.acquire(NAME, "b", SHORT_S))

    assert await store.renew(lease) is None


@on_every_store
async def test_owner_that_asks_again_gets_a_new_lease_for_its_old_one(store: KeyValueStore) -> None:
    forgotten = await taken(store, "a")

    again = await taken(store, "a")

    assert again.token > forgotten.token
    assert await store.renew(forgotten) is None
    assert await store.renew(again) is not None


@on_every_store
async def test_leases_are_no_entries(store: KeyValueStore) -> None:
    await taken(store)

    assert await store.get(NAME) is None
    assert await keys_of(store) == []


@on_every_store
@pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("inf"), 1e9])
async def test_lease_without_a_sensible_end_is_refused(store: KeyValueStore, ttl_s: float) -> None:
    with pytest.raises(BadRequestError, match="a lease lives"):
        await store.acquire(NAME, "a", ttl_s)


@on_every_store
@pytest.mark.parametrize(("name", "owner"), [("", "a"), (NAME, ""), ("a\0", "a"), (NAME, "a\n")])
async def test_lease_needs_a_name_and_an_owner(store: KeyValueStore, name: str, owner: str) -> None:
    with pytest.raises(BadRequestError, match="a key of the store"):
        await store.acquire(name, owner, LONG_S)


@on_every_lasting_store
async def test_lease_holds_among_hosts(place: Place) -> None:
    here, there = await place.open(), await place.open()

    lease = await taken(here, "a")

    assert await there.acquire(NAME, "b", LONG_S) is None
    assert await here.release(lease)
    assert await there.acquire(NAME, "b", LONG_S)
    assert await here.renew(lease) is None


@on_every_lasting_store
async def test_lease_outlasts_its_host(place: Place) -> None:
    here = await place.open()
    lease = await taken(here, "a")
    await here.close()

    again = await place.open()

    assert await again.acquire(NAME, "b", LONG_S) is None
    assert await again.renew(lease)
