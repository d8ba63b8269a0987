"""One HTTP/1.1 connection to a server: a request goes out, its answer comes in, and then perhaps the next request.

The parser is httptools', which is Node's. Nothing is followed, inflated or remembered between two answers. aiohttp's client, which the host
could use as well, takes three times the CPU for a whole answer: `docs/performance.md`.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError
from hitchpost.remote.retries import NotTakenError

MAX_FRAMING_BYTES = 64 * 2**10
"""So much may come without a byte of the body among it: a head, or the sizes and trailers of chunks."""
MAX_WAITING_BYTES = 256 * 2**10
"""So much of a body waits to be read before the server is no longer listened to."""
_WITHOUT_BODY = (204, 304)


class Connection(asyncio.Protocol):
    """Asks one thing after the other. What goes wrong is raised by `ask` and `check`, as an error of ours.

    Args:
        name: what messages call the server.
        lost: is told when the connection has ended.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_ends_with_connection",
        "_error",
        "_framing_bytes",
        "_has_head",
        "_is_asking",
        "_is_paused",
        "_is_reused",
        "_loop",
        "_lost",
        "_name",
        "_parser",
        "_transport",
        "_waiter",
        "headers",
        "idle_since",
        "is_reusable",
        "is_whole",
        "status",
    )

    def __init__(self, name: str, lost: Callable[["Connection"], None]) -> None:
        self._name = name
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_asking = False
        self._is_reused = False
        self.is_reusable = True
        """Whether another request may follow once the answer is whole."""
        self.idle_since = 0.0
        """On the event loop's clock."""
        self._begin()

    def _begin(self) -> None:
        self._error: Exception | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._framing_bytes = 0
        self._has_head = False
        self._is_paused = False
        self._ends_with_connection = False
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """Of the answer; the names in lower case."""
        self.is_whole = False
        """Whether the end of the answer has come, though not all of it need have been taken."""

    # --- for whoever asks ---

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return self.is_reusable and self._transport is not None and not self._transport.is_closing()

    @property
    def has_ended(self) -> bool:
        """Whether there is no connection any more."""
        return self._transport is None

    @property
    def transport(self) -> asyncio.Transport | None:
        """The bytes' way, for TLS to be laid over it; None where it ends."""
        return None if self._transport is None or self._transport.is_closing() else self._transport

    async def ask(self, head: bytes, body: bytes | None = None) -> None:
        """Send a request and wait until the head of its answer has come.

        Raises:
            NotTakenError: the server ended the connection before the first byte of an answer.
            HitchpostError: it broke later, what came is no HTTP, or `fail` was called.
        """
        if self._is_asking:
            self._is_reused = True
            self._begin()
        self._is_asking = True
        if self._transport is None:
            raise self._loss(None)
        if body is None:
            self._transport.write(head)
        else:
            self._transport.writelines((head, body))
        # It may hold a key, and there are reports of errors that show what each frame holds.
        del head
        while not self._has_head:
            self.check()
            await self.arrival()

    def take(self) -> bytes:
        """What has come of the body and was not taken yet, perhaps nothing."""
        if not self._body:
            return b""
        data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._body_bytes = 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def arrival(self) -> asyncio.Future[None]:
        """Done when more has come, or the end has, or what ends the answer before it; `check` and then `take` tell which."""
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def check(self) -> None:
        """Raises what has ended the answer before its end, once all that came before has been taken."""
        if self._error is not None and not self._body:
            raise self._error

    def fail(self, error: Exception) -> None:
        """End the connection, and the wait of whoever asks with an error."""
        if self._error is None:
            self._error = error
        self.abort()
        self._wake()

    def abort(self) -> None:
        """End the connection at once."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- asyncio's callbacks ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's; called by hand where TLS was laid over another connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        if self._parser is None:
            return
        if not self._is_asking or self.is_whole:
            # Nobody asked.
            self.abort()
            return
        self._framing_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._break(self._no_http() if not self._has_head else broken_off(self._name))
        if self._framing_bytes > MAX_FRAMING_BYTES:
            self._break(self._no_http())
        # After an answer that is whole nothing may come but its connection's end, which has to be heard.
        is_too_much = self._body_bytes > MAX_WAITING_BYTES and not self.is_whole
        if is_too_much and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        self.is_reusable = False
        self._parser = self._transport = None
        if self._is_asking and not self.is_whole:
            if self._ends_with_connection and exc is None and self._error is None:
                self.is_whole = True
                self._wake()
            else:
                self.fail(self._loss(exc))
        self._lost(self)

    def _loss(self, exc: Exception | None) -> Exception:
        """What it means that the connection has ended before the answer has."""
        if self._has_head:
            return broken_off(self._name)
        lost = BackendUnavailableError(f"{self._name} ended the connection before its answer")
        # A connection that has served before may have been ended while the request was on its way.
        is_untaken = self._framing_bytes == 0 and (exc is None or self._is_reused)
        return NotTakenError(lost) if is_untaken else lost

    def _break(self, error: HitchpostError) -> None:
        """What comes can't be read."""
        if self.is_whole:
            self.abort()
        else:
            self.fail(error)

    def _no_http(self) -> HitchpostError:
        return BadBackendAnswerError(f"{self._name} answered something that is no HTTP")

    # --- the parser's callbacks ---

    def on_message_begin(self) -> None:
        """httptools', which refuses what comes next."""
        if self.is_whole:
            raise ValueError("nobody asked for a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools'; also called for what follows a body in chunks, which nobody looks at."""
        if not self._has_head:
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """httptools', which takes any number for a status."""
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        if self.status < 100:
            raise ValueError("no status")
        if self.status < 200:
            # An answer before the answer, such as 103.
            self.headers = {}
            return
        self._has_head = True
        is_framed = (
            b"content-length" in self.headers or b"chunked" in self.headers.get(b"transfer-encoding", b"").lower()
        )
        self._ends_with_connection = not is_framed and self.status not in _WITHOUT_BODY

    def on_body(self, data: bytes) -> None:
        """httptools'."""
        self._framing_bytes = 0
        self._body.append(data)
        self._body_bytes += len(data)

    def on_message_complete(self) -> None:
        """httptools'."""
        if not self._has_head:
            return
        assert self._parser is not None
        assert self._transport is not None
        self.is_whole = True
        # An answer may come before the whole request has gone out.
        if not self._parser.should_keep_alive() or self._transport.get_write_buffer_size():
            self.is_reusable = False


def broken_off(name: str) -> HitchpostError:
    """The error that an answer without an end means."""
    return BadBackendAnswerError(f"the connection to {name} broke in the middle of an answer")


__all__ = ["Connection", "broken_off"]
