"""Feeds of changes: bounded, merged, and kept up while the connection behind them comes and goes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from hitchpost.errors import BackendUnavailableError
from hitchpost.store.base import Change
from hitchpost.store.deadlines import end

MAX_PENDING = 1024
"""Keys that wait for a slow reader; one more, and it is told to scan again."""
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 2.0

log = logging.getLogger(__name__)


class ChangeFeed:
    """One reader's changes below a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._pending: dict[str | None, None] = {}
        self._wake = asyncio.Event()
        self._is_ended = False
        self._error: BaseException | None = None

    def add(self, key: str) -> None:
        """Tell the reader of a key, if it is below its prefix."""
        if key.startswith(self._prefix) and None not in self._pending:
            if len(self._pending) >= MAX_PENDING:
                self.resync()
            else:
                self._pending[key] = None
                self._wake.set()

    def resync(self) -> None:
        """Tell the reader to scan again, which covers all that it was to be told."""
        self._pending = {None: None}
        self._wake.set()

    def end(self, error: BaseException | None = None) -> None:
        """No change will follow; the reader gets the error, if there is one."""
        self._is_ended, self._error = True, error
        self._wake.set()

    async def next(self) -> Change | None:
        """The next change, or None at the end."""
        while not self._pending:
            if self._error is not None:
                raise self._error
            if self._is_ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._pending))
        del self._pending[key]
        return Change(key)


Listen = Callable[[ChangeFeed], Awaitable[None]]
"""Fills a feed, with a resync first, until it is cancelled or raises `BackendUnavailableError`."""


class ChangeFeeds:
    """The open feeds of one store."""

    def __init__(self) -> None:
        self._open: set[ChangeFeed] = set()

    def add(self, key: str) -> None:
        """Tell every reader of a key that changed."""
        for feed in self._open:
            feed.add(key)

    def end(self) -> None:
        """End every feed."""
        for feed in self._open:
            feed.end()

    async def follow(self, prefix: str, listen: Listen) -> AsyncGenerator[Change, None]:
        """A new feed, which `listen` fills, again and again when it loses its connection."""
        feed = ChangeFeed(prefix)
        self._open.add(feed)
        listener = asyncio.create_task(_keep_listening(feed, listen))
        listener.add_done_callback(lambda task: feed.end(None if task.cancelled() else task.exception()))
        try:
            while (change := await feed.next()) is not None:
                yield change
        finally:
            self._open.discard(feed)
            await end(listener)


async def _keep_listening(feed: ChangeFeed, listen: Listen) -> None:
    loop = asyncio.get_running_loop()
    delay_s = FIRST_DELAY_S
    while True:
        began = loop.time()
        try:
            await listen(feed)
        except BackendUnavailableError as error:
            if error.is_permanent:
                raise
            if loop.time() - began > LONGEST_DELAY_S:
                delay_s = FIRST_DELAY_S
            log.warning("can't follow the changes of a store, trying again in %.1f s: %s", delay_s, error)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)


__all__ = ["ChangeFeed", "ChangeFeeds", "Listen"]
