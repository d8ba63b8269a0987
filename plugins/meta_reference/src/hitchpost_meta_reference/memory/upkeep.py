"""What is done for banks behind everyone's back: expired documents go, and so does what deleted ones left in the files."""

import asyncio
import logging
import time

from hitchpost.errors import NotFoundError, quoted
from hitchpost_meta_reference.memory.bank import Bank
from hitchpost_meta_reference.memory.open_banks import OpenBank, OpenBanks

REST_SHARE = 9
"""After the traces in a bank were removed, it rests for so many times as long as that took."""
RETRY_S = 5.0


class Upkeep:
    """One task that does what is due, bank after bank.

    Args:
        banks: those that are open; others are opened for it.
        log: told of what fails.
    """

    def __init__(self, banks: OpenBanks, log: logging.Logger) -> None:
        self._banks = banks
        self._log = log
        self._due: dict[str, float] = {}
        """When a bank is to be looked at, in seconds since 1970."""
        self._resting_until: dict[str, float] = {}
        self._scrubs: dict[str, asyncio.Lock] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.expired_count = 0
        """Documents that were removed since they had expired."""

    def start(self) -> None:
        """Begin."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="memory upkeep")

    async def stop(self) -> None:
        """End; what a thread is at goes on to its end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def notice(self, one: OpenBank) -> None:
        """See to a bank that was opened or changed."""
        bank = one.its
        due = [bank.next_expiry] if bank.next_expiry is not None else []
        if bank.has_traces:
            due.append(max(time.time(), self._resting_until.get(one.name, 0.0)))
        if due:
            self._due[one.name] = min(due)
            self._changed.set()
        else:
            self.forget(one.name)

    def forget(self, name: str) -> None:
        """The bank needs nothing any more."""
        self._due.pop(name, None)
        self._resting_until.pop(name, None)
        self._scrubs.pop(name, None)

    async def scrub(self, one: OpenBank) -> None:
        """Remove from a bank's file what was deleted from the bank before this was called; callers at one moment share the work."""
        async with self._scrubs.setdefault(one.name, asyncio.Lock()):
            began = time.monotonic()
            while one.its.has_traces:
                goes_on = await self._banks.change(one, lambda bank: bank.merge_words(is_first=True))
                while goes_on:
                    goes_on = await self._banks.change(one, lambda bank: bank.merge_words(is_first=False))
                if not await self._banks.change(one, Bank.finish_scrubbing):
                    break
            self._resting_until[one.name] = time.time() + REST_SHARE * (time.monotonic() - began)

    async def _run(self) -> None:
        while True:
            wait_s = min(self._due.values(), default=float("inf")) - time.time()
            if wait_s > 0:
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), None if wait_s == float("inf") else wait_s)
                except TimeoutError:
                    continue
            now = time.time()
            for name in [name for name, due in self._due.items() if due <= now]:
                del self._due[name]
                await self._look_after(name)

    async def _look_after(self, name: str) -> None:
        try:
            async with self._banks.using(name) as one:
                expiry = one.its.next_expiry
                if expiry is not None and expiry <= time.time():
                    while removed := await self._banks.change(one, Bank.remove_expired):
                        self.expired_count += removed
                if self._resting_until.get(name, 0.0) <= time.time():
                    await self.scrub(one)
                self.notice(one)
                if one.its.has_traces and self._due.get(name, 0.0) <= time.time():
                    self._due[name] = time.time() + RETRY_S
        except NotFoundError:
            self.forget(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other banks are to be looked after
            self._log.exception("memory bank %s could not be cleaned: %s", quoted(name), type(error).__name__)
            self._due[name] = time.time() + RETRY_S


__all__ = ["Upkeep"]
