"""A call of boto3 that can be ended from outside of its thread.

boto3 blocks, and nothing in it ends a call that waits for a server. So each call knows the socket that it waits at, and to interrupt the call is to
shut that socket down: the thread then sees the end of the connection, and the server sees that nobody reads any more.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar


class CallInterrupted(Exception):  # noqa: N818  (nothing went wrong)
    """The call was ended because nobody waits for it; botocore doesn't retry it."""


class Call:
    """One call of the SDK, with its retries.

    Args:
        says_nothing_until_done: whether the backend answers all at once, so that silence means nothing.
    """

    def __init__(self, *, says_nothing_until_done: bool = False) -> None:
        self.says_nothing_until_done = says_nothing_until_done
        self.is_interrupted = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def hold(self, sock: socket.socket | None) -> None:
        """Called in the call's thread: from now on it waits at this socket.

        Raises:
            CallInterrupted: it is no longer wanted.
        """
        with self._lock:
            if self.is_interrupted:
                raise CallInterrupted
            self._socket = sock

    def release(self) -> None:
        """Called in the call's thread: its connection goes back to the pool."""
        with self._lock:
            self._socket = None

    def interrupt(self) -> None:
        """End it, from any thread; never waits."""
        with self._lock:
            self.is_interrupted = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Within it, the connections that this thread uses belong to this call."""
        token = _CURRENT.set(self)
        try:
            self.hold(None)
            yield
        finally:
            self.release()
            _CURRENT.reset(token)


_CURRENT: ContextVar[Call | None] = ContextVar("hitchpost_bedrock_call", default=None)


def find_current_call() -> Call | None:
    """The call that this thread makes."""
    return _CURRENT.get()


__all__ = ["Call", "CallInterrupted", "find_current_call"]
