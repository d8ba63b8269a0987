"""The connections to one server: as many as are needed, up to a bound, and each used again as long as it is good."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from hitchpost.errors import BackendUnavailableError
from hitchpost.remote.connection import Connection, broken_off

IDLE_S = 15.0
"""How long a connection is kept that nobody uses."""


class Pool:
    """Lends connections; each is given back by `release`.

    Args:
        name: what messages call the server.
        connect: makes a connection, which tells when it is lost.
        max_connections: how many there are at a time.
        timeout_s: how long connecting may take, and waiting for a connection of somebody else's.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[Callable[[Connection], None]], Awaitable[Connection]],
        max_connections: int,
        timeout_s: float,
    ) -> None:
        self._name = name
        self._connect = connect
        self._max_connections = max_connections
        self._timeout_s = timeout_s
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._places = 0
        """Taken by connections that are open or being made."""
        self._is_closed = False
        self._is_empty = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None

    def find_idle(self) -> Connection | None:
        """A connection that is there and that nobody uses."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def acquire(self, within_s: float) -> Connection:
        """A connection that nobody else uses, newly made or given back meanwhile; `find_idle` found none.

        Raises:
            NotTakenError: the server can't be reached.
            BackendUnavailableError: it can't be for reasons that last, or in time, or the pool is closed.
            TimeoutError: `within_s` is over, which is less than connecting may take.
        """
        if self._is_closed:
            raise self._closed()
        try:
            async with asyncio.timeout(min(within_s, self._timeout_s)):
                return await self._wait_or_connect()
        except TimeoutError:
            if within_s < self._timeout_s:
                raise
            message = f"{self._name} could not be connected with in time, at its configured url"
            raise BackendUnavailableError(message) from None

    async def _wait_or_connect(self) -> Connection:
        while self._places >= self._max_connections:
            connection = await self._wait()
            if connection is None:
                break
            if connection.is_open:
                return connection
            # It ended on the way here, and its place goes to whoever waits.
            if self._is_closed:
                raise self._closed()
        else:
            self._places += 1
        try:
            made = await self._connect(self._forget)
            if self._is_closed:
                made.abort()
                raise self._closed()
        except BaseException:
            self._leave()
            raise
        if made.has_ended:
            # Before the pool knew it.
            self._leave()
        else:
            self._open.add(made)
        return made

    async def _wait(self) -> Connection | None:
        """A connection that somebody gives back, or None: the place of one that is no more."""
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The turn came in the same moment: hand it on.
                connection = turn.result()
                if connection is None:
                    self._leave()
                else:
                    self.release(connection)
            raise

    def release(self, connection: Connection) -> None:
        """Give a connection back; one whose answer was not read to its end ends, so that the server stops working for nobody."""
        if not connection.is_whole or not connection.is_open or self._is_closed:
            connection.abort()
            return
        turn = self._next_turn()
        if turn is not None:
            turn.set_result(connection)
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_S, self._end_idle)

    async def close(self) -> None:
        """End every connection, and the waits of whoever uses one or waits for one."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while (turn := self._next_turn()) is not None:
            turn.set_exception(self._closed())
        for connection in list(self._open):
            connection.fail(broken_off(self._name) if connection.status else self._closed())
        self._idle.clear()
        if self._open:
            await self._is_empty.wait()

    def _forget(self, connection: Connection) -> None:
        """A connection has ended, whoever ended it."""
        if connection in self._open:
            self._open.remove(connection)
            self._leave()
            if self._is_closed and not self._open:
                self._is_empty.set()

    def _leave(self) -> None:
        """A place is free: for whoever has waited longest."""
        turn = self._next_turn()
        if turn is None:
            self._places -= 1
        else:
            turn.set_result(None)

    def _next_turn(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None

    def _end_idle(self) -> None:
        """End what was idle for too long, and what the server has ended."""
        loop = asyncio.get_running_loop()
        before = loop.time() - IDLE_S
        self._idle, idle = [], self._idle
        for connection in idle:
            if connection.is_open and connection.idle_since > before:
                self._idle.append(connection)
            else:
                connection.abort()
        self._sweep = loop.call_at(self._idle[0].idle_since + IDLE_S, self._end_idle) if self._idle else None

    def _closed(self) -> BackendUnavailableError:
        return BackendUnavailableError(f"the connections to {self._name} are closed")


__all__ = ["Pool"]
