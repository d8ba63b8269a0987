"""The file of a SQLite store: made, adopted or refused, and never harmed."""

import sqlite3
from pathlib import Path

import pytest

from hitchpost.errors import BackendUnavailableError, ConfigError
from hitchpost.store import SqliteStoreConfig, open_store
from hitchpost.store.sqlite_file import APPLICATION_ID
from tests.store.places import keys_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "store.db"


@pytest.fixture
async def filled_path(path: Path) -> Path:
    """A store with some hundred entries, closed."""
    store = await open_store(SqliteStoreConfig(db_path=path))
    for number in range(300):
        await store.set(f"key {number}", "x" * 500)
    await store.close()
    return path


async def refusal(path: Path) -> str:
    """What is said of a file that is no store, after it was seen that the file is as before."""
    before = path.read_bytes()
    with pytest.raises(ConfigError) as refused:
        await open_store(SqliteStoreConfig(db_path=path))
    assert path.read_bytes() == before
    assert str(path) in refused.value.message
    return refused.value.message


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


async def test_only_its_owner_may_read_the_file(filled_path: Path) -> None:
    assert filled_path.stat().st_mode & 0o777 == 0o600
    assert filled_path.parent.stat().st_mode & 0o777 == 0o700


async def test_files_beside_an_open_store_are_its_owners_too(path: Path) -> None:
    store = await open_store(SqliteStoreConfig(db_path=path))
    await store.set("key", "value")

    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

    await store.close()
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


async def test_file_is_alone_when_the_store_is_closed(filled_path: Path) -> None:
    assert [file.name for file in filled_path.parent.iterdir()] == ["store.db"]


@pytest.mark.parametrize(
    "content",
    [*(b"x" * size for size in (1, 100, 511, 512, 4095, 4096, 9000)), b"SQLite format 3\0" + b"\xff" * 500],
    ids=len,
)
async def test_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)

    message = await refusal(path)

    assert "no SQLite database" in message
    assert "restore it" in message


async def test_empty_file_becomes_a_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()

    store = await open_store(SqliteStoreConfig(db_path=path))

    await store.set("key", "value")
    await store.close()


async def test_cut_off_file_is_refused(filled_path: Path) -> None:
    content = filled_path.read_bytes()
    filled_path.write_bytes(content[: len(content) // 2])

    assert "damaged" in await refusal(filled_path)


async def test_file_with_a_broken_page_is_refused(filled_path: Path) -> None:
    content = bytearray(filled_path.read_bytes())
    content[4096 * 9 : 4096 * 10] = b"\xa5" * 4096
    filled_path.write_bytes(content)

    assert "damaged" in await refusal(filled_path)


async def test_file_that_breaks_while_it_is_open_fails_the_calls(path: Path) -> None:
    store = await open_store(SqliteStoreConfig(db_path=path))
    for number in range(60):
        await store.set(f"more than SQLite keeps in memory {number}", "x" * 100_000)
    await store.close()
    store = await open_store(SqliteStoreConfig(db_path=path))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))

    with pytest.raises(BackendUnavailableError, match="damaged") as failure:
        await keys_of(store)

    await store.close()
    assert failure.value.is_permanent
    assert str(path) not in failure.value.message


async def test_database_of_something_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    execute(path, "CREATE TABLE bookmarks (url TEXT)", "INSERT INTO bookmarks VALUES ('http://localhost')")

    message = await refusal(path)

    assert "bookmarks" in message
    assert "name another file" in message


async def test_database_that_another_application_marked_is_refused(path: Path) -> None:
    path.parent.mkdir()
    execute(path, "PRAGMA application_id = 252006674")

    assert "another application" in await refusal(path)


async def test_store_of_a_newer_version_is_refused(filled_path: Path) -> None:
    execute(filled_path, "PRAGMA user_version = 2")

    message = await refusal(filled_path)

    assert "format 2" in message
    assert "run the version that wrote it" in message


async def test_store_without_its_tables_is_refused(path: Path) -> None:
    path.parent.mkdir()
    execute(path, f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 1", "CREATE TABLE other (a)")

    assert "tables are missing" in await refusal(path)


async def test_file_of_llama_stack_gets_our_tables_beside_its_own(path: Path) -> None:
    path.parent.mkdir()
    execute(
        path,
        "CREATE TABLE kvstore (key TEXT PRIMARY KEY, value TEXT, expiration TIMESTAMP)",
        "INSERT INTO kvstore VALUES ('distributions:registry:v2::model:llama', '{}', NULL)",
    )

    store = await open_store(SqliteStoreConfig(db_path=path))
    await store.set("key", "ours")
    keys = await keys_of(store)
    await store.close()

    connection = sqlite3.connect(path)
    theirs = connection.execute("SELECT key, value, expiration FROM kvstore").fetchall()
    connection.close()
    assert keys == ["key"]
    assert theirs == [("distributions:registry:v2::model:llama", "{}", None)]


async def test_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(ConfigError, match="can't be made"):
        await open_store(SqliteStoreConfig(db_path=tmp_path / "a file" / "store.db"))
    with pytest.raises(ConfigError, match="something else than a file"):
        await open_store(SqliteStoreConfig(db_path=tmp_path))


async def test_file_that_another_process_keeps_locked_is_told_apart(
    filled_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hitchpost.store.sqlite_file.BUSY_TIMEOUT_S", 0.1)
    store = await open_store(SqliteStoreConfig(db_path=filled_path))
    other = sqlite3.connect(filled_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(BackendUnavailableError, match="locked") as failure:
        await store.set("key", "value")
    value = await store.get("key 1")
    other.execute("ROLLBACK")
    other.close()
    await store.set("key", "value")

    await store.close()
    assert not failure.value.is_permanent
    assert value == "x" * 500
