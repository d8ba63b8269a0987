"""GET /v1/models and /v1/models/{id}."""

from aiohttp import web

from hitchpost.api import GetModelRequest, NoArguments
from hitchpost.errors import NotFoundError
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
    """One registered model; its id may contain slashes."""
    model_id = request.match_info["model_id"]
    model = await request.app[STACK].models.get_model(GetModelRequest(identifier=model_id), context_of(request))
    if model is None:
        message = f"model {model_id!r} is not registered; GET /v1/models lists the registered ones"
        raise NotFoundError(message, param="model")
    return json_response(encode.model(model, request.app[STARTED_AT]))


__all__ = ["get_model", "list_models"]
