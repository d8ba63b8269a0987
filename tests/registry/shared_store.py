"""A store that hosts share and that can go away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hitchpost.errors import BackendUnavailableError
from hitchpost.store import KeyValueStore
from hitchpost.store.memory import MemoryStore
from tests.registry.house import House


class SharedStore(MemoryStore):
    """A store of two hosts, which outlives each of them and can be cut off from both."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.lose_answers_of: tuple[str, ...] = ()
        """Operations that are done, but whose answer doesn't come back."""

    async def open(self) -> KeyValueStore:
        self._check_open()
        return self

    async def close(self) -> None:
        """The other host goes on."""

    async def put_if_absent(self, key: str, value: str) -> bool:
        kept = await super().put_if_absent(key, value)
        if "put" in self.lose_answers_of:
            self.is_away = True
            raise BackendUnavailableError("the store did not answer")
        return kept

    def come_back(self) -> None:
        self.is_away, self.lose_answers_of = False, ()
        for feed in self._feeds._open:
            feed.resync()

    def _check_open(self) -> None:
        if self.is_away:
            raise BackendUnavailableError("the store can't be reached")


@asynccontextmanager
async def two_hosts(store: SharedStore) -> AsyncIterator[tuple[House, House]]:
    async with House().running(store.open) as here, House().running(store.open) as there:
        yield here, there
