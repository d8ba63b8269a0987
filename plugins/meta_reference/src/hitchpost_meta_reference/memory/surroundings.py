"""What banks need around them: a SQLite that can do it, and a folder with room."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from hitchpost.errors import BackendUnavailableError

MIN_FREE_BYTES = 32 * 1024 * 1024


def check_sqlite() -> None:
    """Raises BackendUnavailableError where this Python's SQLite lacks what banks are made of."""
    try:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text)")
            connection.execute("INSERT INTO words (text) SELECT value FROM json_each('[1]') RETURNING rowid").fetchall()
    except sqlite3.Error as error:
        message = (
            f"memory banks need SQLite 3.38 or newer with FTS5, and this Python's is {sqlite3.sqlite_version}: {error}"
        )
        raise BackendUnavailableError(message, is_permanent=True) from error


def find_folder_problem(folder: Path) -> str | None:
    """Why nothing could be written there; None: it could."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return "the folder for memory banks can't be written"
    if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        return "the disk with the memory banks is nearly full; free space or unregister banks"
    return None


__all__ = ["check_sqlite", "find_folder_problem"]
