"""The tables of a PostgreSQL store: made when they are missing, checked when they are there, and never overwritten."""

from typing import Any

from psycopg import AsyncConnection, errors, sql

from hitchpost.errors import ConfigError

FORMAT_VERSION = 1

# Collation C orders by code point, whatever the database's own does.
TABLES = (
    'CREATE TABLE {entries} (namespace text COLLATE "C", key text COLLATE "C", value text NOT NULL, PRIMARY KEY (namespace, key))',
    """CREATE TABLE {leases} (namespace text COLLATE "C", name text COLLATE "C", owner text NOT NULL, token bigint NOT NULL,
        expires_at timestamptz NOT NULL, PRIMARY KEY (namespace, name))""",
    "CREATE TABLE {format} (version integer NOT NULL)",
)


def table_names(table_name: str) -> dict[str, sql.Composable]:
    """What the placeholders of statements stand for."""
    tables = {part: sql.Identifier(f"{table_name}_{part}") for part in ("entries", "leases", "format")}
    return {**tables, "channel": sql.Literal(table_name)}


async def prepare_tables(connection: AsyncConnection[tuple[Any, ...]], table_name: str, place: str) -> None:
    """Make the tables, or see that they are there in the format of this version.

    Raises:
        ConfigError: they can't be made, are something else, or are of another version.
    """
    names = table_names(table_name)
    try:
        (encoding,) = await _row(connection, sql.SQL("SHOW server_encoding"))
        if encoding != "UTF8":
            raise ConfigError(f"{place} is a database in {encoding}: make one in UTF8")
        async with connection.transaction():
            # Two hosts that start at the same moment would both find nothing.
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"hitchpost {table_name}"]
            )
            if not await _is_there(connection, f"{table_name}_format"):
                if await _is_there(connection, f"{table_name}_entries"):
                    raise ConfigError(
                        f"{place} has a table {table_name}_entries that is not a store's: name another `table_name`"
                    )
                for statement in TABLES:
                    await connection.execute(sql.SQL(statement).format(**names))
                await connection.execute(sql.SQL("INSERT INTO {format} VALUES (%s)").format(**names), [FORMAT_VERSION])
        (version,) = await _row(connection, sql.SQL("SELECT max(version) FROM {format}").format(**names))
        await connection.execute(sql.SQL("SELECT value FROM {entries} LIMIT 0").format(**names))
        await connection.execute(sql.SQL("SELECT expires_at FROM {leases} LIMIT 0").format(**names))
    except (errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedColumn) as error:
        raise ConfigError(f"{place} can't be used as a store: {error.diag.message_primary}") from error
    if version != FORMAT_VERSION:
        raise ConfigError(
            f"{place} has the tables {table_name}_* in format {version}, and this version of Hitchpost reads format "
            f"{FORMAT_VERSION}: run the version that wrote them, or name another `table_name`. They were left as they are."
        )


async def _is_there(connection: AsyncConnection[tuple[Any, ...]], table: str) -> bool:
    cursor = await connection.execute("SELECT to_regclass(quote_ident(%s)) IS NOT NULL", [table])
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def _row(connection: AsyncConnection[tuple[Any, ...]], statement: sql.SQL | sql.Composed) -> tuple[Any, ...]:
    cursor = await connection.execute(statement)
    return await cursor.fetchone() or (None,)


__all__ = ["FORMAT_VERSION", "prepare_tables", "table_names"]
