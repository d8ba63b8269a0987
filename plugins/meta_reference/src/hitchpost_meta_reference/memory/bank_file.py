"""The file of a bank: made when it is missing, checked when it is there, never overwritten, and its connections."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hitchpost.errors import BackendUnavailableError, HitchpostError, quoted
from hitchpost_meta_reference.memory.file_problems import file_problem
from hitchpost_meta_reference.memory.tables import TABLES

APPLICATION_ID = 0x48504D42
"""`HPMB`, in the file's header."""
FORMAT_VERSION = 1
"""The header's user version."""
PAGE_BYTES = 8192
"""Five vectors of 384 numbers fill such a page to 94 percent; of the default size two fill 75."""
BUSY_TIMEOUT_S = 5.0
MAX_CHECKED_BYTES = 16 * 1024 * 1024
"""Files up to this size are read through when they are opened; damage in larger ones shows when it is met."""
SHORTEST_BYTES = 512
"""One page of the smallest size that SQLite knows: it takes a shorter file for an empty one, and writes over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankHeader:
    """What a bank is, as it stands in its file."""

    name: str
    """The provider's name for it."""
    bank_type: str
    embedding_model: str | None = None
    """Of a vector bank: the identifier of the model that made its vectors."""
    dimension: int | None = None
    """Of a vector bank: numbers in each of its vectors."""


def bank_path(folder: Path, name: str) -> Path:
    """Where the bank of a name lies: a readable beginning, and a digest that no other name has."""
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return folder / f"{readable or 'bank'}-{digest}.sqlite"


class BankFile:
    """An open file. One thread at a time writes; others read beside it, each what was committed when it began.

    Args:
        path: see `bank_path`.
        header: makes the file where it is missing; None: it must be there.

    Raises:
        BackendUnavailableError: the file is missing, damaged, something else or of a newer version, or can't be read now.
    """

    def __init__(self, path: Path, name: str, header: BankHeader | None = None) -> None:
        self.path = path
        self.name = name
        self._readers: list[sqlite3.Connection] = []
        self._is_closed = False
        with self.problems_named():
            self._writer = self._opened(header)

    @contextmanager
    def problems_named(self) -> Iterator[None]:
        """Raises what SQLite raises as an error that names the bank and says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise file_problem(error, self.name, self.path.name) from error
        except UnicodeEncodeError as error:
            raise self._refusal("a text holds half of a surrogate pair, which no file can keep") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, on disk when this ends; nothing of it happened when it raises. For one thread at a time."""
        with self.problems_named():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the bank from its first statement to its end."""
        with self.problems_named():
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = self._connection()
                reader.execute("PRAGMA query_only = ON")
            try:
                reader.execute("BEGIN")
                yield reader
            finally:
                if reader.in_transaction:
                    reader.execute("ROLLBACK")
                self._readers.append(reader)

    def truncate_log(self) -> bool:
        """Move the write-ahead log into the file and empty it; False where readers kept it from being emptied. For the writing thread."""
        with self.problems_named():
            (busy, _, _) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

    def size_bytes(self) -> int:
        """What it takes on disk."""
        return sum(path.stat().st_size for path in self._paths() if path.exists())

    def close(self) -> None:
        """Close all connections; none may be in use."""
        for connection in (*self._readers, self._writer):
            connection.close()
        self._readers.clear()

    def delete(self) -> None:
        """Close the file and delete it."""
        self.close()
        delete_bank_files(self.path)

    def _opened(self, header: BankHeader | None) -> sqlite3.Connection:
        is_new = not self.path.exists()
        if is_new:
            if header is None:
                raise self._refusal("its file is missing; register the bank again")
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A log that a deleted file left behind would be played into the new one.
            delete_bank_files(self.path)
            self.path.touch(mode=0o600)
        elif 0 < self.path.stat().st_size < SHORTEST_BYTES:
            raise self._refusal("its file is no SQLite database")
        connection = self._connection()
        try:
            self._prepare(connection, header)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection, header: BankHeader | None) -> None:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (table_count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        is_ours = application_id == APPLICATION_ID
        if is_ours and version != FORMAT_VERSION:
            raise self._refusal(
                f"its file has format {version}, and this version reads format {FORMAT_VERSION}; run the version that wrote it"
            )
        if not is_ours and (application_id or version or table_count):
            raise self._refusal("its file is the database of something else")
        connection.execute("PRAGMA journal_mode = WAL")
        # Each commit is on disk before it is acknowledged, also when the power fails.
        connection.execute("PRAGMA synchronous = FULL")
        if not is_ours:
            if header is None:
                raise self._refusal("its file is empty; register the bank again")
            _make(connection, header)
        elif self.path.stat().st_size <= MAX_CHECKED_BYTES:
            (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if finding != "ok":
                raise self._refusal("its file is damaged")
        # What a host that was killed left in the log may have been deleted since.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.execute("SELECT generation FROM bank").fetchone()

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    def _refusal(self, reason: str) -> HitchpostError:
        return BackendUnavailableError(
            f"memory bank {quoted(self.name)} can't be served: {reason}. Nothing was changed: restore {self.path.name} in the "
            "provider's folder from a backup, or move it away to begin with an empty bank",
            is_permanent=True,
        )

    def _paths(self) -> tuple[Path, ...]:
        return (self.path, *_companions(self.path))


def _companions(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def delete_bank_files(path: Path) -> None:
    """Delete a bank's file and what SQLite keeps beside it; what is not there is passed over."""
    # The log goes first: without its file it would be played into the next one of the name.
    for part in (*_companions(path), path):
        part.unlink(missing_ok=True)


def _make(connection: sqlite3.Connection, header: BankHeader) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO bank (name, bank_type, embedding_model, dimension) VALUES (?, ?, ?, ?)",
        (header.name, header.bank_type, header.embedding_model, header.dimension),
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")


__all__ = ["BankFile", "BankHeader", "bank_path", "delete_bank_files"]
