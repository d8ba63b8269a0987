"""Every store does what a dict would, whatever is asked of it in whatever order."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from hitchpost.store import KeyValueStore
from tests.store.places import KINDS, Place, new_place

T = TypeVar("T")
EXAMPLES = {"memory": 60, "sqlite": 20, "redis": 15, "postgres": 8}
# Few and alike, so that they meet; with what is special in SQL, in Lua or in the order of UTF-16.
keys = st.text(alphabet="aB:%_é\ufffd🦙", min_size=1, max_size=3)
values = st.one_of(
    st.sampled_from(["", "x", "y"]), st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
)


class StoreBesideDict(RuleBasedStateMachine):
    """The same is done to a store and to a dict. Subclasses say where the store is."""

    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.entries: dict[str, str] = {}
        self.store: KeyValueStore = self.run(self.place.open())
        self.run(self.empty())

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()

    def run(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self.runner.run(wait())

    async def empty(self) -> None:
        async for key, _ in self.store.scan():
            await self.store.delete(key)

    @rule(key=keys, value=values)
    def set(self, key: str, value: str) -> None:
        self.run(self.store.set(key, value))
        self.entries[key] = value

    @rule(key=keys, value=values)
    def put_if_absent(self, key: str, value: str) -> None:
        assert self.run(self.store.put_if_absent(key, value)) is (key not in self.entries)
        self.entries.setdefault(key, value)

    @rule(key=keys, expected=values, new=values)
    def compare_and_set(self, key: str, expected: str, new: str) -> None:
        is_same = self.entries.get(key) == expected
        assert self.run(self.store.compare_and_set(key, expected, new)) is is_same
        if is_same:
            self.entries[key] = new

    @rule(key=keys)
    def delete(self, key: str) -> None:
        assert self.run(self.store.delete(key)) is (self.entries.pop(key, None) is not None)

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert self.run(self.store.get(key)) == self.entries.get(key)

    @rule(prefix=st.one_of(keys, st.just("")))
    def scan(self, prefix: str) -> None:
        async def entries() -> list[tuple[str, str]]:
            return [entry async for entry in self.store.scan(prefix)]

        assert self.run(entries()) == sorted(entry for entry in self.entries.items() if entry[0].startswith(prefix))


@pytest.mark.parametrize("kind", KINDS)
def test_store_does_what_a_dict_does(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    class Machine(StoreBesideDict):
        place = new_place(kind, tmp_path, request)

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=EXAMPLES[kind], stateful_step_count=30, deadline=None)
    )
