"""A store in tables of a PostgreSQL database, for any number of hosts.

Every call is one statement in a transaction of its own, which also tells those who LISTEN; the server's clock is the leases'.
"""

import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from dataclasses import replace
from typing import Any, LiteralString, Self, TypeVar

import psycopg
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from hitchpost.errors import BackendUnavailableError
from hitchpost.store.base import Change, Lease
from hitchpost.store.changes import ChangeFeed, ChangeFeeds
from hitchpost.store.config import PostgresStoreConfig
from hitchpost.store.deadlines import within
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
from hitchpost.store.postgres_tables import prepare_tables, table_names

IDLE_CHECK_S = 10.0
"""A feed that hears nothing for so long asks whether its connection still lives."""

GET = "SELECT value FROM {entries} WHERE namespace = %(namespace)s AND key = %(key)s"
SET = """INSERT INTO {entries} (namespace, key, value) VALUES (%(namespace)s, %(key)s, %(value)s)
    ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value"""
PUT_IF_ABSENT = """INSERT INTO {entries} (namespace, key, value) VALUES (%(namespace)s, %(key)s, %(value)s)
    ON CONFLICT DO NOTHING"""
COMPARE_AND_SET = """UPDATE {entries} SET value = %(value)s
    WHERE namespace = %(namespace)s AND key = %(key)s AND value = %(expected)s"""
DELETE = "DELETE FROM {entries} WHERE namespace = %(namespace)s AND key = %(key)s"
# Around a write: notifications go out when its transaction is committed. A payload may have 8,000 bytes, which namespace and key never reach.
AND_TELL = """WITH changed AS ({write} RETURNING key)
    SELECT pg_notify({channel}, %(namespace)s || ':' || key) FROM changed"""
# `before` is the size of the rows before; the first row comes whatever its own is.
PAGE = """SELECT key, value FROM (
    SELECT key, value, sum(octet_length(value)) OVER (ORDER BY key) - octet_length(value) AS before FROM (
        SELECT key, value FROM {entries} WHERE namespace = %(namespace)s AND key >= %(start)s AND key < %(end)s
        ORDER BY key LIMIT %(rows)s) AS page) AS sized
    WHERE before < %(bytes)s ORDER BY key"""
ACQUIRE = """INSERT INTO {leases} AS held (namespace, name, owner, token, expires_at)
    VALUES (%(namespace)s, %(name)s, %(owner)s, 1, clock_timestamp() + make_interval(secs => %(ttl_s)s))
    ON CONFLICT (namespace, name) DO UPDATE
    SET owner = excluded.owner, token = held.token + 1, expires_at = excluded.expires_at
    WHERE held.owner = excluded.owner OR held.expires_at <= clock_timestamp() RETURNING token"""
RENEW = """UPDATE {leases} SET expires_at = clock_timestamp() + make_interval(secs => %(ttl_s)s)
    WHERE namespace = %(namespace)s AND name = %(name)s AND token = %(token)s AND expires_at > clock_timestamp()
    RETURNING token"""

T = TypeVar("T")
Row = tuple[Any, ...]


class PostgresStore:
    """See `KeyValueStore`."""

    def __init__(self, config: PostgresStoreConfig) -> None:
        self._config = config
        self._place = f"the postgres store at {config.host}:{config.port}/{config.db}"
        self._namespace = config.namespace or ""
        self._names = table_names(config.table_name)
        self._connect_arguments: dict[str, Any] = {
            "host": config.host,
            "port": config.port,
            "dbname": config.db,
            "user": config.user,
            "password": config.password.get_secret_value() if config.password else None,
            "sslmode": config.ssl_mode,
            "sslrootcert": config.ssl_root_cert and str(config.ssl_root_cert),
            "application_name": "hitchpost",
            "client_encoding": "utf8",
            "autocommit": True,
            # Connection poolers give each transaction another connection, where no prepared statement is.
            "prepare_threshold": None,
        }
        self._pool = AsyncConnectionPool(
            kwargs=self._connect_arguments,
            min_size=1,
            max_size=config.max_connections,
            timeout=config.timeout_s,
            # Else every connection that a restart of the server has cut would fail somebody's call.
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        self._feeds = ChangeFeeds()
        self._is_closed = False

    @classmethod
    async def open(cls, config: PostgresStoreConfig) -> Self:
        """Connect, and make the tables where they are missing.

        Raises:
            ConfigError: the tables can't be made, are something else, or are of a newer version.
            BackendUnavailableError: the server can't be reached now, or refuses the credentials: libpq doesn't tell the two apart.
        """
        store = cls(config)
        # By itself first, since the pool would keep the reason of a failure to itself.
        connection = await store._in_time(store._connect())
        try:
            await store._in_time(prepare_tables(connection, config.table_name, store._place))
        finally:
            await connection.close()
        await store._pool.open()
        return store

    async def get(self, key: str) -> str | None:
        rows = await self._execute(GET, key=checked_key(key))
        return rows[0][0] if rows else None

    async def set(self, key: str, value: str) -> None:
        await self._write(SET, key=checked_key(key), value=checked_value(value))

    async def put_if_absent(self, key: str, value: str) -> bool:
        return await self._write(PUT_IF_ABSENT, key=checked_key(key), value=checked_value(value))

    async def compare_and_set(self, key: str, expected: str, new: str) -> bool:
        values = {"value": checked_value(new), "expected": checked_value(expected)}
        return await self._write(COMPARE_AND_SET, key=checked_key(key), **values)

    async def delete(self, key: str) -> bool:
        return await self._write(DELETE, key=checked_key(key))

    async def scan(self, prefix: str = "") -> AsyncGenerator[tuple[str, str], None]:
        start, end = checked_prefix(prefix), prefix_end(prefix)
        while page := await self._execute(PAGE, start=start, end=end, rows=PAGE_ROWS, bytes=PAGE_BYTES):
            for key, value in page:
                yield key, value
            start = key_after(page[-1][0])

    async def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        expires_at = time.monotonic() + checked_ttl(ttl_s)
        rows = await self._execute(ACQUIRE, name=checked_key(name), owner=checked_key(owner), ttl_s=ttl_s)
        return Lease(name=name, owner=owner, token=rows[0][0], ttl_s=ttl_s, expires_at=expires_at) if rows else None

    async def renew(self, lease: Lease) -> Lease | None:
        renewed = replace(lease, expires_at=time.monotonic() + lease.ttl_s)
        return renewed if await self._move_lease_end(lease, lease.ttl_s) else None

    async def release(self, lease: Lease) -> bool:
        return await self._move_lease_end(lease, 0)

    def changes(self, prefix: str = "") -> AsyncGenerator[Change, None]:
        self._check_open()
        return self._feeds.follow(checked_prefix(prefix), self._listen)

    async def health(self) -> None:
        await self._execute("SELECT 1 FROM {entries} LIMIT 1")

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._feeds.end()
            await self._pool.close(timeout=self._config.timeout_s)

    def _check_open(self) -> None:
        if self._is_closed:
            raise BackendUnavailableError("the store is closed", is_permanent=True)

    async def _connect(self) -> AsyncConnection[Row]:
        return await AsyncConnection.connect(**self._connect_arguments)

    async def _write(self, statement: LiteralString, **values: Any) -> bool:
        """Whether the statement changed the entry; if so, those who listen are told."""
        write = sql.SQL(statement).format(**self._names)
        return bool(await self._run(sql.SQL(AND_TELL).format(write=write, **self._names), values))

    async def _execute(self, statement: LiteralString, **values: Any) -> list[Row]:
        return await self._run(sql.SQL(statement).format(**self._names), values)

    async def _run(self, statement: sql.Composed, values: Mapping[str, Any]) -> list[Row]:
        self._check_open()
        return await self._in_time(self._on_pooled_connection(statement, {"namespace": self._namespace, **values}))

    async def _on_pooled_connection(self, statement: sql.Composed, values: Mapping[str, Any]) -> list[Row]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall()

    async def _in_time(self, call: Coroutine[Any, Any, T]) -> T:
        timeout_s = self._config.timeout_s
        try:
            return await within(timeout_s, call)
        except PoolTimeout as error:
            raise BackendUnavailableError(f"{self._place} gave no connection within {timeout_s:g} s") from error
        except TimeoutError as error:
            raise BackendUnavailableError(f"{self._place} did not answer within {timeout_s:g} s") from error
        except (psycopg.Error, PoolClosed, OSError) as error:
            raise BackendUnavailableError(f"{self._place} can't be used now: {_reason(error)}") from error

    async def _move_lease_end(self, lease: Lease, ttl_s: float) -> bool:
        """Whether the lease was still the owner's."""
        return bool(await self._execute(RENEW, name=checked_key(lease.name), token=lease.token, ttl_s=ttl_s))

    async def _listen(self, feed: ChangeFeed) -> None:
        connection = await self._in_time(self._connect())
        try:
            listen = sql.SQL("LISTEN {}").format(sql.Identifier(self._config.table_name))
            await self._in_time(connection.execute(listen))
            feed.resync()
            while True:
                await self._hear(connection, feed)
                await self._in_time(connection.execute("SELECT 1"))
        finally:
            await connection.close()

    async def _hear(self, connection: AsyncConnection[Row], feed: ChangeFeed) -> None:
        """Fill the feed, for a while."""
        try:
            async for notice in connection.notifies(timeout=IDLE_CHECK_S):
                namespace, _, key = notice.payload.partition(":")
                if namespace == self._namespace:
                    feed.add(key)
        except psycopg.Error as error:
            raise BackendUnavailableError(f"{self._place} can't be listened to now: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """An error on one line."""
    return " ".join(str(error).split())


__all__ = ["PostgresStore"]
