"""A store on a Redis server, for any number of hosts.

A namespace is one hash of values, one sorted set of their keys (Redis can't list a hash in order), one hash of leases and one channel; the
names share a hash tag, so that a cluster keeps them together. What must happen at once is a script, which Redis runs alone.
Keys are told on the channel of our own, since keyspace notifications are off by default and belong to the whole server.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Self, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from hitchpost.errors import BackendUnavailableError, ConfigError
from hitchpost.store.base import Change, Lease
from hitchpost.store.changes import ChangeFeed, ChangeFeeds
from hitchpost.store.config import RedisStoreConfig
from hitchpost.store.deadlines import within
from hitchpost.store.keys import (
    PAGE_BYTES,
    PAGE_ROWS,
    checked_key,
    checked_prefix,
    checked_ttl,
    checked_value,
)

FORMAT_VERSION = "1"
MAX_CONNECTIONS = 8
"""Connections of one store, beside the one that each of its feeds has."""
IDLE_CHECK_S = 10.0
"""A feed that hears nothing for so long asks whether its connection still lives."""

# KEYS: values, keys, channel. ARGV: key, value ...
SET = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('PUBLISH', KEYS[3], ARGV[1])
return 1"""
PUT_IF_ABSENT = f"if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end {SET}"
COMPARE_AND_SET = f"if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then return 0 end {SET}"
DELETE = """
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', KEYS[3], ARGV[1])
return 1"""
# ARGV: lowest, highest, rows, bytes. Answers key, value, key, value ...
PAGE = """
local page, size = {}, 0
for _, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])) do
  local value = redis.call('HGET', KEYS[1], key)
  page[#page + 1], page[#page + 2] = key, value
  size = size + #value
  if size >= tonumber(ARGV[4]) then break end
end
return page"""
# A lease is `token expires_at_ms owner`. KEYS: leases.
_READ_LEASE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local token, expires_at, owner = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '0 0 ', '^(%d+) (%d+) (.*)$')
token, expires_at = tonumber(token), tonumber(expires_at)"""
# ARGV: name, owner, ttl_ms. Answers the token, 0 where it is another's.
ACQUIRE = f"""{_READ_LEASE}
if expires_at > now and owner ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %s', token + 1, now + ARGV[3], ARGV[2]))
return token + 1"""
# ARGV: name, token, ttl_ms. Answers 1, or 0 where it isn't the owner's any more.
RENEW = f"""{_READ_LEASE}
if token ~= tonumber(ARGV[2]) or expires_at <= now then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %s', token, now + ARGV[3], owner))
return 1"""

# KEYS: format, values. ARGV: the version of a new namespace. Answers the version that is there.
CLAIM = """
local version = redis.call('GET', KEYS[1])
if version then return version end
if redis.call('EXISTS', KEYS[2]) == 1 then return 'unknown' end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]"""

T = TypeVar("T")


class RedisStore:
    """See `KeyValueStore`."""

    def __init__(self, config: RedisStoreConfig) -> None:
        self._config = config
        self._place = f"the redis store at {config.host}:{config.port}"
        name = f"{{hitchpost:{config.namespace}}}" if config.namespace else "{hitchpost}"
        self._values, self._leases, self._channel = f"{name}:values", f"{name}:leases", f"{name}:changes"
        self._entry_keys = [self._values, f"{name}:keys", self._channel]
        self._format = f"{name}:format"
        self._feeds = ChangeFeeds()
        self._is_closed = False
        self._redis = self._client(MAX_CONNECTIONS)
        script = self._redis.register_script
        self._set, self._put_if_absent = script(SET), script(PUT_IF_ABSENT)
        self._compare_and_set, self._delete, self._page = script(COMPARE_AND_SET), script(DELETE), script(PAGE)
        self._acquire, self._renew = script(ACQUIRE), script(RENEW)

    @classmethod
    async def open(cls, config: RedisStoreConfig) -> Self:
        """Connect, and mark an empty namespace as ours.

        Raises:
            ConfigError: the server refuses the credentials or may throw entries away, or the namespace is of a newer version.
            BackendUnavailableError: it can't be reached now.
        """
        store = cls(config)
        try:
            await store._check_server()
            await store._check_format()
        except BaseException:
            await store.close()
            raise
        return store

    async def get(self, key: str) -> str | None:
        value: str | None = await self._call(self._redis.hget, self._values, checked_key(key))
        return value

    async def set(self, key: str, value: str) -> None:
        await self._run(self._set, checked_key(key), checked_value(value))

    async def put_if_absent(self, key: str, value: str) -> bool:
        return bool(await self._run(self._put_if_absent, checked_key(key), checked_value(value)) == 1)

    async def compare_and_set(self, key: str, expected: str, new: str) -> bool:
        values = checked_value(new), checked_value(expected)
        return bool(await self._run(self._compare_and_set, checked_key(key), *values) == 1)

    async def delete(self, key: str) -> bool:
        return bool(await self._run(self._delete, checked_key(key)) == 1)

    async def scan(self, prefix: str = "") -> AsyncGenerator[tuple[str, str], None]:
        lowest = f"[{checked_prefix(prefix)}" if prefix else "-"
        # No UTF-8 text has this byte, so it is above all that starts with the prefix.
        highest = b"(" + prefix.encode() + b"\xff"
        while page := await self._run(self._page, lowest, highest, PAGE_ROWS, PAGE_BYTES):
            for entry in zip(page[::2], page[1::2], strict=True):
                yield entry
            lowest = f"({page[-2]}"

    async def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        expires_at = time.monotonic() + checked_ttl(ttl_s)
        arguments = checked_key(name), checked_key(owner), _milliseconds(ttl_s)
        token: int = await self._call(self._acquire, keys=[self._leases], args=arguments)
        return Lease(name=name, owner=owner, token=token, ttl_s=ttl_s, expires_at=expires_at) if token else None

    async def renew(self, lease: Lease) -> Lease | None:
        renewed = replace(lease, expires_at=time.monotonic() + lease.ttl_s)
        return renewed if await self._move_lease_end(lease, _milliseconds(lease.ttl_s)) else None

    async def release(self, lease: Lease) -> bool:
        return await self._move_lease_end(lease, 0)

    def changes(self, prefix: str = "") -> AsyncGenerator[Change, None]:
        self._check_open()
        return self._feeds.follow(checked_prefix(prefix), self._listen)

    async def health(self) -> None:
        await self._call(self._redis.exists, self._format)

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._feeds.end()
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()

    def _check_open(self) -> None:
        if self._is_closed:
            raise BackendUnavailableError("the store is closed", is_permanent=True)

    def _client(self, max_connections: int) -> Redis:
        config = self._config
        tls: dict[str, Any] = {
            "connection_class": SSLConnection,
            "ssl_ca_certs": config.tls_ca_file and str(config.tls_ca_file),
            # Said though they are defaults: they were not always.
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
        }
        pool = BlockingConnectionPool(
            max_connections=max_connections,
            timeout=config.timeout_s,
            host=config.host,
            port=config.port,
            db=config.db,
            username=config.username,
            password=config.password.get_secret_value() if config.password else None,
            socket_timeout=config.timeout_s,
            socket_connect_timeout=config.timeout_s,
            protocol=2,
            decode_responses=True,
            # A write whose answer was lost may have happened, so that nothing may be sent twice.
            retry=Retry(NoBackoff(), 0),
            **(tls if config.tls else {}),
        )
        return Redis(connection_pool=pool)

    async def _check_server(self) -> None:
        try:
            memory = await self._call(self._redis.info, "memory")
        except BackendUnavailableError as error:
            if isinstance(error.__cause__, AuthenticationError):
                raise ConfigError(f"{self._place} refuses username or password: {error.__cause__}") from error
            # Many hosted servers keep their settings to themselves.
            if not isinstance(error.__cause__, NoPermissionError):
                raise
            return
        policy = str(memory.get("maxmemory_policy", ""))
        if memory.get("maxmemory") and policy.startswith("allkeys"):
            raise ConfigError(
                f"{self._place} may throw entries away (maxmemory-policy {policy}): set it to noeviction or a volatile one"
            )

    async def _check_format(self) -> None:
        claim = self._redis.register_script(CLAIM)
        try:
            version = await self._call(claim, keys=[self._format, self._values], args=[FORMAT_VERSION])
        except BackendUnavailableError as error:
            if isinstance(error.__cause__, (AuthenticationError, NoPermissionError)):
                raise ConfigError(f"{self._place} does not let this user in: {error.__cause__}") from error
            raise
        if version != FORMAT_VERSION:
            raise ConfigError(
                f"{self._place} has {self._values} in format {version}, and this version of Hitchpost reads format "
                f"{FORMAT_VERSION}: run the version that wrote it, or name another namespace. It was left as it is."
            )

    async def _call(self, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        self._check_open()
        try:
            return await within(self._config.timeout_s, _answer(function(*args, **kwargs)))
        except (TimeoutError, RedisTimeoutError) as error:
            message = f"{self._place} did not answer within {self._config.timeout_s:g} s"
            raise BackendUnavailableError(message) from error
        except (RedisError, OSError) as error:
            raise BackendUnavailableError(f"{self._place} can't be used now: {error}") from error

    async def _run(self, script: AsyncScript, *args: Any) -> Any:
        return await self._call(script, keys=self._entry_keys, args=args)

    async def _move_lease_end(self, lease: Lease, ttl_ms: int) -> bool:
        """Whether the lease was still the owner's."""
        arguments = checked_key(lease.name), lease.token, ttl_ms
        return bool(await self._call(self._renew, keys=[self._leases], args=arguments) == 1)

    async def _listen(self, feed: ChangeFeed) -> None:
        client = self._client(max_connections=1)
        subscription = client.pubsub()
        try:
            await self._call(subscription.subscribe, self._channel)
            is_waiting_for_answer = True
            while True:
                message = await self._next_message(subscription)
                if message is not None:
                    is_waiting_for_answer = False
                    if message["type"] == "subscribe":
                        feed.resync()
                    elif message["type"] == "message":
                        feed.add(message["data"])
                elif is_waiting_for_answer:
                    raise BackendUnavailableError(f"{self._place} fell silent")
                else:
                    await self._call(subscription.ping)
                    is_waiting_for_answer = True
        finally:
            await subscription.aclose()  # type: ignore[no-untyped-call]
            await client.aclose()
            await client.connection_pool.disconnect()

    async def _next_message(self, subscription: PubSub) -> dict[str, Any] | None:
        """The next message, or None when none came for a while."""
        try:
            message: dict[str, Any] | None = await subscription.get_message(timeout=IDLE_CHECK_S)
        except (RedisError, OSError) as error:
            raise BackendUnavailableError(f"{self._place} can't be listened to now: {error}") from error
        return message


async def _answer(call: Awaitable[T]) -> T:
    """The call as a coroutine, which redis-py doesn't promise it to be."""
    return await call


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


__all__ = ["RedisStore"]
