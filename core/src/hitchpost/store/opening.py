"""From a config to an open store; the library of a server is imported when it is asked for."""

from importlib.util import find_spec
from pathlib import Path

from hitchpost.errors import ConfigError
from hitchpost.store.base import KeyValueStore
from hitchpost.store.config import (
    MemoryStoreConfig,
    PostgresStoreConfig,
    RedisStoreConfig,
    SqliteStoreConfig,
)


async def open_store(
    config: SqliteStoreConfig | MemoryStoreConfig | RedisStoreConfig | PostgresStoreConfig,
    *,
    default_path: Path | None = None,
) -> KeyValueStore:
    """The store that the config describes, ready for use; who opens it closes it.

    Args:
        config: a `StoreConfig`.
        default_path: the file of a sqlite store whose config names none.
    Raises:
        ConfigError: the store can't be used as it is: a damaged file, one of something else or of a newer version, refused credentials,
            a missing library. Nothing was changed.
        BackendUnavailableError: it can't be reached now; trying again later may help.
    """
    namespace = config.namespace or ""
    if isinstance(config, SqliteStoreConfig):
        from hitchpost.store.sqlite import SqliteStore

        path = config.db_path or default_path
        if path is None:
            raise ConfigError("a store of type sqlite needs a `db_path` here")
        return await SqliteStore.open(path.expanduser(), namespace)
    if isinstance(config, RedisStoreConfig):
        _require("redis", extra="redis")
        from hitchpost.store.redis import RedisStore

        return await RedisStore.open(config)
    if isinstance(config, PostgresStoreConfig):
        _require("psycopg", "psycopg_pool", extra="postgres")
        from hitchpost.store.postgres import PostgresStore

        return await PostgresStore.open(config)
    from hitchpost.store.memory import MemoryStore

    return MemoryStore()


def _require(*modules: str, extra: str) -> None:
    if missing := [module for module in modules if find_spec(module) is None]:
        raise ConfigError(
            f"a store of type {extra} needs {' and '.join(missing)}, not installed: pip install 'hitchpost[{extra}]'"
        )


__all__ = ["open_store"]
