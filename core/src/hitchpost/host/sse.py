"""Server-sent events: one writer for both surfaces.

All events that are ready are written in one write, the first one at once, and nothing ever sleeps. The client's pace is the provider's: while
the client reads nothing, no event is asked for. The provider's generator is closed on every way out, which is what frees the provider.
"""

import asyncio
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

from aiohttp import web
from aiohttp.http import StreamWriter

from hitchpost.host.exchange import current_exchange
from hitchpost.host.json_text import encoded
from hitchpost.host.keys import LIFECYCLE, SETTINGS
from hitchpost.host.lifecycle import shutting_down
from hitchpost.host.settings import HostSettings
from hitchpost.host.surface import Surface, client_error

EventT = TypeVar("EventT")
EventT_contra = TypeVar("EventT_contra", contravariant=True)

_WRITE_AT_CHARS = 32 * 1024
_SOCKET_BUFFER_BYTES = 64 * 1024
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_HEARTBEAT = b": still working\n\n"


class StreamEncoder(Protocol[EventT_contra]):
    """Turns the events of one answer into the text of server-sent events. Each method may answer the empty text."""

    surface: Surface
    holds_status: bool
    """Whether the status waits for the first event, so that an early failure has its own, with heartbeats where that takes long."""

    def encode(self, event: EventT_contra) -> str:
        """The text for one event."""
        ...

    def end(self) -> str:
        """The text after the last event of a whole answer."""
        ...


async def stream_events(
    request: web.Request, events: AsyncGenerator[EventT, None], encoder: StreamEncoder[EventT]
) -> web.StreamResponse:
    """Answer with a stream.

    Raises:
        HitchpostError: the stream failed before its status was sent.
        ConnectionError: the client took nothing for too long.
    """
    exchange = current_exchange()
    exchange.is_stream = True
    output = _Output(request, request.app[SETTINGS])
    try:
        async with aclosing(events):
            if encoder.holds_status:
                output.start_heartbeats()
            else:
                await output.open()
            await _write_all(events, encoder, output)
    except asyncio.CancelledError:
        if not request.app[LIFECYCLE].takes_over():
            raise
        await _fail(output, encoder.surface, shutting_down())
    except ConnectionError:
        raise
    except Exception as error:
        if not output.is_open:
            raise
        await _fail(output, encoder.surface, error)
    finally:
        await output.stop_heartbeats()
    return output.response


async def _write_all(events: AsyncGenerator[EventT, None], encoder: StreamEncoder[EventT], output: "_Output") -> None:
    encode, add, flush = encoder.encode, output.add, output.flush
    try:
        while True:
            text = encode(await next_event(events, flush))
            if text and add(text):
                writing = flush()
                if writing is not None:
                    await writing
                # A provider that never waits would keep everybody else from running.
                await asyncio.sleep(0)
    except StopAsyncIteration:
        add(encoder.end())
        await output.close()


@types.coroutine
def next_event(
    events: AsyncGenerator[EventT, None], before_waiting: Callable[[], Awaitable[None] | None]
) -> Generator[Any, Any, EventT]:
    """The next event; `before_waiting` is called, and what it returns awaited, only where the event isn't there yet.

    This is `anext` taken apart: the generator runs up to its first wait, and that wait is passed on to the event loop after `before_waiting`.
    A task and a queue per stream would tell the same, for several times the cost of an event.

    Raises:
        StopAsyncIteration: there are no more.
        Exception: that of `before_waiting`. The generator is cancelled then, as when the client leaves: it is no failure of its own.
    """
    step: Any = events.__anext__()
    failure: Exception | None = None
    try:
        wait = step.send(None)
        try:
            waiting = before_waiting()
            if waiting is not None:
                yield from waiting.__await__()
        except Exception as error:  # noqa: BLE001 - raised below
            failure = error
            _current_task().cancel()
        except BaseException as error:  # noqa: BLE001 - it belongs to the generator, as with any await
            wait = step.throw(error)
        while True:
            try:
                result = yield wait
            except BaseException as error:  # noqa: BLE001 - as above
                wait = step.throw(error)
            else:
                wait = step.send(result)
    except StopIteration as done:
        if failure is None:
            event: EventT = done.value
            return event
    except (StopAsyncIteration, asyncio.CancelledError):
        if failure is None:
            raise
    finally:
        if failure is not None:
            _current_task().uncancel()
    raise failure


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _fail(output: "_Output", surface: Surface, error: Exception) -> None:
    """End a stream with its surface's error event, and without its mark of success."""
    exchange = current_exchange()
    shown = client_error(error, exchange.request_id)
    exchange.provider_id = exchange.provider_id or shown.provider_id
    if not output.is_open:
        raise shown
    exchange.failure = shown.code
    output.add(surface.error_event(shown))
    await output.close()


class _Output:
    """The response of one stream: opened at the first write, kept alive while it is silent."""

    def __init__(self, request: web.Request, settings: HostSettings) -> None:
        self.response = web.StreamResponse(headers=_HEADERS)
        current_exchange().name_in(self.response.headers)
        self.is_open = False
        self._is_chunked = False
        """Whether the response is open and sent in HTTP's chunks."""
        self._ready: list[str] = []
        self._ready_chars = 0
        self._has_written = False
        """Since the beginning, or the last heartbeat."""
        self._request = request
        self._protocol = request.protocol
        self._settings = settings
        self._timer: asyncio.TimerHandle | None = None
        self._heartbeats: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Send status and headers."""
        self.is_open = True
        writer = await self.response.prepare(self._request)
        self._is_chunked = isinstance(writer, StreamWriter) and writer.chunked
        if not self._is_chunked:
            # Only the connection's end tells that of the stream, whatever the client asked for.
            self.response.force_close()

    def add(self, text: str) -> bool:
        """Keep text for the next flush. Returns whether that is due now: because nothing was sent yet, or because it is much."""
        self._ready.append(text)
        self._ready_chars += len(text)
        return self._ready_chars >= _WRITE_AT_CHARS or not self._has_written

    def flush(self) -> Awaitable[None] | None:
        """Send what is ready. Returns None where that is done, else the rest of it, to be awaited."""
        if not self._ready:
            return None
        data = encoded("".join(self._ready))
        self._ready.clear()
        self._ready_chars = 0
        transport = self._protocol.transport
        if (
            not self._is_chunked
            or transport is None
            or len(data) >= _SOCKET_BUFFER_BYTES
            or transport.get_write_buffer_size()
            or transport.is_closing()
        ):
            return self._write(data)
        # The usual event, into an empty buffer. On aiohttp's way two coroutines and five functions would come to the same.
        self._has_written = True
        transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return None

    async def _write(self, data: bytes) -> None:
        """Waits while the client reads too slowly, and cuts the connection of one that doesn't read at all."""
        if not self.is_open:
            await self.open()
        self._has_written = True
        transport = self._protocol.transport
        if transport is None or (not transport.get_write_buffer_size() and len(data) < _SOCKET_BUFFER_BYTES):
            await self.response.write(data)
            return
        try:
            async with asyncio.timeout(self._settings.stalled_reader_s):
                await self.response.write(data)
        except TimeoutError as error:
            transport.abort()
            raise ConnectionResetError("the client stopped reading") from error

    async def close(self) -> None:
        """Send what is ready and end the response."""
        await self.stop_heartbeats()
        if not self.is_open:
            await self.open()
        await self.response.write_eof(encoded("".join(self._ready)))

    def start_heartbeats(self) -> None:
        """From now on, open the response and send a comment whenever it was silent for long."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._settings.first_event_s, self._begin)

    def _begin(self) -> None:
        self._heartbeats = asyncio.create_task(self._beat(), name="heartbeats")

    async def _beat(self) -> None:
        while True:
            transport = self._protocol.transport
            if transport is None:
                return
            if not self._has_written and transport.get_write_buffer_size() == 0:
                if not self.is_open:
                    await self.open()
                await self.response.write(_HEARTBEAT)
            self._has_written = False
            await asyncio.sleep(self._settings.first_event_s)

    async def stop_heartbeats(self) -> None:
        """No more heartbeats; returns when none is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heartbeats is not None:
            task, self._heartbeats = self._heartbeats, None
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                # A client that left is noticed by the stream itself.
                task.exception()


__all__ = ["StreamEncoder", "next_event", "stream_events"]
