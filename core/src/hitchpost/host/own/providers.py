"""GET /hitchpost/v1/providers."""

from typing import Literal

from aiohttp import web

from hitchpost.api import WireModel
from hitchpost.host.json_text import json_response
from hitchpost.host.keys import STACK
from hitchpost.stack.inspect import ProviderStatus


class ProviderList(WireModel):
    """Answer of /hitchpost/v1/providers."""

    object: Literal["list"] = "list"
    data: list[ProviderStatus]


async def list_providers(request: web.Request) -> web.StreamResponse:
    """Each provider with its state, its package, what it serves and what callers may send for it."""
    return json_response(ProviderList(data=request.app[STACK].inspect.provider_statuses()))


__all__ = ["ProviderList", "list_providers"]
