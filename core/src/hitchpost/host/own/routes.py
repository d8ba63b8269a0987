"""The routes of `/hitchpost/v1`."""

from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from aiohttp.typedefs import Handler

from hitchpost.api import WireModel
from hitchpost.host.json_text import json_response
from hitchpost.host.keys import STACK
from hitchpost.stack.inspect import ProviderStatus

# --- answers ---


class ProviderList(WireModel):
    """Answer of /hitchpost/v1/providers."""

    object: Literal["list"] = "list"
    data: list[ProviderStatus]


# --- handlers ---


async def list_providers(request: web.Request) -> web.StreamResponse:
    """Each provider with its state, its package, what it serves and what callers may send for it."""
    return json_response(ProviderList(data=request.app[STACK].inspect.provider_statuses()))


# --- routes ---


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """A route and the type of its answer."""

    verb: Literal["GET", "POST"]
    path: str
    handler: Handler
    answer: Any


OWN_ROUTES = (OwnRoute("GET", "/hitchpost/v1/providers", list_providers, ProviderList),)


def own_routes() -> list[web.RouteDef]:
    """The routes as aiohttp takes them."""
    return [web.route(route.verb, route.path, route.handler) for route in OWN_ROUTES]


__all__ = ["OWN_ROUTES", "OwnRoute", "ProviderList", "own_routes"]
