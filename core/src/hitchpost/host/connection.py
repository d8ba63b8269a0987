"""Connections that answer in the host's own words also what never becomes a request.

aiohttp would answer broken HTTP by itself: as plain text, without an id, and with the line in it that it could not read, which may hold a key.
"""

import asyncio
import logging
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import ContentLengthError, HttpProcessingError, LineTooLong, TransferEncodingError
from aiohttp.web_protocol import _ErrInfo

from hitchpost.errors import BadRequestError, HitchpostError
from hitchpost.host.exchange import REQUEST_ID_HEADER, begin_exchange
from hitchpost.host.keys import ANSWER
from hitchpost.host.openai.errors import OPENAI
from hitchpost.host.surface import client_error, error_response

log = logging.getLogger("hitchpost.host")

_WORDS: dict[type[HttpProcessingError], str] = {
    LineTooLong: "a line or a header of the request is too long",
    TransferEncodingError: "the request's body is framed wrongly: its chunks can't be told apart",
    ContentLengthError: "the request's body is framed wrongly: Content-Length is not its length",
}


class HostConnection(web.RequestHandler):
    """One connection. What can't be read as HTTP names no path, so its error has OpenAI's form."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Also tells a request that its body will never be whole; aiohttp's parser would let its handler wait."""
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._end_body()

    def resume_reading(self, *given: bool, **named: bool) -> None:
        """Only after a pause: aiohttp asks for it with every body that is read, and then parses nothing once more.

        Before 3.14 it gives no argument.
        """
        if self._reading_paused:
            super().resume_reading(*given, **named)

    def _end_body(self) -> None:
        """Makes sure that a request whose body broke gets one answer: its handler's, or the general one where it has no handler yet."""
        if len(self._messages) > 1:
            if not self._messages[-2][1].is_eof():
                del self._messages[-2]
        elif self._current_request is not None and not self._current_request.content.is_eof():
            self._messages.pop()
            self._current_request.content.set_exception(web.RequestPayloadError("it is framed wrongly"))
            self._current_request.content.feed_eof()
            self.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to broken HTTP (status 400), or to what went wrong outside of every handler."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("the connection broke after the answer had begun")
        request_id = begin_exchange(request).request_id
        shown: HitchpostError
        if isinstance(exc, HttpProcessingError) or status == 400:
            log.info("request %s can't be read as HTTP: %s", request_id, type(exc).__name__)
            words = next((words for kind, words in _WORDS.items() if isinstance(exc, kind)), None)
            shown = BadRequestError(words or "the request can't be read as HTTP/1.1")
        else:
            shown = client_error(exc if isinstance(exc, Exception) else TimeoutError(), request_id)
        response = error_response(OPENAI, shown)
        response.headers[REQUEST_ID_HEADER] = request_id
        response.force_close()
        return response


class _HostServer(web.Server):
    def __call__(self) -> web.RequestHandler:
        return HostConnection(self, loop=self._loop, **self._kwargs)


class HostRunner(web.AppRunner):
    """Runs an application behind `HostConnection`s, each request by what the application has as `ANSWER`."""

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        return _HostServer(
            cast("Any", self.app[ANSWER]),
            request_factory=plain.request_factory,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )


__all__ = ["HostConnection", "HostRunner"]
