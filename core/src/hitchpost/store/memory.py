"""A store that lasts as long as its process."""

import asyncio
import time
from bisect import bisect_left, insort
from collections.abc import AsyncGenerator
from dataclasses import replace

from hitchpost.errors import BackendUnavailableError
from hitchpost.store.base import Change, Lease
from hitchpost.store.changes import ChangeFeed, ChangeFeeds
from hitchpost.store.keys import (
    PAGE_ROWS,
    checked_key,
    checked_prefix,
    checked_ttl,
    checked_value,
    key_after,
    prefix_end,
)


class MemoryStore:
    """See `KeyValueStore`. Nothing is shared: each one opened is empty."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._keys: list[str] = []
        self._leases: dict[str, Lease] = {}
        self._feeds = ChangeFeeds()
        self._is_closed = False

    async def get(self, key: str) -> str | None:
        self._check_open()
        return self._values.get(checked_key(key))

    async def set(self, key: str, value: str) -> None:
        self._check_open()
        self._write(checked_key(key), checked_value(value))

    async def put_if_absent(self, key: str, value: str) -> bool:
        self._check_open()
        checked_key(key)
        checked_value(value)
        if key in self._values:
            return False
        self._write(key, value)
        return True

    async def compare_and_set(self, key: str, expected: str, new: str) -> bool:
        self._check_open()
        checked_value(new)
        checked_value(expected)
        if self._values.get(checked_key(key)) != expected:
            return False
        self._write(key, new)
        return True

    async def delete(self, key: str) -> bool:
        self._check_open()
        if self._values.pop(checked_key(key), None) is None:
            return False
        del self._keys[bisect_left(self._keys, key)]
        self._feeds.add(key)
        return True

    async def scan(self, prefix: str = "") -> AsyncGenerator[tuple[str, str], None]:
        start, end = checked_prefix(prefix), prefix_end(prefix)
        while True:
            self._check_open()
            first = bisect_left(self._keys, start)
            keys = self._keys[first : min(first + PAGE_ROWS, bisect_left(self._keys, end))]
            for entry in [(key, self._values[key]) for key in keys]:
                yield entry
            if len(keys) < PAGE_ROWS:
                return
            start = key_after(keys[-1])
            # As every other store does between two pages: a long scan lets others have their turn.
            await asyncio.sleep(0)

    async def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        self._check_open()
        checked_key(name)
        checked_key(owner)
        checked_ttl(ttl_s)
        now, last = time.monotonic(), self._leases.get(name)
        if last is not None and last.owner != owner and last.expires_at > now:
            return None
        token = 1 if last is None else last.token + 1
        self._leases[name] = Lease(name=name, owner=owner, token=token, ttl_s=ttl_s, expires_at=now + ttl_s)
        return self._leases[name]

    async def renew(self, lease: Lease) -> Lease | None:
        self._check_open()
        if not self._holds(lease):
            return None
        self._leases[lease.name] = replace(lease, expires_at=time.monotonic() + lease.ttl_s)
        return self._leases[lease.name]

    async def release(self, lease: Lease) -> bool:
        self._check_open()
        if not self._holds(lease):
            return False
        self._leases[lease.name] = replace(lease, expires_at=0.0)
        return True

    def changes(self, prefix: str = "") -> AsyncGenerator[Change, None]:
        self._check_open()
        return self._feeds.follow(checked_prefix(prefix), _listen)

    async def health(self) -> None:
        self._check_open()

    async def close(self) -> None:
        self._is_closed = True
        self._feeds.end()

    def _check_open(self) -> None:
        if self._is_closed:
            raise BackendUnavailableError("the store is closed", is_permanent=True)

    def _write(self, key: str, value: str) -> None:
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = value
        self._feeds.add(key)

    def _holds(self, lease: Lease) -> bool:
        last = self._leases.get(lease.name)
        return last is not None and last.token == lease.token and last.expires_at > time.monotonic()


async def _listen(feed: ChangeFeed) -> None:
    feed.resync()
    await asyncio.Event().wait()


__all__ = ["MemoryStore"]
