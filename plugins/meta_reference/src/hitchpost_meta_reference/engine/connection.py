"""A host's connection to one engine process: requests go out, their events come back sorted by request.

It lives as long as the process answers. When that ends, by a crash, a lost heartbeat or the end of the socket, every waiting request gets the same
error.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any, overload

from pydantic_core import PydanticSerializationError

from hitchpost import errors
from hitchpost.errors import BadRequestError, HitchpostError, RequestTooLargeError
from hitchpost_meta_reference.engine.protocol import (
    Cancel,
    Done,
    Embed,
    End,
    Failed,
    Ping,
    ProtocolError,
    Ready,
    RequestFailed,
    Stats,
    Step,
    Submit,
    Text,
    Vectors,
    encode,
    read_from_engine,
)

AnswerEvent = Text | End | Done
VectorEvent = Vectors | Done
RequestEvent = AnswerEvent | VectorEvent
_SILENT_INTERVALS = 4
_MERGE_FROM_EVENTS = 256
_ERRORS: dict[str, type[HitchpostError]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HitchpostError)
}
"""By their codes, which is how an engine tells of them."""


class EventQueue:
    """Events of one request that nobody has taken yet.

    A slow reader doesn't slow the engine down, and doesn't fill the memory either: from some length on text is appended to
    the newest event of its choice.
    """

    def __init__(self) -> None:
        self._events: deque[RequestEvent] = deque()
        self._newest_text: dict[int, Text] = {}
        self._error: HitchpostError | None = None
        self._is_filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: RequestEvent) -> None:
        """Adds an event."""
        if isinstance(event, Text):
            newest = self._newest_text.get(event.choice)
            if len(self._events) >= _MERGE_FROM_EVENTS and newest is not None:
                newest.text += event.text
                if newest.logprobs is not None:
                    newest.logprobs += event.logprobs or ()
                return
            self._newest_text[event.choice] = event
        self._events.append(event)
        self._is_filled.set()

    def fail(self, error: HitchpostError) -> None:
        """Ends the queue: the error is raised once all events are taken."""
        self._error = error
        self._is_filled.set()

    async def take(self) -> RequestEvent:
        """The oldest event, as soon as there is one. Raises what `fail` was given."""
        while not self._events:
            if self._error is not None:
                raise self._error
            self._is_filled.clear()
            await self._is_filled.wait()
        event = self._events.popleft()
        if self._newest_text and isinstance(event, Text) and self._newest_text.get(event.choice) is event:
            del self._newest_text[event.choice]
        return event


class EngineConnection:
    """Requests to an engine that is ready.

    Args:
        reader, writer: the socket; `ready` was its first message.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ready: Ready) -> None:
        self.facts = ready.facts
        self.stats = Stats()
        """The newest figures that the engine sent."""
        self._reader = reader
        self._writer = writer
        self._queues: dict[int, EventQueue] = {}
        self._ids = count(1)
        self._messages_heard = 0

    @overload
    def stream(self, request: Submit) -> AsyncGenerator[AnswerEvent, None]: ...
    @overload
    def stream(self, request: Embed) -> AsyncGenerator[VectorEvent, None]: ...
    async def stream(self, request: Submit | Embed) -> AsyncGenerator[Any, None]:
        """Sends a request and yields its events up to `Done`; closing the generator cancels the request.

        Raises:
            RequestTooLargeError: the request doesn't fit a frame.
            HitchpostError: what the engine or `fail` said.
        """
        request.request_id = next(self._ids)
        frame = _frame(request)
        queue = self._queues[request.request_id] = EventQueue()
        try:
            self._writer.write(frame)
            while True:
                event = await queue.take()
                if isinstance(event, Done):
                    del self._queues[request.request_id]
                    yield event
                    return
                yield event
        finally:
            if self._queues.pop(request.request_id, None) is not None and not self._writer.is_closing():
                self._writer.write(encode(Cancel(request.request_id)))

    async def receive(self) -> str | None:
        """Sorts what the engine sends, until the connection ends. Returns the engine's own reason, if it gave one.

        Raises:
            ProtocolError: the engine sent what nobody can read.
        """
        while (message := await read_from_engine(self._reader)) is not None:
            self._messages_heard += 1
            if isinstance(message, Failed):
                return message.message
            if not isinstance(message, Ready):
                self.stats = message.stats
            if isinstance(message, Step):
                for event in message.events:
                    self._sort(event)
        return None

    async def watch(self, heartbeat_timeout_s: float, step_timeout_s: float) -> str:
        """Returns, with the reason, when the engine has been silent or busy with one step for too long.

        Intervals are counted and not seconds, so that a host that was itself stopped for a while doesn't blame the engine.
        """
        silent = 0
        while silent < _SILENT_INTERVALS:
            heard = self._messages_heard
            self._writer.write(encode(Ping()))
            await asyncio.sleep(heartbeat_timeout_s / _SILENT_INTERVALS)
            silent = silent + 1 if self._messages_heard == heard else 0
            if self.stats.step_age_s > step_timeout_s:
                return f"was busy with one step for more than {step_timeout_s:g} s"
        return f"did not answer for {heartbeat_timeout_s:g} s"

    def fail(self, error: HitchpostError) -> None:
        """Ends every waiting request with `error`."""
        for queue in self._queues.values():
            queue.fail(error)
        self._queues.clear()

    def _sort(self, event: RequestEvent | RequestFailed) -> None:
        if isinstance(event, RequestFailed):
            queue = self._queues.pop(event.request_id, None)
            if queue is not None:
                queue.fail(_error(event))
        else:
            queue = self._queues.get(event.request_id)
            # Absent: events that were on their way when the request was cancelled.
            if queue is not None:
                queue.put(event)


def _frame(request: Submit | Embed) -> bytes:
    try:
        return encode(request)
    except ProtocolError as error:
        raise RequestTooLargeError(f"the request is too large for the engine: {error}") from error
    except PydanticSerializationError as error:
        raise BadRequestError("the request's text is not valid Unicode: it has half of a surrogate pair") from error


def _error(event: RequestFailed) -> HitchpostError:
    return _ERRORS.get(event.code, HitchpostError)(event.message, param=event.param)


__all__ = ["AnswerEvent", "EngineConnection", "EventQueue", "RequestEvent", "VectorEvent"]
