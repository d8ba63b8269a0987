"""The answer of a server while it comes in."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from hitchpost.errors import BadBackendAnswerError, HitchpostError
from hitchpost.remote.config import RemoteConfig
from hitchpost.remote.events import EventParser, LineSplitter, ServerEvent
from hitchpost.remote.patience import Patience
from hitchpost.remote.refusals import ServerError, find_server_error
from hitchpost.remote.transport import is_lost, lost_in_answer

if TYPE_CHECKING:
    import aiohttp

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

    def __init__(
        self,
        response: "aiohttp.ClientResponse",
        name: str,
        what: str,
        config: RemoteConfig,
        ends_at: float,
        first_byte_timeout_s: float,
        refuse: Refuse,
    ) -> None:
        self._response = response
        self._content = response.content
        self._name = name
        self._what = what
        self._between_chunks_timeout_s = config.between_chunks_timeout_s
        self._patience = Patience(name, first_byte_timeout_s, ends_at, self._content.set_exception)
        self._refuse = refuse
        self._events: EventParser | None = None
        self._lines: LineSplitter | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Looked up whatever their case."""
        return self._response.headers

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
            self._events = EventParser()
        while data := await self._next():
            events = self._events.feed(data)
            if events:
                return events
        return self._events.end()

    async def next_lines(self) -> list[bytes]:
        """The next lines that aren't blank, as many as one read brings, at least one; none at the end of the stream."""
        if self._lines is None:
            await self._check_streams("application/x-ndjson", "application/json")
            self._lines = LineSplitter()
        while data := await self._next():
            lines = [line for line in self._lines.feed(data) if line and not line.isspace()]
            if lines:
                return lines
        return self._lines.end()

    async def finish(self) -> None:
        """Waits a moment for the end of an answer that is whole, as only then its connection can serve again."""
        if self._content.at_eof():
            return
        with contextlib.suppress(HitchpostError, TimeoutError):
            async with asyncio.timeout(END_S):
                while await self._next():
                    pass

    def lose(self) -> None:
        """Ends the wait of whoever reads: the pool is closed, of which aiohttp tells a reader nothing."""
        self._content.set_exception(ConnectionResetError())

    def close(self) -> None:
        """Ends the connection unless the answer was read to its end: what is left of it must not be computed."""
        self._patience.stop()
        self._response.close()

    async def _next(self) -> bytes:
        """What has come since the last time, or comes next; nothing at the end."""
        content, patience = self._content, self._patience
        try:
            data = content.read_nowait(-1)
            if not data and not content.at_eof():
                patience.begin_wait()
                try:
                    data = await content.readany()
                finally:
                    patience.end_wait()
        except Exception as error:
            if not is_lost(error):
                raise
            raise lost_in_answer(self._name) from None
        if not patience.has_begun:
            patience.answer_began(self._between_chunks_timeout_s)
        return data

    async def _check_streams(self, *kinds: str) -> None:
        kind = self._response.content_type if "Content-Type" in self._response.headers else ""
        if kind in ("text/html", "application/json") and kind not in kinds:
            answer = parse_json(self._name, await self.read())
            if find_server_error(answer) is not None:
                raise self._failure(answer)
            raise BadBackendAnswerError(f"{self._name} answered {self._what} as a whole, though a stream was asked for")

    def _failure(self, answer: Any) -> HitchpostError:
        error = find_server_error(answer)
        return self._refuse(500 if error is None else error.likely_status, error, self._what)


__all__ = ["MAX_ANSWER_BYTES", "Answer", "parse_json"]
