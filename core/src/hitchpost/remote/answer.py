"""The answer of a server while it comes in."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from hitchpost.errors import BadBackendAnswerError, HitchpostError
from hitchpost.remote.events import EventParser, LineSplitter, ServerEvent
from hitchpost.remote.patience import Patience
from hitchpost.remote.refusals import ServerError, find_server_error

if TYPE_CHECKING:
    from hitchpost.remote.connection import Connection

MAX_ANSWER_BYTES = 64 * 2**20
END_S = 0.5

Refuse = Callable[[int, ServerError | None, str], HitchpostError]
"""From a status, what the server says and what was asked for, to the error of ours."""


def parse_json(name: str, data: bytes) -> Any:
    """What JSON text from a server says.

    Raises:
        BadBackendAnswerError: it is none; the message tells the usual mistakes apart and quotes nothing.
    """
    try:
        return from_json(data)
    except ValueError:
        pass
    # Servers written in JavaScript may cut an emoji into two escapes that only together are a character.
    if b"\\ud" in data or b"\\uD" in data:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(data)
    raise BadBackendAnswerError(f"{name} answered {_what_it_is(data)} where JSON belongs")


def _what_it_is(data: bytes) -> str:
    start = data[:200].lstrip().lower()
    if not start:
        return "nothing"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "an HTML page"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "bytes that are no UTF-8"
    return "half of something, or text," if start[:1] in b'{["' else "text"


class Answer:
    """An answer whose status is 200; its body is still to come. Made by `RemoteServer.send`.

    Each read raises DeadlineExceededError where the server is silent for too long, and BadBackendAnswerError where the connection
    breaks, the answer is too large, or can't be read.
    """

    __slots__ = ("_connection", "_events", "_is_closed", "_lines", "_name", "_patience", "_refuse", "_release", "_what")

    def __init__(
        self,
        connection: "Connection",
        release: "Callable[[Connection], None]",
        patience: Patience,
        name: str,
        what: str,
        refuse: Refuse,
    ) -> None:
        self._connection = connection
        self._release = release
        self._is_closed = False
        self._patience = patience
        self._name = name
        self._what = what
        self._refuse = refuse
        self._events: EventParser | None = None
        self._lines: LineSplitter | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Looked up whatever their case."""
        from multidict import CIMultiDict

        pairs = self._connection.headers.items()
        return CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs)

    async def read(self, max_bytes: int = MAX_ANSWER_BYTES) -> bytes:
        """The whole body."""
        pieces, size = [], 0
        while piece := await self._next():
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise BadBackendAnswerError(f"{self._name} sent an answer of more than {max_bytes} bytes")
        return b"".join(pieces)

    async def json(self, max_bytes: int = MAX_ANSWER_BYTES) -> Any:
        """The whole body, as JSON.

        Raises:
            HitchpostError: the body is an error, in spite of its status.
        """
        answer = parse_json(self._name, await self.read(max_bytes))
        if isinstance(answer, dict) and (answer.get("error") or answer.get("object") == "error"):
            raise self._failure(answer)
        return answer

    async def next_events(self) -> list[ServerEvent]:
        """The next server-sent events, as many as one read brings, at least one; none at the end of the stream.

        Raises:
            HitchpostError: the server answered something that is no event stream: a page, or one JSON object.
        """
        if self._events is None:
            await self._check_streams("text/event-stream")
            self._events = EventParser(name=self._name)
        while data := await self._next():
            events = self._events.feed(data)
            if events:
                return events
        return self._events.end()

    async def next_lines(self) -> list[bytes]:
        """The next lines that aren't blank, as many as one read brings, at least one; none at the end of the stream."""
        if self._lines is None:
            await self._check_streams("application/x-ndjson", "application/json")
            self._lines = LineSplitter(name=self._name)
        while data := await self._next():
            lines = [line for line in self._lines.feed(data) if line and not line.isspace()]
            if lines:
                return lines
        return self._lines.end()

    async def finish(self) -> None:
        """Waits a moment for the end of an answer that is whole, as only then its connection can serve again."""
        if self._connection.is_whole:
            return
        with contextlib.suppress(HitchpostError, TimeoutError):
            async with asyncio.timeout(END_S):
                while await self._next():
                    pass

    def close(self) -> None:
        """Ends the connection unless the answer was read to its end: what is left of it must not be computed."""
        if not self._is_closed:
            self._is_closed = True
            self._patience.stop()
            self._release(self._connection)

    async def _next(self) -> bytes:
        """What has come since the last time, or comes next; nothing at the end."""
        connection, patience = self._connection, self._patience
        while not (data := connection.take()) and not connection.is_whole:
            connection.check()
            patience.begin_wait()
            try:
                await connection.arrival()
            finally:
                patience.end_wait()
        if not patience.has_begun and not connection.is_whole:
            patience.answer_began()
        return data

    async def _check_streams(self, *kinds: str) -> None:
        kind = self._connection.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/json") and kind not in kinds:
            answer = parse_json(self._name, await self.read())
            if find_server_error(answer) is not None:
                raise self._failure(answer)
            raise BadBackendAnswerError(f"{self._name} answered {self._what} as a whole, though a stream was asked for")

    def _failure(self, answer: Any) -> HitchpostError:
        error = find_server_error(answer)
        return self._refuse(500 if error is None else error.likely_status, error, self._what)


__all__ = ["MAX_ANSWER_BYTES", "Answer", "parse_json"]
