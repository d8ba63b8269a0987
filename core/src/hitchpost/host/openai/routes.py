"""The route table of the OpenAI surface, with what the OpenAPI document says of each route."""

from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from hitchpost.host.openai import answers, wire
from hitchpost.host.openai.chat import chat_completions
from hitchpost.host.openai.completions import completions
from hitchpost.host.openai.embeddings import embeddings
from hitchpost.host.openai.models import get_model, list_models


@dataclass(frozen=True, slots=True)
class OpenAIRoute:
    """A route, the types of its request and answer, and of its chunks where it streams."""

    verb: Literal["GET", "POST"]
    path: str
    handler: Handler
    answer: Any
    request: type[BaseModel] | None = None
    chunk: Any = None


OPENAI_ROUTES = (
    OpenAIRoute(
        "POST",
        "/v1/chat/completions",
        chat_completions,
        answers.ChatCompletion,
        wire.ChatCompletionRequest,
        answers.ChatCompletionChunk,
    ),
    OpenAIRoute("POST", "/v1/completions", completions, answers.Completion, wire.CompletionRequest, answers.Completion),
    OpenAIRoute("POST", "/v1/embeddings", embeddings, answers.Embeddings, wire.EmbeddingsRequest),
    OpenAIRoute("GET", "/v1/models", list_models, answers.ModelList),
    OpenAIRoute("GET", "/v1/models/{model_id:.+}", get_model, answers.Model),
)


def openai_routes() -> list[web.RouteDef]:
    """The routes as aiohttp takes them."""
    return [web.route(route.verb, route.path, route.handler) for route in OPENAI_ROUTES]


__all__ = ["OPENAI_ROUTES", "OpenAIRoute", "openai_routes"]
