"""The banks that are open: which files and vectors are held, and the threads in which they are worked on."""

import asyncio
import fcntl
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hitchpost.errors import BackendUnavailableError, NotFoundError, quoted
from hitchpost_meta_reference.memory.bank import Bank
from hitchpost_meta_reference.memory.bank_file import BankHeader, bank_path, delete_bank_files

WRITING_THREADS = 2
LOCK_NAME = "lock"
STOPPED = "memory can't be served: its provider has stopped"

T = TypeVar("T")


@dataclass(slots=True)
class OpenBank:
    """A bank that is open, or being opened."""

    name: str
    bank: Bank | None = None
    users: int = 0
    """Who needs it to stay open."""
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a thread changes the bank, also when nobody waits for that any more."""

    @property
    def its(self) -> Bank:
        """The bank; it is there while it is used."""
        if self.bank is None:
            raise BackendUnavailableError(f"memory bank {quoted(self.name)} is closed")
        return self.bank


class OpenBanks:
    """Opens banks when they are asked for, and closes those that nobody asked for the longest.

    Args:
        folder: where their files lie; one process at a time has it.
        reading_threads: how many searches run at once.
        max_open: banks that are kept open at most while nobody uses them.
        max_bytes: what the vectors of all open banks take in memory at most, as long as some are unused.
    """

    def __init__(self, folder: Path, *, reading_threads: int, max_open: int, max_bytes: int) -> None:
        self.folder = folder
        self._reading_threads = reading_threads
        self._max_open = max_open
        self._max_bytes = max_bytes
        self._open: OrderedDict[str, OpenBank] = OrderedDict()
        self._work: set[asyncio.Task[Any]] = set()
        self._ending: set[str] = set()
        """Names of banks that are being closed or deleted."""
        self._turn = asyncio.Condition()
        """Guards who uses what."""
        self._is_serving = False
        self._lock: int | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._writers: ThreadPoolExecutor | None = None

    @property
    def open_count(self) -> int:
        """Banks that are open."""
        return len(self._open)

    @property
    def size_in_memory(self) -> int:
        """Bytes of all vectors in memory."""
        return sum(one.bank.size_in_memory for one in list(self._open.values()) if one.bank)

    async def start(self) -> None:
        """Take the folder.

        Raises:
            BackendUnavailableError: it can't be made, or another process has it.
        """
        if self._lock is None:
            self._lock = await asyncio.to_thread(_locked, self.folder)
            self._readers = ThreadPoolExecutor(self._reading_threads, thread_name_prefix="memory-read")
            self._writers = ThreadPoolExecutor(WRITING_THREADS, thread_name_prefix="memory-write")
            self._is_serving = True

    async def stop(self) -> None:
        """Wait for what is under way, close everything, and let go of the folder."""
        self._is_serving = False
        while self._work:
            await asyncio.wait(self._work)
        if self._writers is not None and self._readers is not None:
            loop = asyncio.get_running_loop()
            for one in list(self._open.values()):
                if one.bank is not None:
                    await loop.run_in_executor(self._writers, one.bank.file.close)
            self._open.clear()
            self._readers.shutdown(wait=False)
            self._writers.shutdown(wait=False)
            self._readers = self._writers = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @asynccontextmanager
    async def using(self, name: str, header: BankHeader | None = None) -> AsyncIterator[OpenBank]:
        """A bank, which stays open until the end of this.

        Args:
            name: the provider's name for it.
            header: makes the bank where there is none; None: it must be there.

        Raises:
            NotFoundError: it isn't there.
            BackendUnavailableError: its file can't be used.
        """
        if not self._is_serving:
            raise BackendUnavailableError(STOPPED)
        async with self._turn:
            await self._turn.wait_for(lambda: name not in self._ending)
            one = self._open.setdefault(name, OpenBank(name))
            self._open.move_to_end(name)
            one.users += 1
        try:
            if one.bank is None:
                await self._to_end(one, self._opened(one, header))
            yield one
        finally:
            one.users -= 1
            await asyncio.shield(self._kept(self._after_use(one)))

    async def change(self, one: OpenBank, work: Callable[[Bank], T]) -> T:
        """Change a bank that is used: one change at a time, each to its end even when the caller leaves."""
        return await self._to_end(one, self._changed(one, work))

    async def read(self, one: OpenBank, work: Callable[[Bank], T]) -> T:
        """Read a bank that is used, beside its changes."""
        bank = one.its
        return await self._to_end(one, self._in_thread(self._readers, lambda: work(bank)))

    async def load(self, one: OpenBank) -> None:
        """See that the vectors of a bank are in memory."""
        bank = one.its
        if bank.matrix is None and bank.header.dimension is not None:
            await self.change(one, Bank.load)

    async def delete(self, name: str) -> None:
        """Delete a bank with its file, once nobody uses it; one that isn't there is passed over."""
        await asyncio.shield(self._kept(self._deleted(name)))

    async def _opened(self, one: OpenBank, header: BankHeader | None) -> None:
        async with one.opening:
            if one.bank is None:
                one.bank = await self._in_thread(self._writers, lambda: _open_bank(self.folder, one.name, header))

    async def _changed(self, one: OpenBank, work: Callable[[Bank], T]) -> T:
        async with one.writing:
            bank = one.its
            return await self._in_thread(self._writers, lambda: work(bank))

    async def _after_use(self, left: OpenBank) -> None:
        """Close what is too much, those first that nobody asked for the longest; and what could not be opened."""
        if left.users or not self._is_serving:
            return
        async with self._turn:
            self._turn.notify_all()
            if left.bank is None and not left.users and self._open.get(left.name) is left:
                del self._open[left.name]
            unused = [name for name, one in self._open.items() if not one.users]
            closing = []
            while unused and (len(self._open) > self._max_open or self.size_in_memory > self._max_bytes):
                name = unused.pop(0)
                closing.append(self._open.pop(name))
                self._ending.add(name)
        for one in closing:
            await self._ended(one.name, one.its.file.close)

    async def _deleted(self, name: str) -> None:
        async with self._turn:
            await self._turn.wait_for(lambda: name not in self._ending)
            self._ending.add(name)
            await self._turn.wait_for(lambda: name not in self._open or not self._open[name].users)
            one = self._open.pop(name, None)
        path = bank_path(self.folder, name)
        is_open = one is not None and one.bank is not None
        await self._ended(name, one.its.file.delete if one and is_open else lambda: delete_bank_files(path))

    async def _ended(self, name: str, end: Callable[[], None]) -> None:
        try:
            await self._in_thread(self._writers, end)
        finally:
            async with self._turn:
                self._ending.discard(name)
                self._turn.notify_all()

    async def _in_thread(self, pool: ThreadPoolExecutor | None, work: Callable[[], T]) -> T:
        if pool is None:
            raise BackendUnavailableError(STOPPED)
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    async def _to_end(self, one: OpenBank, work: Coroutine[Any, Any, T]) -> T:
        """Await what goes on when the caller leaves; the bank stays open for it."""
        if not self._is_serving:
            work.close()
            raise BackendUnavailableError(STOPPED)
        one.users += 1
        return await asyncio.shield(self._kept(self._used(one, work)))

    async def _used(self, one: OpenBank, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            one.users -= 1
            await self._after_use(one)

    def _kept(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        if not task.cancelled():
            # The caller may have left; without this look asyncio complains that nobody wanted the error.
            task.exception()


def _open_bank(folder: Path, name: str, header: BankHeader | None) -> Bank:
    path = bank_path(folder, name)
    if header is None and not path.exists():
        raise NotFoundError(f"there is no memory bank {quoted(name)} any more; register it again", param="bank_id")
    bank = Bank(path, name, header)
    if bank.header.name != name:
        bank.file.close()
        raise BackendUnavailableError(
            f"memory bank {quoted(name)} can't be served: {path.name} is the file of {quoted(bank.header.name)}",
            is_permanent=True,
        )
    return bank


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackendUnavailableError(f"the folder for memory banks can't be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        message = "another process has the memory banks of this provider open; end it, or give one of them another provider_id"
        raise BackendUnavailableError(message) from error
    return lock


__all__ = ["OpenBank", "OpenBanks"]
