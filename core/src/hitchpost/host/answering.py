"""What every request passes through: request id, browser guard, error bodies, metrics and the access log."""

import asyncio
import json
import logging
import time
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from hitchpost.host.browser_guard import BrowserGuard
from hitchpost.host.exchange import Exchange, begin_exchange
from hitchpost.host.lifecycle import Lifecycle, shutting_down
from hitchpost.host.metrics import HostMetrics
from hitchpost.host.native.errors import NATIVE
from hitchpost.host.openai.errors import OPENAI
from hitchpost.host.operations import OPERATIONS
from hitchpost.host.own.errors import OWN
from hitchpost.host.surface import Surface, client_error, error_response, http_error_response
from hitchpost.routing import Span, Tracer

access_log = logging.getLogger("hitchpost.access")

_LOGGED_MODEL_CHARS = 200
CLIENT_GONE = 499
"""Status in log and metrics of a request whose client left before the answer was whole; nobody receives it."""


class Place(NamedTuple):
    """Where a request goes."""

    match: UrlMappingMatchInfo
    route: str
    is_operation: bool
    surface: Surface


class Answering:
    """Answers the requests to an application.

    It stands in aiohttp's own place between connection and handler, since a middleware there costs a twentieth of a whole answer.
    """

    def __init__(
        self,
        app: web.Application,
        guard: BrowserGuard,
        lifecycle: Lifecycle,
        metrics: HostMetrics,
        tracer: Tracer | None,
    ) -> None:
        self._app = app
        self._guard = guard
        self._lifecycle = lifecycle
        self._count = metrics.requests.count
        self._tracer = tracer
        self._fixed: dict[tuple[str, str], Place] = {}
        """What a method and a fixed path match never changes, so that it is searched for once."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The answer to a request, also to one that fails."""
        exchange = begin_exchange(request)
        place = self._fixed.get((request.method, request.raw_path)) or await self._find_place(request)
        match, route, is_operation, surface = place
        request._match_info = match  # noqa: SLF001 - as an application does it
        status = CLIENT_GONE
        if self._tracer is not None and not is_operation:
            exchange.span = _begin_span(self._tracer, request, route, exchange, surface)
        try:
            try:
                self._guard.check(request)
                if hdrs.EXPECT in request.headers:
                    await _meet_expectation(request, match)
                if is_operation:
                    response = await match.handler(request)
                else:
                    task = self._lifecycle.begin()
                    try:
                        response = await match.handler(request)
                    finally:
                        self._lifecycle.end(task)
            except Exception as error:  # noqa: BLE001 - answered, and logged where nobody foresaw it
                response = _answer_to(error, request, surface, exchange)
            except asyncio.CancelledError:
                if not self._lifecycle.takes_over():
                    raise
                response = error_response(surface, shutting_down())
            status = response.status
            if not response.prepared:
                exchange.name_in(response.headers)
            return response
        finally:
            duration_s = time.monotonic() - exchange.started
            name = "operations" if is_operation else surface.name
            self._count(name, route, status, duration_s, is_stream=exchange.is_stream)
            # A line for each request that went well would cost as much as routing it; the metrics count those.
            went_well = status < 400 and exchange.failure is None
            level = logging.DEBUG if is_operation or went_well else logging.INFO
            if access_log.isEnabledFor(level):
                _log_access(level, request, exchange, status, duration_s)
            if exchange.span is not None:
                _end_span(exchange.span, exchange, status)

    async def _find_place(self, request: web.Request) -> Place:
        match = await self._app.router.resolve(request)
        match.add_app(self._app)
        place = Place(match, _route_of(match), *_surface_of(request.path))
        # Kept only under the path as we write it: of the ways to write it in percent codes there are too many.
        if isinstance(match.route.resource, web.PlainResource) and request.raw_path == place.route:
            self._fixed[request.method, place.route] = place
        return place


async def _meet_expectation(request: web.Request, match: UrlMappingMatchInfo) -> None:
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        # aiohttp's own refusal repeats the header.
        raise web.HTTPExpectationFailed(text="the only expectation that is met is 100-continue")
    await match.expect_handler(request)


def _surface_of(path: str) -> tuple[bool, Surface]:
    """Whether the path is one of the host's own operations, and the dialect in which its errors are written."""
    if path == "/v1" or path.startswith("/v1/"):
        return False, OPENAI
    if path.startswith("/hitchpost/"):
        return False, OWN
    return path in OPERATIONS, NATIVE


def _route_of(match: UrlMappingMatchInfo) -> str:
    """The route's pattern: paths themselves would make a label without bounds."""
    resource = match.route.resource
    return "unmatched" if resource is None else resource.canonical


def _begin_span(tracer: Tracer, request: web.Request, route: str, exchange: Exchange, surface: Surface) -> Span | None:
    known = {"request_id": exchange.request_id, "surface": surface.name}
    return tracer.begin_request(f"{request.method} {route}", request.headers.get("traceparent"), **known)


def _end_span(span: Span, exchange: Exchange, status: int) -> None:
    model = None if exchange.model is None else exchange.model[:_LOGGED_MODEL_CHARS]
    failed = "cancelled" if status == CLIENT_GONE else f"status_{status}"
    outcome = exchange.failure or ("ok" if status < HTTPStatus.BAD_REQUEST else failed)
    span.end(outcome, model=model, status=status)


def _answer_to(error: Exception, request: web.Request, surface: Surface, exchange: Exchange) -> web.StreamResponse:
    if isinstance(error, ConnectionError):
        raise error
    if isinstance(error, web.HTTPNotFound) and _exists_without_slash(request):
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        return web.Response(status=307, headers={"Location": request.rel_url.raw_path.rstrip("/") + query})
    if isinstance(error, web.HTTPException):
        return http_error_response(surface, error, request)
    shown = client_error(error, exchange.request_id)
    exchange.provider_id = exchange.provider_id or shown.provider_id
    return error_response(surface, shown)


def _exists_without_slash(request: web.Request) -> bool:
    path = request.path.rstrip("/")
    return path != request.path and any(path == resource.canonical for resource in request.app.router.resources())


def _log_access(level: int, request: web.Request, exchange: Exchange, status: int, duration_s: float) -> None:
    fields: dict[str, object] = {
        "request_id": exchange.request_id,
        "method": request.method,
        "path": request.rel_url.raw_path,
        "status": status,
        "duration_ms": round(duration_s * 1000, 1),
    }
    text = f"{fields['method']} {fields['path']} {status} {fields['duration_ms']} ms {exchange.request_id}"
    if exchange.model is not None:
        fields["model"] = exchange.model[:_LOGGED_MODEL_CHARS]
        # Quoted, since a caller chose it: it must not forge a line.
        text += f" model={json.dumps(fields['model'])}"
    if exchange.provider_id is not None:
        fields["provider"] = exchange.provider_id
        text += f" provider={exchange.provider_id}"
    if exchange.failure is not None:
        fields["stream_error"] = exchange.failure
        text += f" stream_error={exchange.failure}"
    access_log.log(level, "%s", text, extra={"fields": fields})


__all__ = ["CLIENT_GONE", "Answering"]
