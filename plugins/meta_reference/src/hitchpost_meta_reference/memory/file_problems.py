"""What SQLite says of a bank's file, as errors that name the bank and say what to do."""

import sqlite3

from hitchpost.errors import BackendUnavailableError, quoted

_DAMAGED = {
    sqlite3.SQLITE_NOTADB: "its file is no SQLite database",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_CANTOPEN: "its file can't be opened",
    sqlite3.SQLITE_READONLY: "its file can't be written",
    sqlite3.SQLITE_PERM: "its file can't be written",
}
_NOT_NOW = {
    sqlite3.SQLITE_FULL: "the disk is full; free space or unregister banks",
    sqlite3.SQLITE_BUSY: "another process has its file locked",
    sqlite3.SQLITE_IOERR: "its disk can't be read or written",
    sqlite3.SQLITE_NOMEM: "memory is short",
}


def file_problem(error: sqlite3.Error, name: str, file_name: str) -> BackendUnavailableError:
    """The error that a caller sees.

    Args:
        error: of SQLite.
        name: the bank's.
        file_name: its file in the provider's folder, without the folder.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    reason = _NOT_NOW.get(code)
    if reason is not None:
        return BackendUnavailableError(f"memory bank {quoted(name)} can't be served now: {reason}", retry_after_s=5)
    return BackendUnavailableError(
        f"memory bank {quoted(name)} can't be served: {_DAMAGED.get(code, 'its file is not as it should be')}. Nothing was "
        f"changed: restore {file_name} in the provider's folder from a backup, or move it away to begin with an empty bank",
        is_permanent=True,
    )


__all__ = ["file_problem"]
