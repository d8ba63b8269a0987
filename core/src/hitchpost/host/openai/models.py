"""GET /v1/models and /v1/models/{id}."""

from aiohttp import web

from hitchpost.api import NoArguments
from hitchpost.host.exchange import context_of
from hitchpost.host.json_text import json_response
from hitchpost.host.keys import STACK, STARTED_AT
from hitchpost.host.openai import encode


async def list_models(request: web.Request) -> web.StreamResponse:
    """The registered models."""
    models = await request.app[STACK].models.list_models(NoArguments(), context_of(request))
    created = request.app[STARTED_AT]
    return json_response({"object": "list", "data": [encode.model(model, created) for model in models]})


async def get_model(request: web.Request) -> web.StreamResponse:
    """The model that a request would reach by this name, under its registered id; names may contain slashes."""
    model = request.app[STACK].model_names.get_entry(request.match_info["model_id"]).resource
    return json_response(encode.model(model, request.app[STARTED_AT]))


__all__ = ["get_model", "list_models"]
