"""What readers of changes are told, on every store."""

import asyncio
from contextlib import aclosing

import pytest

from hitchpost.errors import BackendUnavailableError
from hitchpost.store import Change, KeyValueStore
from tests.store.places import Place, on_every_lasting_store, on_every_store
from tests.store.reader import LIMIT_S, Reader


@on_every_store
async def test_first_change_says_to_scan(store: KeyValueStore) -> None:
    async with aclosing(store.changes()) as changes, asyncio.timeout(LIMIT_S):
        assert await anext(changes) == Change(None)


@on_every_store
async def test_reader_learns_of_every_kind_of_write(store: KeyValueStore) -> None:
    async with Reader(store) as reader:
        await store.set("a", "1")
        await store.put_if_absent("b", "2")
        await store.set("c", "3")
        await store.compare_and_set("c", "3", "4")
        await store.set("d", "5")
        await store.delete("d")

        await reader.until(lambda: reader.known == {"a": "1", "b": "2", "c": "4"})


@on_every_store
async def test_write_that_changes_nothing_is_no_news(store: KeyValueStore) -> None:
    await store.set("a", "1")

    async with Reader(store) as reader:
        await store.put_if_absent("a", "2")
        await store.compare_and_set("a", "other", "2")
        await store.delete("b")
        await store.set("last", "1")

        await reader.until(lambda: "last" in reader.known)

    assert reader.told == ["last"]


@on_every_store
async def test_reader_is_told_of_its_prefix_only(store: KeyValueStore) -> None:
    async with Reader(store, "model:") as reader:
        await store.set("shield:a", "1")
        await store.set("model:a", "2")

        await reader.until(lambda: "model:a" in reader.known)

    assert reader.told == ["model:a"]


@on_every_store
async def test_several_readers_are_each_told(store: KeyValueStore) -> None:
    async with Reader(store, "a") as one, Reader(store, "") as other:
        await store.set("a", "1")

        await one.until(lambda: one.known == {"a": "1"})
        await other.until(lambda: other.known == {"a": "1"})


@on_every_store
async def test_reader_that_falls_behind_is_told_to_scan_again(
    store: KeyValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hitchpost.store.changes.MAX_PENDING", 20)
    async with aclosing(store.changes()) as changes, asyncio.timeout(LIMIT_S):
        assert (await anext(changes)).key is None

        for number in range(100):
            await store.set(f"k{number}", "x")
        await store.set("last", "x")
        told = []
        while "last" not in told and None not in told:
            told.append((await anext(changes)).key)

    assert None in told
    assert len(told) <= 20


@on_every_store
async def test_changes_end_when_the_store_is_closed(store: KeyValueStore) -> None:
    async with Reader(store) as reader:
        await store.close()

        async with asyncio.timeout(LIMIT_S):
            await reader.task


@on_every_store
async def test_changes_of_a_closed_store_are_refused(store: KeyValueStore) -> None:
    await store.close()

    with pytest.raises(BackendUnavailableError, match="closed"):
        store.changes()


@on_every_store
async def test_reader_that_leaves_takes_its_listener_along(store: KeyValueStore) -> None:
    before = tasks_of_stores()

    async with aclosing(store.changes()) as changes:
        await anext(changes)
        assert len(tasks_of_stores()) == len(before) + 1

    assert tasks_of_stores() == before


def tasks_of_stores() -> list[str]:
    """The running tasks whose code is that of a store; a connection pool has some of its own, which come and go."""
    codes = [getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()]
    return sorted(code.co_qualname for code in codes if code is not None and "/hitchpost/store/" in code.co_filename)


@on_every_lasting_store
async def test_reader_learns_what_another_host_writes(place: Place) -> None:
    here, there = await place.open(), await place.open()

    async with Reader(here, "model:") as reader:
        await there.set("model:a", "1")
        await reader.until(lambda: reader.known == {"model:a": "1"})
        await there.set("model:b", "2")
        await reader.until(lambda: reader.known == {"model:a": "1", "model:b": "2"})
        await there.delete("model:a")
        await reader.until(lambda: reader.known == {"model:b": "2"})
