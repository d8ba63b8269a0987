"""Key-value stores behind one interface: registrations, agents, telemetry and plugins keep here what must outlast them.

    class AcmeConfig(BaseModel):
        store: StoreConfig = SqliteStoreConfig()

    store = await open_store(config.store, default_path=deps.state_dir / "store.db")

`docs/stores.md` says which store is for what.
"""

from hitchpost.store.base import Change, KeyValueStore, Lease
from hitchpost.store.config import (
    MemoryStoreConfig,
    PostgresStoreConfig,
    RedisStoreConfig,
    SqliteStoreConfig,
    StoreConfig,
)
from hitchpost.store.keys import MAX_KEY_BYTES, MAX_VALUE_BYTES
from hitchpost.store.opening import open_store

__all__ = [
    "MAX_KEY_BYTES",
    "MAX_VALUE_BYTES",
    "Change",
    "KeyValueStore",
    "Lease",
    "MemoryStoreConfig",
    "PostgresStoreConfig",
    "RedisStoreConfig",
    "SqliteStoreConfig",
    "StoreConfig",
    "open_store",
]
