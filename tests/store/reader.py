"""Somebody who follows a store."""

import asyncio
from collections.abc import Callable
from typing import Self

from hitchpost.store import KeyValueStore

LIMIT_S = 20.0


class Reader:
    """Reads changes as a host would: on None it scans, on a key it gets; so it knows what the store holds."""

    def __init__(self, store: KeyValueStore, prefix: str = "") -> None:
        self.known: dict[str, str] = {}
        self.resyncs = 0
        self.told: list[str] = []
        self._store, self._prefix = store, prefix
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._read())
        await self.until(lambda: self.resyncs > 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds."""
        async with asyncio.timeout(LIMIT_S), self._news:
            await self._news.wait_for(lambda: condition() or self.task.done())
        if self.task.done():
            self.task.result()
        assert condition()

    async def _read(self) -> None:
        async for change in self._store.changes(self._prefix):
            if change.key is None:
                self.known = {key: value async for key, value in self._store.scan(self._prefix)}
                self.resyncs += 1
            else:
                self.told.append(change.key)
                value = await self._store.get(change.key)
                self.known.pop(change.key, None) if value is None else self.known.update({change.key: value})
            async with self._news:
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()
