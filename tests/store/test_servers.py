"""Stores on real servers that refuse, fill up, fall silent, die and come back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from redis.asyncio import Redis

from hitchpost.errors import BackendUnavailableError, ConfigError
from hitchpost.store import KeyValueStore, open_store
from tests.servers import PostgresServer, RedisServer, Server
from tests.store.places import Place, keys_of, parse_config
from tests.store.reader import Reader

LIMIT_S = 20.0
SHORT_TIMEOUT_S = 0.5


@pytest.fixture(scope="module", params=["redis", "postgres"])
def mortal_server(request: pytest.FixtureRequest) -> Iterator[RedisServer | PostgresServer]:
    """A server that only the tests of this file use, and kill."""
    with RedisServer() if request.param == "redis" else PostgresServer() as server:
        yield server


@pytest.fixture
async def mortal_place(mortal_server: RedisServer | PostgresServer) -> AsyncIterator[Place]:
    """An empty place on it."""
    if mortal_server.process is None:
        mortal_server.start()
    place = Place(mortal_server.config(namespace=f"n{uuid4().hex}", timeout_s=2))
    yield place
    await place.close()


async def until_it_answers(store: KeyValueStore) -> None:
    """Wait until the store is well again."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                await store.health()
            except BackendUnavailableError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_dead_server_is_a_clear_error_and_the_store_recovers(mortal_server: Server, mortal_place: Place) -> None:
    store = await mortal_place.open()
    await store.set("kept", "value")

    mortal_server.kill()
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(BackendUnavailableError, match=f"127.0.0.1:{mortal_server.port}"):
            await store.get("kept")
        with pytest.raises(BackendUnavailableError, match=f"127.0.0.1:{mortal_server.port}"):
            await store.set("lost", "value")
    mortal_server.start()
    await until_it_answers(store)

    assert await store.get("kept") == "value"
    assert await store.put_if_absent("lost", "value")


async def test_server_killed_in_the_middle_of_writes_keeps_those_acknowledged(
    mortal_server: Server, mortal_place: Place
) -> None:
    store = await mortal_place.open()
    acknowledged = []

    async def write_until_it_fails() -> None:
        for number in range(100_000):
            await store.set(f"k{number:06}", f"{number} " * 1000)
            acknowledged.append(f"k{number:06}")

    writing = asyncio.create_task(write_until_it_fails())
    async with asyncio.timeout(LIMIT_S):
        while len(acknowledged) < 50:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(mortal_server.kill)
    with pytest.raises(BackendUnavailableError):
        await asyncio.wait_for(writing, LIMIT_S)
    mortal_server.start()
    await until_it_answers(store)

    entries = {key: value async for key, value in store.scan("k")}
    assert set(acknowledged) <= set(entries)
    assert all(value == f"{int(key[1:])} " * 1000 for key, value in entries.items())


async def test_reader_scans_again_after_the_server_was_away(mortal_server: Server, mortal_place: Place) -> None:
    store, other = await mortal_place.open(), await mortal_place.open()
    await other.set("before", "1")

    async with Reader(store) as reader:
        resyncs = reader.resyncs
        await asyncio.to_thread(mortal_server.kill)
        await asyncio.to_thread(mortal_server.start)
        await until_it_answers(other)
        await other.set("after", "2")

        await reader.until(lambda: reader.known == {"before": "1", "after": "2"})
        assert reader.resyncs > resyncs
        await other.delete("before")
        await reader.until(lambda: reader.known == {"after": "2"})


async def test_silent_server_is_given_up_in_time(mortal_server: Server, mortal_place: Place) -> None:
    store = await mortal_place.open(timeout_s=SHORT_TIMEOUT_S)
    await store.set("key", "value")

    mortal_server.freeze()
    try:
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(BackendUnavailableError, match=r"0.5 s"):
                await store.get("key")
            with pytest.raises(BackendUnavailableError, match=r"0.5 s"):
                await store.set("key", "other")
    finally:
        mortal_server.thaw()
    await until_it_answers(store)

    assert await store.get("key") in ("value", "other")


async def test_store_is_closed_before_a_silent_server(mortal_server: Server, mortal_place: Place) -> None:
    store = await mortal_place.open()

    async with Reader(store) as reader:
        mortal_server.freeze()
        try:
            async with asyncio.timeout(LIMIT_S):
                await store.close()
                await reader.task
        finally:
            mortal_server.thaw()


async def test_caller_who_goes_away_need_not_wait_for_a_silent_server(
    mortal_server: Server, mortal_place: Place
) -> None:
    store = await mortal_place.open(timeout_s=60)

    mortal_server.freeze()
    try:
        async with asyncio.timeout(LIMIT_S):
            call = asyncio.create_task(store.get("key"))
            await asyncio.wait({call}, timeout=0.2)
            call.cancel()
            await asyncio.wait({call})
    finally:
        mortal_server.thaw()

    assert call.cancelled()
    assert await store.get("key") is None


async def test_reader_notices_a_connection_that_has_fallen_silent(
    mortal_server: Server, mortal_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"hitchpost.store.{mortal_place.config['type']}.IDLE_CHECK_S", 0.2)
    store = await mortal_place.open(timeout_s=SHORT_TIMEOUT_S)

    async with Reader(store) as reader:
        mortal_server.freeze()
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2):
                    await reader.until(lambda: False)
        finally:
            mortal_server.thaw()

        await reader.until(lambda: reader.resyncs > 1)


async def test_reader_is_undisturbed_by_silence_of_others(mortal_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"hitchpost.store.{mortal_place.config['type']}.IDLE_CHECK_S", 0.05)
    store = await mortal_place.open()

    async with Reader(store) as reader:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await reader.until(lambda: reader.resyncs > 1)
        await store.set("key", "value")
        await reader.until(lambda: reader.known == {"key": "value"})

    assert reader.told == ["key"]


async def test_store_whose_server_is_away_is_not_opened(mortal_server: Server, mortal_place: Place) -> None:
    mortal_server.kill()

    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(BackendUnavailableError, match=f"127.0.0.1:{mortal_server.port}"):
            await mortal_place.open()


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_wrong_password_is_refused_and_not_repeated(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(f"{kind}_server")

    with pytest.raises((ConfigError, BackendUnavailableError), match="password") as refused:
        await open_store(parse_config(server.config(password="open sesame")))

    assert "sesame" not in refused.value.message


@pytest.fixture(scope="module", params=["redis", "postgres"])
def tls_server(request: pytest.FixtureRequest) -> Iterator[RedisServer | PostgresServer]:
    """A server that speaks TLS as localhost, with a certificate that nobody else has signed."""
    with RedisServer(tls=True) if request.param == "redis" else PostgresServer(tls=True) as server:
        yield server


def tls_config(server: RedisServer | PostgresServer, trusted: Path | None, host: str = "localhost") -> Any:
    fields: dict[str, Any] = {"tls": True, "tls_ca_file": trusted}
    if isinstance(server, PostgresServer):
        fields = {"ssl_mode": "verify-full", "ssl_root_cert": trusted}
    return parse_config(server.config(**{**fields, "host": host}))


async def test_store_is_reached_by_tls(tls_server: RedisServer | PostgresServer) -> None:
    store = await open_store(tls_config(tls_server, tls_server.certificate))

    async with Reader(store) as reader:
        await store.set("key", "value")
        await reader.until(lambda: reader.known == {"key": "value"})

    await store.close()


@pytest.mark.parametrize(("host", "is_trusted"), [("127.0.0.1", True), ("localhost", False)])
async def test_server_that_cannot_be_trusted_is_not_used(
    tls_server: RedisServer | PostgresServer, host: str, is_trusted: bool
) -> None:
    with pytest.raises(BackendUnavailableError, match=r"(?i)certificate"):
        await open_store(tls_config(tls_server, tls_server.certificate if is_trusted else None, host))


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """A client of the shared server."""
    async with Redis(port=redis_server.port, password=redis_server.password, decode_responses=True) as client:
        yield client


async def test_redis_namespace_of_a_newer_version_is_refused(redis_server: RedisServer, redis: Redis) -> None:
    await redis.set("{hitchpost:newer}:format", "2")

    with pytest.raises(ConfigError, match="in format 2") as refused:
        await open_store(parse_config(redis_server.config(namespace="newer")))

    assert "It was left as it is" in refused.value.message
    assert await redis.get("{hitchpost:newer}:format") == "2"


async def test_redis_namespace_that_is_something_elses_is_refused(redis_server: RedisServer, redis: Redis) -> None:
    await redis.set("{hitchpost:theirs}:values", "not ours")

    with pytest.raises(ConfigError, match="in format unknown"):
        await open_store(parse_config(redis_server.config(namespace="theirs")))

    assert await redis.get("{hitchpost:theirs}:values") == "not ours"
    assert await redis.get("{hitchpost:theirs}:format") is None


@pytest.fixture
async def own_redis() -> AsyncIterator[tuple[RedisServer, Redis]]:
    """A server whose settings a test may change, and a client of it."""
    with RedisServer() as server:
        async with Redis(port=server.port, password=server.password) as client:
            yield server, client


async def test_redis_that_may_throw_entries_away_is_refused(own_redis: tuple[RedisServer, Redis]) -> None:
    server, client = own_redis
    await client.config_set("maxmemory", "100mb")
    await client.config_set("maxmemory-policy", "allkeys-lru")

    with pytest.raises(ConfigError, match="maxmemory-policy allkeys-lru"):
        await open_store(parse_config(server.config()))


async def test_full_redis_is_a_clear_error_and_stays_readable(own_redis: tuple[RedisServer, Redis]) -> None:
    server, client = own_redis
    store = await open_store(parse_config(server.config()))
    await store.set("before", "here")
    await client.config_set("maxmemory", "1")

    with pytest.raises(BackendUnavailableError, match="maxmemory"):
        await store.set("too much", "x" * 1000)
    before = await store.get("before")
    keys = await keys_of(store)
    await client.config_set("maxmemory", "0")
    await store.set("after", "fits")

    await store.close()
    assert before == "here"
    assert keys == ["before"]


async def test_redis_user_without_rights_is_refused(own_redis: tuple[RedisServer, Redis]) -> None:
    server, client = own_redis
    await client.acl_setuser("guest", enabled=True, passwords=["+guest"], commands=["+ping", "+auth", "+client"])

    with pytest.raises(ConfigError, match="does not let this user in"):
        await open_store(parse_config(server.config(username="guest", password="guest")))


@pytest.fixture
async def postgres(postgres_server: PostgresServer) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection to the shared server."""
    connection = await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=postgres_server.port,
        dbname="postgres",
        user="hitchpost",
        password=postgres_server.password,
        autocommit=True,
    )
    yield connection
    await connection.close()


async def value_in(connection: psycopg.AsyncConnection[Any], query: str) -> Any:
    cursor = await connection.execute(query.encode())
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def test_postgres_tables_of_a_newer_version_are_refused(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    config = parse_config(postgres_server.config(table_name="newer"))
    await (await open_store(config)).close()
    await postgres.execute("UPDATE newer_format SET version = 2")

    with pytest.raises(ConfigError, match="in format 2"):
        await open_store(config)

    assert await value_in(postgres, "SELECT version FROM newer_format") == 2


async def test_postgres_tables_that_are_something_elses_are_refused(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    await postgres.execute("CREATE TABLE theirs_entries AS SELECT 'not ours' AS text")

    with pytest.raises(ConfigError, match="name another `table_name`"):
        await open_store(parse_config(postgres_server.config(table_name="theirs")))

    assert await value_in(postgres, "SELECT text FROM theirs_entries") == "not ours"
    assert await value_in(postgres, "SELECT to_regclass('theirs_format') IS NULL")


async def test_postgres_table_that_is_gone_is_refused(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    config = parse_config(postgres_server.config(table_name="half"))
    await (await open_store(config)).close()
    await postgres.execute("DROP TABLE half_leases")

    with pytest.raises(ConfigError, match="half_leases"):
        await open_store(config)


async def test_postgres_user_who_may_not_make_tables_is_refused(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    await postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")

    with pytest.raises(ConfigError, match="permission denied"):
        await open_store(parse_config(postgres_server.config(user="guest", password="guest", table_name="guests")))


async def test_postgres_table_of_llama_stack_is_left_alone(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    await postgres.execute(
        "CREATE TABLE llamastack_kvstore (key TEXT PRIMARY KEY, value TEXT, expiration TIMESTAMP);"
        "INSERT INTO llamastack_kvstore VALUES ('old', 'entry', NULL)"
    )

    store = await open_store(parse_config(postgres_server.config()))
    await store.set("key", "value")
    keys = await keys_of(store)
    await store.close()

    assert keys == ["key"]
    assert await value_in(postgres, "SELECT key FROM llamastack_kvstore") == "old"


async def test_hosts_that_start_together_make_the_tables_once(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    config = parse_config(postgres_server.config(table_name="together"))

    stores = await asyncio.gather(*(open_store(config) for _ in range(8)))
    for store in stores:
        await store.close()

    assert await value_in(postgres, "SELECT count(*) FROM together_format") == 1


async def test_more_callers_than_connections_take_turns(postgres_server: PostgresServer) -> None:
    store = await open_store(parse_config(postgres_server.config(table_name="turns", max_connections=1)))

    await asyncio.gather(*(store.set(f"k{number:03}", "x") for number in range(100)))

    assert len(await keys_of(store)) == 100
    await store.close()


async def test_locked_table_is_given_up_in_time(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    config = parse_config(postgres_server.config(table_name="locked", timeout_s=SHORT_TIMEOUT_S))
    store = await open_store(config)

    async with asyncio.timeout(LIMIT_S), postgres.transaction():
        await postgres.execute("LOCK TABLE locked_entries")
        with pytest.raises(BackendUnavailableError, match="did not answer within"):
            await store.set("key", "value")
    await store.set("key", "other")

    assert await store.get("key") == "other"
    await store.close()


async def test_settings_of_the_database_do_not_change_the_order(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    await postgres.execute(
        "CREATE DATABASE german TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de'"
    )
    store = await open_store(parse_config(postgres_server.config(db="german")))

    for key in ("a", "B", "_", "ä", "A:b", "Ab"):
        await store.set(key, "x")

    assert await keys_of(store) == ["A:b", "Ab", "B", "_", "a", "ä"]
    await store.close()


async def test_database_that_is_not_in_utf8_is_refused(
    postgres_server: PostgresServer, postgres: psycopg.AsyncConnection[Any]
) -> None:
    await postgres.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")

    with pytest.raises(ConfigError, match="LATIN1"):
        await open_store(parse_config(postgres_server.config(db="latin")))
