"""A bounded pool of threads for calls of boto3, so that none blocks the event loop."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from hitchpost.errors import BackendUnavailableError
from hitchpost_bedrock.aws.call import Call

T = TypeVar("T")

MAX_UNREAD_ITEMS = 64
"""Of a stream whose consumer is slow; its thread then waits, and with it the backend."""
STOP_TIMEOUT_S = 5.0


class Workers:
    """Runs calls until it is closed. A call whose caller leaves is interrupted.

    Args:
        max_threads: more calls than these wait.
    """

    def __init__(self, max_threads: int) -> None:
        self._threads = ThreadPoolExecutor(max_threads, thread_name_prefix="bedrock")
        self._running: dict[Call, Future[Any]] = {}
        self._is_closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns, from a thread.

        Raises:
            Exception: whatever `work` raises.
        """
        call = Call()

        def in_thread() -> T:
            with call.running():
                return work()

        future = self._submit(call, in_thread)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            call.interrupt()
            if self._is_closed and future.cancelled():
                raise _stopped() from None
            raise
        except Exception as error:
            if call.is_interrupted:
                raise _stopped() from error
            raise

    async def stream(
        self, work: Callable[[], Generator[T, None, None]], *, says_nothing_until_done: bool = False
    ) -> AsyncGenerator[T, None]:
        """The items of a generator that runs in a thread; it is closed there when this is closed.

        Args:
            work: makes the generator.
            says_nothing_until_done: whether the backend answers all at once, so that silence means nothing.

        Raises:
            Exception: whatever the generator raises.
        """
        call = Call(says_nothing_until_done=says_nothing_until_done)
        pump: _Pump[T] = _Pump(asyncio.get_running_loop())

        def in_thread() -> None:
            error: BaseException | None = None
            try:
                with call.running(), contextlib.closing(work()) as items:
                    for item in items:
                        if not pump.put(item):
                            return
            except BaseException as raised:  # noqa: BLE001  (answered: the consumer gets it)
                error = raised
            finally:
                pump.finish(error)

        future = self._submit(call, in_thread)
        future.add_done_callback(lambda done: pump.finish(_stopped()) if done.cancelled() else None)
        try:
            async for item in pump.items():
                yield item
            if call.is_interrupted:
                raise _stopped()
        except Exception as error:
            if call.is_interrupted:
                raise _stopped() from error
            raise
        finally:
            future.cancel()
            if not pump.is_finished:
                call.interrupt()
                pump.abandon()

    async def close(self) -> None:
        """Interrupt all calls, and wait a little for their threads."""
        self._is_closed = True
        for call in list(self._running):
            call.interrupt()
        self._threads.shutdown(wait=False, cancel_futures=True)
        waiting = [asyncio.wrap_future(future) for future in list(self._running.values())]
        if waiting:
            await asyncio.wait(waiting, timeout=STOP_TIMEOUT_S)
            for future in waiting:
                # Whoever awaits the call gets its error; here it is only waited for.
                if not future.cancel() and not future.cancelled():
                    future.exception()

    def _submit(self, call: Call, work: Callable[[], T]) -> Future[T]:
        try:
            future = self._threads.submit(work)
        except RuntimeError as error:
            raise _stopped() from error
        self._running[call] = future
        future.add_done_callback(lambda _: self._running.pop(call, None))
        return future


def _stopped() -> BackendUnavailableError:
    return BackendUnavailableError("the provider is stopped")


class _Pump(Generic[T]):
    """A bounded queue from a thread into the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = threading.Semaphore(MAX_UNREAD_ITEMS)
        self._items: deque[T] = deque()
        self._news = asyncio.Event()
        self._is_abandoned = False
        self._error: BaseException | None = None
        self.is_finished = False

    def put(self, item: T) -> bool:
        """Called in the thread, waits for room; False when nobody reads any more."""
        self._room.acquire()
        if self._is_abandoned:
            return False
        self._items.append(item)
        self._tell()
        return True

    def finish(self, error: BaseException | None) -> None:
        """Called in the thread: there are no more items."""
        self._error = error
        self.is_finished = True
        self._tell()

    def abandon(self) -> None:
        """Called in the loop: nobody reads any more."""
        self._is_abandoned = True
        self._room.release()

    async def items(self) -> AsyncIterator[T]:
        """What the thread puts, until it finishes."""
        while True:
            # In this order: what comes after the clearing sets it again.
            self._news.clear()
            is_finished = self.is_finished
            while self._items:
                item = self._items.popleft()
                self._room.release()
                yield item
            if not is_finished:
                await self._news.wait()
            elif self._error is not None:
                raise self._error
            else:
                return

    def _tell(self) -> None:
        if not self._news.is_set():
            # A loop that is closed has no reader either.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._news.set)


__all__ = ["MAX_UNREAD_ITEMS", "Workers"]
