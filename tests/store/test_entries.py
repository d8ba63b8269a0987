"""What every store does with its entries."""

import asyncio
from contextlib import aclosing

import pytest

from hitchpost.errors import BackendUnavailableError, BadRequestError, RequestTooLargeError
from hitchpost.store import MAX_KEY_BYTES, MAX_VALUE_BYTES, KeyValueStore
from hitchpost.store.keys import PAGE_BYTES, PAGE_ROWS
from tests.store.places import Place, keys_of, on_every_store

pytestmark = on_every_store

KEY = "distributions:registry:v2::model:meta-llama/Llama-3.1-8B"
ODD_TEXTS = [
    "",
    " ",
    "\n\t\r",
    "'; DROP TABLE x; --",
    "%s %(key)s {entries}",
    "\\",
    "é\u0301漢字🦙\U0010ffff",
    '{"a": "\\u0000"}',
]
WRONG_KEYS = [
    "",
    "a\0b",
    "line\n",
    "\x7f",
    "\x85",
    "half \ud83d",
    "top \U0010ffff",
    "k" * (MAX_KEY_BYTES + 1),
    "é" * 600,
]


async def test_absent_key_has_no_value(store: KeyValueStore) -> None:
    assert await store.get(KEY) is None


@pytest.mark.parametrize("value", ODD_TEXTS, ids=ascii)
async def test_value_is_read_as_it_was_written(store: KeyValueStore, value: str) -> None:
    await store.set(KEY, value)

    assert await store.get(KEY) == value


@pytest.mark.parametrize("key", ["a'b\"c", "100%_*?[x]{y}", "agent:é漢🦙", "k" * MAX_KEY_BYTES, "a b", "\\"], ids=ascii)
async def test_key_may_be_any_printable_text(store: KeyValueStore, key: str) -> None:
    await store.set(key, "there")

    assert await store.get(key) == "there"
    assert await keys_of(store, key) == [key]


async def test_setting_again_replaces_the_value(store: KeyValueStore) -> None:
    await store.set(KEY, "old")
    await store.set(KEY, "new")

    assert await store.get(KEY) == "new"
    assert await keys_of(store) == [KEY]


async def test_put_if_absent_writes_only_the_first_time(store: KeyValueStore) -> None:
    first = await store.put_if_absent(KEY, "first")
    second = await store.put_if_absent(KEY, "second")

    assert (first, second) == (True, False)
    assert await store.get(KEY) == "first"


@pytest.mark.parametrize(
    ("before", "expected", "is_set", "after"),
    [("old", "old", True, "new"), ("other", "old", False, "other"), (None, "old", False, None), ("", "", True, "new")],
)
async def test_compare_and_set_writes_where_the_value_is_as_expected(
    store: KeyValueStore, before: str | None, expected: str, is_set: bool, after: str | None
) -> None:
    if before is not None:
        await store.set(KEY, before)

    assert await store.compare_and_set(KEY, expected, "new") is is_set
    assert await store.get(KEY) == after


async def test_many_writers_who_compare_lose_no_write(store: KeyValueStore) -> None:
    async def count_up() -> None:
        while True:
            seen = await store.get("counter")
            assert seen is not None
            if await store.compare_and_set("counter", seen, str(int(seen) + 1)):
                return

    await store.set("counter", "0")
    await asyncio.gather(*(count_up() for _ in range(20)))

    assert await store.get("counter") == "20"


async def test_of_many_who_put_one_is_first(store: KeyValueStore) -> None:
    answers = await asyncio.gather(*(store.put_if_absent(KEY, str(number)) for number in range(20)))

    assert answers.count(True) == 1
    assert await store.get(KEY) == str(answers.index(True))


async def test_deleting_tells_whether_the_key_was_there(store: KeyValueStore) -> None:
    await store.set(KEY, "gone soon")

    assert await store.delete(KEY) is True
    assert await store.delete(KEY) is False
    assert await store.get(KEY) is None
    assert await keys_of(store) == []


async def test_scan_of_an_empty_store_finds_nothing(store: KeyValueStore) -> None:
    assert await keys_of(store) == []


async def test_scan_goes_by_code_point(store: KeyValueStore) -> None:
    # Not in the order of any language, and not of UTF-16, where U+1F999 would come before U+FF5E.
    keys = ["A", "B:1", "B:10", "B:2", "Z", "_", "a", "é", "\uff5e", "\U0001f999"]
    for key in reversed(keys):
        await store.set(key, f"value of {key}")

    assert [entry async for entry in store.scan()] == [(key, f"value of {key}") for key in keys]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("model:", ["model:", "model:a", "model:b"]),
        ("model:a", ["model:a"]),
        ("mod", ["mod_x", "model:", "model:a", "model:b", "modl"]),
        ("mod_", ["mod_x"]),
        ("mod%", []),
        ("*", []),
        ("modem", []),
        ("🦙", ["🦙", "🦙🦙"]),
    ],
)
async def test_scan_finds_what_starts_with_the_prefix(store: KeyValueStore, prefix: str, found: list[str]) -> None:
    for key in ["model:", "model:a", "model:b", "modl", "mod_x", "shield:a", "🦘", "🦙", "🦙🦙", "🦚"]:
        await store.set(key, "x")

    assert await keys_of(store, prefix) == found


async def test_scan_reads_on_over_many_pages(store: KeyValueStore) -> None:
    keys = [f"k:{number:04}" for number in range(2 * PAGE_ROWS + 10)]
    for key in keys:
        await store.set(key, "x")
    await store.set("l", "x")

    assert await keys_of(store, "k:") == keys


async def test_scan_reads_on_over_values_that_fill_a_page_each(store: KeyValueStore) -> None:
    values = {f"k{number}": str(number) * (PAGE_BYTES + number) for number in range(4)}
    for key, value in values.items():
        await store.set(key, value)

    assert {key: value async for key, value in store.scan("k")} == values


async def test_scan_goes_on_while_entries_come_and_go(store: KeyValueStore) -> None:
    keys = [f"k:{number:04}" for number in range(PAGE_ROWS + 20)]
    for key in keys:
        await store.set(key, "x")

    seen = []
    async for key, _ in store.scan("k:"):
        seen.append(key)
        await store.delete(key)
        await store.set(key.replace("k:", "j:"), "moved")

    assert seen == keys
    assert len(await keys_of(store, "j:")) == len(keys)


async def test_scan_may_end_early(store: KeyValueStore) -> None:
    await store.set("a", "x")
    await store.set("b", "x")

    async with aclosing(store.scan()) as entries:
        first = await anext(entries)

    assert first == ("a", "x")
    assert await store.get("b") == "x"


@pytest.mark.parametrize("key", WRONG_KEYS, ids=lambda key: ascii(key)[:20])
async def test_wrong_key_is_refused(store: KeyValueStore, key: str) -> None:
    with pytest.raises(BadRequestError, match="a key of the store"):
        await store.set(key, "x")
    with pytest.raises(BadRequestError, match="a key of the store"):
        await store.get(key)
    assert await keys_of(store) == []


@pytest.mark.parametrize("value", ["a\0b", "half \ud83d"], ids=ascii)
async def test_value_that_is_not_text_is_refused(store: KeyValueStore, value: str) -> None:
    with pytest.raises(BadRequestError, match="a value of the store"):
        await store.set(KEY, value)
    with pytest.raises(BadRequestError, match="a value of the store"):
        await store.compare_and_set(KEY, value, "x")
    assert await store.get(KEY) is None


async def test_value_may_be_as_large_as_it_may_be_and_no_larger(store: KeyValueStore) -> None:
    largest = "é" * (MAX_VALUE_BYTES // 2)
    await store.set(KEY, largest)

    with pytest.raises(RequestTooLargeError, match=str(MAX_VALUE_BYTES)):
        await store.set(KEY, largest + "x")
    assert await store.get(KEY) == largest


async def test_caller_who_goes_away_does_the_store_no_harm(store: KeyValueStore) -> None:
    writes = [asyncio.create_task(store.set(f"k{number}", "x" * 1000)) for number in range(30)]
    await asyncio.sleep(0)
    for write in writes:
        write.cancel()
    await asyncio.gather(*writes, return_exceptions=True)

    await store.set(KEY, "after")

    assert await store.get(KEY) == "after"
    assert {value async for _, value in store.scan("k")} <= {"x" * 1000}


async def test_health_of_an_open_store_is_good(store: KeyValueStore) -> None:
    await store.health()


async def test_closed_store_says_so(store: KeyValueStore) -> None:
    await store.close()
    await store.close()

    with pytest.raises(BackendUnavailableError, match="closed"):
        await store.get(KEY)
    with pytest.raises(BackendUnavailableError, match="closed"):
        await store.set(KEY, "x")
    with pytest.raises(BackendUnavailableError, match="closed"):
        await keys_of(store)
    with pytest.raises(BackendUnavailableError, match="closed"):
        await store.health()


async def test_no_task_is_left_behind(place: Place) -> None:
    before = asyncio.all_tasks()

    store = await place.open()
    await store.set(KEY, "x")
    await store.close()

    assert asyncio.all_tasks() == before
