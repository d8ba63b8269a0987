"""Which store, and where: a field of provider configs and the run config's `metadata_store`."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, SecretStr, Tag

from hitchpost.api.config_path import ConfigPath

Namespace = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
TimeoutSeconds = Annotated[float, Field(gt=0, le=300)]


def _no_address(path: Any) -> Any:
    if str(path) == ":memory:" or str(path).startswith("file:"):
        raise ValueError("a file's path is wanted; a store in memory is `type: memory`")
    return path


FilePath = Annotated[ConfigPath, BeforeValidator(_no_address)]


class _StoreConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    is_shared: ClassVar[bool]
    """Whether hosts on several machines can have the same store."""
    namespace: Namespace | None = None
    """Keeps what is in the same file or server apart: entries, leases and changes of one namespace are unknown in another."""


class SqliteStoreConfig(_StoreConfig):
    """A file, for the processes of one machine."""

    is_shared = False
    type: Literal["sqlite"] = "sqlite"
    db_path: FilePath | None = None
    """The file, `~` being the home directory; by default it lies where the owner of the store keeps its state."""


class MemoryStoreConfig(_StoreConfig):
    """Nothing is kept over a restart."""

    is_shared = False
    type: Literal["memory"]


class RedisStoreConfig(_StoreConfig):
    """A Redis server, version 6.2 or newer, or what speaks its protocol."""

    is_shared = True
    type: Literal["redis"]
    host: Annotated[str, Field(min_length=1)] = "localhost"
    port: Port = 6379
    db: Annotated[int, Field(ge=0)] = 0
    username: str | None = None
    password: SecretStr | None = None
    tls: bool = False
    tls_ca_file: FilePath | None = None
    """Certificates to trust instead of the system's."""
    timeout_s: TimeoutSeconds = 5
    """Within how many seconds a call must be answered."""


SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class PostgresStoreConfig(_StoreConfig):
    """A PostgreSQL server, version 12 or newer."""

    is_shared = True
    type: Literal["postgres"]
    host: Annotated[str, Field(min_length=1)] = "localhost"
    """A name, an address, or the folder of a Unix socket."""
    port: Port = 5432
    db: Annotated[str, Field(min_length=1)] = "llamastack"
    user: Annotated[str, Field(min_length=1)]
    password: SecretStr | None = None
    table_name: Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "llamastack_kvstore"
    """Start of the tables' names: `<table_name>_entries`, `_leases` and `_format`."""
    ssl_mode: SslMode = "prefer"
    """As libpq's `sslmode`."""
    ssl_root_cert: FilePath | None = None
    """Certificates that `verify-ca` and `verify-full` trust."""
    timeout_s: TimeoutSeconds = 5
    """Within how many seconds a call must be answered."""
    max_connections: Annotated[int, Field(ge=1, le=1000)] = 8
    """Connections beside the one that each reader of changes has."""


def _store_type(value: Any) -> Any:
    return value.get("type", "sqlite") if isinstance(value, dict) else getattr(value, "type", None)


StoreConfig = Annotated[
    Annotated[SqliteStoreConfig, Tag("sqlite")]
    | Annotated[MemoryStoreConfig, Tag("memory")]
    | Annotated[RedisStoreConfig, Tag("redis")]
    | Annotated[PostgresStoreConfig, Tag("postgres")],
    Discriminator(
        _store_type,
        custom_error_type="store_type",
        custom_error_message="`type` is one of sqlite, memory, redis and postgres",
    ),
]
"""Any of the four, by its `type`; without a `type` it is sqlite."""

__all__ = ["MemoryStoreConfig", "PostgresStoreConfig", "RedisStoreConfig", "SqliteStoreConfig", "StoreConfig"]
