"""Which banks are searched through faiss, and when their indexes are made."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from hitchpost.errors import quoted
from hitchpost_meta_reference.memory.approximate import INSTALL_HINT, MIN_RECALL, is_faiss_installed
from hitchpost_meta_reference.memory.open_banks import OpenBank, OpenBanks


class Indexing:
    """Makes an index of each bank that is large enough, in a thread of its own; the bank is searched exactly until it is there.

    Args:
        banks: those that are open.
        above_chunks: a bank with more than so many is searched through an index; None: none is.
        log: told of what was made, and of what to install.
    """

    def __init__(self, banks: OpenBanks, above_chunks: int | None, log: logging.Logger) -> None:
        self._banks = banks
        self._above_chunks = above_chunks
        self._log = log
        self._thread: ThreadPoolExecutor | None = None
        self._making: dict[str, asyncio.Task[None]] = {}
        self._useless_at: dict[str, int] = {}
        """Chunks of a bank when an index of it was of no use."""
        self._is_told = False

    def start(self) -> None:
        """Get the thread ready."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="memory-index")

    async def stop(self) -> None:
        """Wait for the index that is being made, and make no more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False, cancel_futures=True)
            for task in list(self._making.values()):
                await asyncio.gather(task, return_exceptions=True)

    def consider(self, one: OpenBank) -> None:
        """See to the index of a bank that was loaded or changed."""
        bank = one.its
        if self._above_chunks is None or bank.matrix is None or one.name in self._making or self._thread is None:
            return
        count = len(bank.matrix)
        if count <= self._above_chunks or count < 2 * self._useless_at.get(one.name, 0):
            return
        if bank.index is not None and bank.index.covers(bank.matrix.latest()):
            return
        if is_faiss_installed():
            task = asyncio.ensure_future(self._make(one.name))
            self._making[one.name] = task
            task.add_done_callback(lambda _: self._making.pop(one.name, None))
        elif not self._is_told:
            self._is_told = True
            self._log.warning(
                "memory bank %s has %d chunks, and every search looks at all of them; to search through an index: %s",
                quoted(one.name),
                count,
                INSTALL_HINT,
            )

    async def wait(self) -> None:
        """Until no index is being made."""
        while self._making:
            await asyncio.wait(list(self._making.values()))

    async def _make(self, name: str) -> None:
        try:
            async with self._banks.using(name) as one:
                bank = one.its
                is_made = await asyncio.get_running_loop().run_in_executor(self._thread, bank.build_index)
                count = len(bank.matrix) if bank.matrix is not None else 0
                if is_made and bank.index is not None:
                    self._useless_at.pop(name, None)
                    recall = bank.index.recall
                    self._log.info("memory bank %s: %d chunks indexed, recall %.3f", quoted(name), count, recall)
                else:
                    self._useless_at[name] = count
                    self._log.warning(
                        "memory bank %s is searched exactly: an index of it finds less than %d %% of the nearest",
                        quoted(name),
                        round(MIN_RECALL * 100),
                    )
        except Exception as error:  # noqa: BLE001 - told to the log, and the bank goes on without an index
            self._log.exception("no index of memory bank %s could be made: %s", quoted(name), type(error).__name__)


__all__ = ["Indexing"]
