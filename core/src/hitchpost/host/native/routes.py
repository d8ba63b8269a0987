"""The native routes: one generic handler over the route declarations of the Protocols."""

from collections.abc import Iterator
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from hitchpost.api import NATIVE_PREFIX, PROTOCOLS, Api, Route, routes_of
from hitchpost.errors import BadRequestError
from hitchpost.host.body import InvalidRequestError, is_json, parse_json_body, parse_query, read_body
from hitchpost.host.exchange import context_of, current_exchange
from hitchpost.host.json_text import json_bytes, json_response
from hitchpost.host.keys import SETTINGS, STACK
from hitchpost.host.native.encode import native_answer
from hitchpost.host.native.october import SAME, Difference, error_of_then, october_routes, todays_fields
from hitchpost.host.native.streams import STREAMED
from hitchpost.host.sse import stream_events


def native_routes() -> Iterator[web.RouteDef]:
    """A route for every operation that the Protocols declare."""
    for api, protocol in PROTOCOLS.items():
        for route in routes_of(protocol):
            yield web.route(route.verb, NATIVE_PREFIX + route.path, _handler(api, route, SAME))


def october_2024_routes() -> Iterator[web.RouteDef]:
    """The same operations as they were called in October 2024."""
    return october_routes(_handler)


def _handler(api: Api, route: Route, difference: Difference) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        asked = await _read(request, route, difference)
        context = context_of(request)
        operations = request.app[STACK].get_router(api)
        if route.stream_operation is not None and getattr(asked, "stream", False):
            events = getattr(operations, route.stream_operation)(asked, context)
            return await stream_events(request, events, STREAMED[route.request][0]())
        answer = native_answer(await getattr(operations, route.operation)(asked, context))
        if difference.answer is not None:
            answer = difference.answer(from_json(json_bytes(answer)))
        return json_response(answer)

    return handle


async def _read(request: web.Request, route: Route, difference: Difference) -> BaseModel:
    try:
        asked = await _parsed(request, route, difference)
    except InvalidRequestError as error:
        raise error if difference is SAME else error_of_then(error, difference) from None
    current_exchange().model = getattr(asked, "model_id", None) or getattr(asked, "model", None)
    sampling = getattr(asked, "sampling_params", None)
    if sampling is not None and sampling.n > 1:
        message = "sampling_params.n: an answer has one message here; ask for several at /v1/chat/completions"
        raise BadRequestError(message, param="sampling_params.n")
    return asked


async def _parsed(request: web.Request, route: Route, difference: Difference) -> BaseModel:
    if route.verb == "GET":
        return parse_query(route.request, todays_fields(dict(request.query), difference))
    raw = await read_body(request, request.app[STACK].server.max_body_bytes, request.app[SETTINGS].body_timeout_s)
    # 0.0.53 read only JSON bodies; any other type made every field look missing.
    raw = raw if raw and is_json(request) else b"{}"
    if route.in_query or difference is not SAME:
        raw = _completed(raw, request, route, difference)
    return parse_json_body(route.request, raw)


def _completed(raw: bytes, request: web.Request, route: Route, difference: Difference) -> bytes:
    """The body with today's names, and with those fields from the query that it lacks; one that is no object is left to be refused."""
    try:
        body = from_json(raw)
    except ValueError:
        return raw
    if not isinstance(body, dict):
        return raw
    in_query = {name: request.query[name] for name in route.in_query if name in request.query}
    return to_json(in_query | todays_fields(body, difference))


__all__ = ["native_routes", "october_2024_routes"]
