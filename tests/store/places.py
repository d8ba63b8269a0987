"""Where the stores of the tests are."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import TypeAdapter

from hitchpost.store import KeyValueStore, StoreConfig, open_store

KINDS = ("memory", "sqlite", "redis", "postgres")
LASTING_KINDS = ("sqlite", "redis", "postgres")
on_every_store = pytest.mark.parametrize("place", KINDS, indirect=True)
on_every_lasting_store = pytest.mark.parametrize("place", LASTING_KINDS, indirect=True)


class Place:
    """Where a store is: `open` opens it, each time as another host would."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self._opened: list[KeyValueStore] = []

    async def open(self, **fields: Any) -> KeyValueStore:
        """The store, with these fields of its config changed."""
        store = await open_store(parse_config({**self.config, **fields}))
        self._opened.append(store)
        return store

    async def close(self) -> None:
        """Close whatever was opened here."""
        for store in self._opened:
            await store.close()


def parse_config(fields: dict[str, Any]) -> Any:
    """A store config, as a field of another config would parse it."""
    return TypeAdapter(StoreConfig).validate_python(fields)


def new_place(kind: str, folder: Path, request: pytest.FixtureRequest) -> Place:
    """An empty place of this kind, apart from every other."""
    own_name = f"t{uuid4().hex}"
    match kind:
        case "memory":
            return Place({"type": "memory"})
        case "sqlite":
            return Place({"type": "sqlite", "db_path": str(folder / own_name / "store.db")})
        case "redis":
            return Place(request.getfixturevalue("redis_server").config(namespace=own_name))
        case _:
            return Place(request.getfixturevalue("postgres_server").config(table_name=own_name))


async def keys_of(store: KeyValueStore, prefix: str = "") -> list[str]:
    """The keys below a prefix, in the order of the scan."""
    return [key async for key, _ in store.scan(prefix)]
