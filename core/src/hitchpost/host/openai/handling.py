"""What the handlers of the OpenAI surface share."""

from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel

from hitchpost.host.body import is_json, parse_json_body, read_body
from hitchpost.host.exchange import current_exchange
from hitchpost.host.keys import SETTINGS, STACK

ModelT = TypeVar("ModelT", bound=BaseModel)


async def read_json(request: web.Request, model: type[ModelT]) -> ModelT:
    """The body as `model`.

    Raises:
        BadRequestError: it isn't JSON or doesn't validate.
        web.HTTPUnsupportedMediaType: it says that it is something else.
    """
    if not is_json(request):
        raise web.HTTPUnsupportedMediaType(text="send the body as Content-Type application/json")
    app = request.app
    raw = await read_body(request, app[STACK].server.max_body_bytes, app[SETTINGS].body_timeout_s)
    body = parse_json_body(model, raw)
    current_exchange().model = getattr(body, "model", None)
    return body


__all__ = ["read_json"]
