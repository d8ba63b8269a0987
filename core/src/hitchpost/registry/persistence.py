"""The store behind the registries: opened at the start, followed while the host runs, waited for while it is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from hitchpost.errors import BackendUnavailableError, HitchpostError
from hitchpost.registry.announce import Announcer
from hitchpost.registry.records import REGISTERED
from hitchpost.store import KeyValueStore

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
HEALTH_INTERVAL_S = 5.0
CHANGES_SIDE_BY_SIDE = 64
"""How many identifiers that other hosts have changed are taken in at a time."""

log = logging.getLogger("hitchpost.registry")


class Persistence:
    """Connects registries with their store.

    While the store is away, what the run config, presets and providers name is served, and registrations are refused with the reason.

    Args:
        open_store: opens the store.
    """

    def __init__(self, open_store: Callable[[], Awaitable[KeyValueStore]]) -> None:
        self._open_store = open_store
        self._announcers: Sequence[Announcer[Any]] = ()
        self._store: KeyValueStore | None = None
        self._task: asyncio.Task[None] | None = None
        self._was_tried = asyncio.Event()
        self._is_reconciled = False
        self.problem: str | None = "the store of registrations is not open yet"
        """Why what is stored can't be shown or changed now, if so."""

    def get_store(self) -> KeyValueStore:
        """The open store.

        Raises:
            BackendUnavailableError: it isn't open, with the reason.
        """
        if self._store is None:
            raise BackendUnavailableError(
                self.problem or "the store of registrations is closed", retry_after_s=LONGEST_DELAY_S
            )
        return self._store

    async def open(self) -> None:
        """Open the store, where that was not tried before. One that can't be reached is tried again once this has started.

        Raises:
            ConfigError: the store can't be used as it is.
        """
        if self._store is None and not self._was_tried.is_set():
            await self._try_to_open()

    async def start(self, announcers: Sequence[Announcer[Any]]) -> None:
        """Open the store and bring in what it holds; return when that is done, or when it is clear that it can't be done now.

        Raises:
            ConfigError: the store can't be used as it is.
        """
        self._announcers = announcers
        await self.open()
        self._task = asyncio.create_task(self._keep_up(), name="registrations of other hosts")
        await self._was_tried.wait()

    async def stop(self) -> None:
        """Close the store."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        store, self._store = self._store, None
        self.problem = "the store of registrations is closed"
        if store is not None:
            try:
                await store.close()
            except HitchpostError as error:
                log.warning("the store of registrations could not be closed: %s", error.message)

    async def _try_to_open(self) -> None:
        try:
            self._store = await self._open_store()
        except BackendUnavailableError as error:
            self._note(error)

    async def _keep_up(self) -> None:
        delay_s = FIRST_DELAY_S
        while True:
            try:
                if self._store is None:
                    await self._try_to_open()
                if self._store is not None:
                    await self._follow(self._store)
            except HitchpostError as error:
                if self.problem is None:
                    delay_s = FIRST_DELAY_S
                self._note(error)
            except Exception as error:
                log.exception("registrations of other hosts can't be followed")
                self.problem = f"unexpected {type(error).__name__}; the log has the details"
                self._was_tried.set()
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    async def _follow(self, store: KeyValueStore) -> None:
        slots = asyncio.Semaphore(CHANGES_SIDE_BY_SIDE)
        tasks = {asyncio.create_task(self._watch(store), name="health of the store")}
        try:
            async with aclosing(store.changes(REGISTERED)) as changes:
                async for change in changes:
                    if change.key is None:
                        await self._take_in_all()
                    else:
                        await slots.acquire()
                        task = asyncio.create_task(self._take_in(change.key, slots), name="take in a registration")
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
        finally:
            ending = list(tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _watch(self, store: KeyValueStore) -> None:
        """Say that the store is away though nobody asks it for anything."""
        while True:
            await asyncio.sleep(HEALTH_INTERVAL_S)
            try:
                await store.health()
            except HitchpostError as error:
                self._note(error)
            else:
                # Before the first scan it isn't known what is stored.
                if self._is_reconciled:
                    self.problem = None

    async def _take_in_all(self) -> None:
        for announcer in self._announcers:
            if not self._is_reconciled:
                await announcer.reconcile_configured()
            await announcer.take_in_all()
        self._is_reconciled = True
        if self.problem is not None and self._was_tried.is_set():
            log.info("the store of registrations is back")
        self.problem = None
        self._was_tried.set()

    async def _take_in(self, key: str, slots: asyncio.Semaphore) -> None:
        try:
            for announcer in self._announcers:
                if key.startswith(announcer.key_prefix()):
                    await announcer.take_in(key.removeprefix(announcer.key_prefix()))
        except HitchpostError as error:
            # The store is away again: once it is back, everything is looked at.
            log.warning("a registration of another host can't be read: %s", error.message)
        except Exception:
            log.exception("a registration of another host can't be taken in")
        finally:
            slots.release()

    def _note(self, error: HitchpostError) -> None:
        if self.problem != error.message:
            log.warning("what is registered through the API can't be shown or changed: %s", error.message)
        self.problem = error.message
        self._was_tried.set()


__all__ = ["Persistence"]
