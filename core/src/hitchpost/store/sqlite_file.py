"""Opening the file of a SQLite store: made when it is missing, checked when it is there, and never overwritten."""

import os
import sqlite3
from pathlib import Path

from hitchpost.errors import BackendUnavailableError, ConfigError, HitchpostError

BUSY_TIMEOUT_S = 5.0
"""How long another process may hold the file's lock."""
MAX_CHECKED_BYTES = 256 * 1024 * 1024
"""Files up to this size are read through when they are opened."""
SHORTEST_BYTES = 512
"""One page of the smallest size that SQLite knows."""
APPLICATION_ID = 0x48504B56
"""`HPKV`, in the file's header."""
FORMAT_VERSION = 1
"""The header's user version; a newer one is refused, an older one is to be upgraded where `_prepare` looks at it."""
LEGACY_TABLES = {"kvstore"}
"""What llama-stack keeps in a file of its own; our tables go beside it."""

TABLES = (
    """CREATE TABLE hitchpost_entries (
        namespace TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (namespace, key))""",
    """CREATE TABLE hitchpost_leases (
        namespace TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, token INTEGER NOT NULL,
        ttl_s REAL NOT NULL, expires_at REAL NOT NULL, PRIMARY KEY (namespace, name))""",
)

_FILE_IS_WRONG = {
    sqlite3.SQLITE_NOTADB: "it is no SQLite database",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened",
    sqlite3.SQLITE_READONLY: "it can't be written",
    sqlite3.SQLITE_PERM: "it can't be written",
}
_FILE_CANT_NOW = {
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_BUSY: f"another process has had it locked for {BUSY_TIMEOUT_S:g} s",
    sqlite3.SQLITE_IOERR: "its disk can't be read or written",
}
WHAT_TO_DO = (
    "It was left as it is: restore it from a backup, or move it away or name another file to start with an empty store."
)


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to a file that is a store of ours, in the calling thread.

    Raises:
        ConfigError: the file can't be made, is damaged, is something else, or is of a newer version.
        BackendUnavailableError: it is locked, or its disk is full or fails.
    """
    _make_file(path)
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise _while_opening(error, path) from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _while_opening(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only ever opened where it is new: closing a second descriptor would drop the locks of this process on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise ConfigError(f"store file {path} can't be made: something else than a file is there") from None
        # SQLite takes a file that is shorter than any database for an empty one, and writes over it.
        if 0 < path.stat().st_size < SHORTEST_BYTES:
            raise ConfigError(f"store file {path} can't be used: it is no SQLite database. {WHAT_TO_DO}") from None
    except OSError as error:
        raise ConfigError(f"store file {path} can't be made: {error.strerror}") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    is_ours = _check_owner(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if not is_ours:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been first between the look and the lock.
        if not _check_owner(connection, path):
            for statement in TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        connection.execute("COMMIT")
    if path.stat().st_size <= MAX_CHECKED_BYTES:
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise ConfigError(f"store file {path} can't be used: it is damaged ({finding}). {WHAT_TO_DO}")


def _check_owner(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is a store of ours, in the format of this version; False where it is to be made one."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application_id == APPLICATION_ID:
        if version != FORMAT_VERSION:
            raise ConfigError(
                f"store file {path} has format {version}, and this version of Hitchpost reads format {FORMAT_VERSION}: "
                "run the version that wrote it. It was left as it is."
            )
        if not {"hitchpost_entries", "hitchpost_leases"} <= tables:
            raise ConfigError(f"store file {path} can't be used: its tables are missing. {WHAT_TO_DO}")
        return True
    if application_id or version or tables - LEGACY_TABLES:
        found = f"its tables are {', '.join(sorted(tables)[:5])}" if tables else "its header names another application"
        raise ConfigError(f"store file {path} is the database of something else ({found}): name another file")
    return False


def _while_opening(error: sqlite3.Error, path: Path) -> HitchpostError:
    code = primary_code(error)
    if code in _FILE_IS_WRONG:
        return ConfigError(f"store file {path} can't be used: {_FILE_IS_WRONG[code]}. {WHAT_TO_DO}")
    return BackendUnavailableError(f"store file {path} can't be used now: {_FILE_CANT_NOW.get(code, error)}")


def while_running(error: sqlite3.Error) -> BackendUnavailableError:
    """What to tell a caller, who may be a client and so is not told the path, when a statement fails."""
    code = primary_code(error)
    if code in _FILE_IS_WRONG:
        return BackendUnavailableError(f"the store's file can't be used: {_FILE_IS_WRONG[code]}", is_permanent=True)
    return BackendUnavailableError(f"the store's file can't be used now: {_FILE_CANT_NOW.get(code, error)}")


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


__all__ = ["FORMAT_VERSION", "open_database", "while_running"]
