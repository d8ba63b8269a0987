"""POST /v1/embeddings."""

from aiohttp import web

from hitchpost.host.exchange import context_of
from hitchpost.host.json_text import json_response
from hitchpost.host.keys import STACK
from hitchpost.host.openai import encode, translate, wire
from hitchpost.host.openai.handling import read_json


async def embeddings(request: web.Request) -> web.StreamResponse:
    """Turn texts into vectors."""
    body = await read_json(request, wire.EmbeddingsRequest)
    answer = await request.app[STACK].inference.embeddings(translate.to_embeddings_request(body), context_of(request))
    return json_response(encode.embeddings(answer, body.model, as_base64=body.encoding_format == "base64"))


__all__ = ["embeddings"]
