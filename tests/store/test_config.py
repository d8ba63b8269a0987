import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from hitchpost.errors import ConfigError
from hitchpost.store import (
    MemoryStoreConfig,
    PostgresStoreConfig,
    RedisStoreConfig,
    SqliteStoreConfig,
    StoreConfig,
    open_store,
)
from tests.store.places import parse_config


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({}, SqliteStoreConfig()),
        ({"db_path": "/srv/a.db"}, SqliteStoreConfig(db_path=Path("/srv/a.db"))),
        ({"type": "sqlite", "namespace": None, "db_path": "a.db"}, SqliteStoreConfig(db_path=Path("a.db"))),
        ({"type": "memory"}, MemoryStoreConfig(type="memory")),
        (
            {"type": "redis", "namespace": "n", "host": "cache", "port": "6380"},
            RedisStoreConfig(type="redis", namespace="n", host="cache", port=6380),
        ),
        (
            {"type": "postgres", "namespace": None, "host": "db", "port": 5433, "db": "d", "user": "u", "password": "p", "table_name": "t"},
            PostgresStoreConfig(type="postgres", host="db", port=5433, db="d", user="u", password="p", table_name="t"),
        ),
    ],
)  # fmt: skip
def test_published_fields_are_understood(fields: dict[str, Any], config: BaseModel) -> None:
    assert parse_config(fields) == config


def test_published_defaults_are_kept() -> None:
    redis, postgres = parse_config({"type": "redis"}), parse_config({"type": "postgres", "user": "u"})

    assert (redis.host, redis.port) == ("localhost", 6379)
    assert (postgres.host, postgres.port, postgres.db) == ("localhost", 5432, "llamastack")
    assert postgres.table_name == "llamastack_kvstore"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"type": "mongodb"}, "one of sqlite, memory, redis and postgres"),
        ({"type": None}, "one of sqlite, memory, redis and postgres"),
        ({"type": "sqlite", "path": "a.db"}, "Extra inputs"),
        ({"type": "sqlite", "db_path": ":memory:"}, "`type: memory`"),
        ({"type": "sqlite", "db_path": "file:a.db?mode=ro"}, "`type: memory`"),
        ({"type": "sqlite", "namespace": "a:b"}, "namespace"),
        ({"type": "sqlite", "namespace": ""}, "namespace"),
        ({"type": "redis", "port": 0}, "port"),
        ({"type": "redis", "host": ""}, "host"),
        ({"type": "redis", "timeout_s": 0}, "timeout_s"),
        ({"type": "postgres"}, "user"),
        ({"type": "postgres", "user": "u", "table_name": 'x"; DROP TABLE y; --'}, "table_name"),
        ({"type": "postgres", "user": "u", "table_name": "t" * 51}, "table_name"),
        ({"type": "postgres", "user": "u", "ssl_mode": "perhaps"}, "ssl_mode"),
    ],
)
def test_config_that_cannot_be_is_refused_with_its_field(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        parse_config(fields)


def test_home_directory_is_filled_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert parse_config({"db_path": "~/kept/store.db"}).db_path == tmp_path / "kept/store.db"


@pytest.mark.parametrize("fields", [{"type": "redis"}, {"type": "postgres", "user": "u"}])
def test_password_is_not_shown(fields: dict[str, Any]) -> None:
    config = parse_config({**fields, "password": "hush"})

    assert "hush" not in repr(config)
    assert "hush" not in config.model_dump_json()
    assert config.password.get_secret_value() == "hush"


def test_config_is_a_field_of_other_configs() -> None:
    class AcmeConfig(BaseModel):
        store: StoreConfig = SqliteStoreConfig()

    assert AcmeConfig().store == SqliteStoreConfig()
    assert AcmeConfig.model_validate({"store": {"type": "memory"}}).store == MemoryStoreConfig(type="memory")


def test_json_schema_knows_every_type() -> None:
    schema = json.dumps(TypeAdapter(StoreConfig).json_schema())

    assert all(f'"const": "{kind}"' in schema for kind in ("sqlite", "memory", "redis", "postgres"))


def test_only_servers_are_shared_by_hosts() -> None:
    configs = (SqliteStoreConfig, MemoryStoreConfig, RedisStoreConfig, PostgresStoreConfig)

    assert [config.is_shared for config in configs] == [False, False, True, True]


async def test_file_lies_where_its_owner_says_unless_configured(tmp_path: Path) -> None:
    for config in (SqliteStoreConfig(), SqliteStoreConfig(db_path=tmp_path / "mine.db")):
        store = await open_store(config, default_path=tmp_path / "default.db")
        await store.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["default.db", "mine.db"]


async def test_file_that_nobody_names_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="db_path"):
        await open_store(SqliteStoreConfig())


@pytest.mark.parametrize(
    ("fields", "extra"), [({"type": "redis"}, "redis"), ({"type": "postgres", "user": "u"}, "postgres")]
)
async def test_missing_library_says_what_to_install(
    fields: dict[str, Any], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hitchpost.store.opening.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=rf"pip install 'hitchpost\[{extra}\]'"):
        await open_store(parse_config(fields))
