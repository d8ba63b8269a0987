"""A store in one SQLite file, for the processes of one machine.

All statements run in one thread of the store's own, each in a transaction of its own (WAL, synchronous=FULL): what was acknowledged is on the
disk. Other processes' writes are noticed by polling `PRAGMA data_version`, which doesn't say what they wrote.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from hitchpost.errors import BackendUnavailableError
from hitchpost.store.base import Change, Lease
from hitchpost.store.changes import ChangeFeed, ChangeFeeds
from hitchpost.store.keys import (
    PAGE_BYTES,
    PAGE_ROWS,
    checked_key,
    checked_prefix,
    checked_ttl,
    checked_value,
    key_after,
    prefix_end,
)
from hitchpost.store.sqlite_file import open_database, while_running

POLL_S = 0.5
"""How often a feed looks for what other processes have written."""

Row = tuple[Any, ...]
Values = Row | Mapping[str, Any]
T = TypeVar("T")
log = logging.getLogger(__name__)


class SqliteStore:
    """See `KeyValueStore`."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, path: Path, namespace: str) -> None:
        self._connection = connection
        self._thread = thread
        self._path = path
        self._namespace = namespace
        self._feeds = ChangeFeeds()
        self._is_closed = False
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, path: Path, namespace: str) -> Self:
        """Open the file, or make it.

        Raises:
            ConfigError: the file can't be used as a store.
            BackendUnavailableError: it can't be used now.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"store {path.name}")
        opening = asyncio.get_running_loop().run_in_executor(thread, open_database, path)
        try:
            # Shielded, so that a caller who goes away leaves no connection behind that nobody closes.
            connection = await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(lambda done: _close_late(done, thread))
            raise
        return cls(connection, thread, path, namespace)

    async def get(self, key: str) -> str | None:
        row = await self._row(
            "SELECT value FROM hitchpost_entries WHERE namespace = ? AND key = ?", (self._namespace, checked_key(key))
        )
        return row[0] if row else None

    async def set(self, key: str, value: str) -> None:
        await self._write(
            key,
            """INSERT INTO hitchpost_entries (namespace, key, value) VALUES (?, ?, ?)
            ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value""",
            (self._namespace, checked_key(key), checked_value(value)),
        )

    async def put_if_absent(self, key: str, value: str) -> bool:
        return await self._write(
            key,
            "INSERT INTO hitchpost_entries (namespace, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (self._namespace, checked_key(key), checked_value(value)),
        )

    async def compare_and_set(self, key: str, expected: str, new: str) -> bool:
        return await self._write(
            key,
            "UPDATE hitchpost_entries SET value = ? WHERE namespace = ? AND key = ? AND value = ?",
            (checked_value(new), self._namespace, checked_key(key), checked_value(expected)),
        )

    async def delete(self, key: str) -> bool:
        return await self._write(
            key,
            "DELETE FROM hitchpost_entries WHERE namespace = ? AND key = ?",
            (self._namespace, checked_key(key)),
        )

    async def scan(self, prefix: str = "") -> AsyncGenerator[tuple[str, str], None]:
        start, end = checked_prefix(prefix), prefix_end(prefix)
        while page := await self._in_thread(partial(self._page, start, end)):
            for entry in page:
                yield entry
            start = key_after(page[-1][0])

    async def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        now = time.monotonic()
        expires_at = now + checked_ttl(ttl_s)
        # This clock is one for all processes of the machine and never set. It starts anew with the machine, whereupon nobody holds anything:
        # then what was written before seems to have more time left than it was ever given.
        row = await self._row(
            """INSERT INTO hitchpost_leases AS held (namespace, name, owner, token, ttl_s, expires_at)
            VALUES (:namespace, :name, :owner, 1, :ttl_s, :expires_at)
            ON CONFLICT (namespace, name) DO UPDATE
            SET owner = excluded.owner, token = held.token + 1, ttl_s = excluded.ttl_s, expires_at = excluded.expires_at
            WHERE held.owner = excluded.owner OR held.expires_at <= :now OR held.expires_at - :now > held.ttl_s + 1
            RETURNING token""",
            {
                "namespace": self._namespace,
                "name": checked_key(name),
                "owner": checked_key(owner),
                "ttl_s": ttl_s,
                "now": now,
                "expires_at": expires_at,
            },
        )
        return Lease(name=name, owner=owner, token=row[0], ttl_s=ttl_s, expires_at=expires_at) if row else None

    async def renew(self, lease: Lease) -> Lease | None:
        renewed = replace(lease, expires_at=time.monotonic() + lease.ttl_s)
        return renewed if await self._move_lease_end(lease, renewed.expires_at) else None

    async def release(self, lease: Lease) -> bool:
        return await self._move_lease_end(lease, 0.0)

    def changes(self, prefix: str = "") -> AsyncGenerator[Change, None]:
        self._check_open()
        return self._feeds.follow(checked_prefix(prefix), self._listen)

    async def health(self) -> None:
        await self._row("SELECT count(*) FROM (SELECT 1 FROM hitchpost_entries LIMIT 1)", ())

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._feeds.end()
            # In the store's thread, behind whatever it still has to do.
            last = self._loop.run_in_executor(self._thread, self._connection.close)
            self._thread.shutdown(wait=False)
            await asyncio.shield(last)

    def _check_open(self) -> None:
        if self._is_closed:
            raise BackendUnavailableError("the store is closed", is_permanent=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        self._check_open()
        try:
            return await self._loop.run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            log.error("store file %s: %s", self._path, error)
            raise while_running(error) from error

    async def _row(self, statement: str, values: Values) -> Row | None:
        # All rows are fetched, even of one, since that is what ends the statement and its transaction.
        rows: list[Row] = await self._in_thread(lambda: self._connection.execute(statement, values).fetchall())
        return rows[0] if rows else None

    async def _write(self, key: str, statement: str, values: Values) -> bool:
        """Whether the statement changed the entry; if so, the feeds are told, also when the caller has gone away meanwhile."""

        def write() -> bool:
            is_changed = self._connection.execute(statement, values).rowcount > 0
            if is_changed:
                self._loop.call_soon_threadsafe(self._feeds.add, key)
            return is_changed

        return await self._in_thread(write)

    def _page(self, start: str, end: str) -> list[tuple[str, str]]:
        rows = self._connection.execute(
            "SELECT key, value FROM hitchpost_entries WHERE namespace = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?",
            (self._namespace, start, end, PAGE_ROWS),
        )
        page, size = [], 0
        with closing(rows):
            for key, value in rows:
                page.append((key, value))
                size += len(value)
                if size >= PAGE_BYTES:
                    break
        return page

    async def _move_lease_end(self, lease: Lease, expires_at: float) -> bool:
        """Whether the lease was still the owner's."""
        row = await self._row(
            """UPDATE hitchpost_leases SET expires_at = ?
            WHERE namespace = ? AND name = ? AND token = ? AND expires_at > ? RETURNING token""",
            (expires_at, self._namespace, checked_key(lease.name), lease.token, time.monotonic()),
        )
        return row is not None

    async def _listen(self, feed: ChangeFeed) -> None:
        seen = await self._row("PRAGMA data_version", ())
        feed.resync()
        while True:
            await asyncio.sleep(POLL_S)
            now = await self._row("PRAGMA data_version", ())
            if now != seen:
                seen = now
                feed.resync()


def _close_late(opening: asyncio.Future[sqlite3.Connection], thread: ThreadPoolExecutor) -> None:
    """After a failed or abandoned opening: close what it opened, if anything, and end the thread."""
    if not opening.cancelled() and opening.exception() is None:
        thread.submit(opening.result().close)
    thread.shutdown(wait=False)


__all__ = ["SqliteStore"]
