"""The base classes of providers: a config, a life cycle, and the methods of the API that it serves."""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from hitchpost.api import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionEvent,
    CompletionRequest,
    CompletionResponse,
    EmbeddingsRequest,
    EmbeddingsResponse,
    Inference,
    InferenceEvent,
    Models,
    RequestContext,
)
from hitchpost.errors import UnsupportedError
from hitchpost.plugin.collect import collect_chat, collect_completion

ConfigT = TypeVar("ConfigT", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDeps:
    """What the host hands to a provider's factory: one attribute per API that it `needs` or `uses`, else None, and the following."""

    provider_id: str
    state_dir: Path
    """A folder of the provider's own for what it must remember; made when it is first needed, by the provider."""
    log: logging.Logger
    inference: Inference | None = None
    models: Models | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure for `/metrics`. The host adds the labels `api` and `provider_id` and the prefix `hitchpost_provider_`."""

    name: str
    """Snake case, with its unit: `generated_tokens_total`."""
    kind: Literal["counter", "gauge"]
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Provider(Generic[ConfigT]):
    """A configured provider. `__init__` only stores; connections and processes are opened in `start` and closed in `stop`.

    Args:
        config: validated by the type's `config` class.
        deps: what the host hands over.
    """

    def __init__(self, config: ConfigT, deps: ProviderDeps) -> None:
        self.config = config
        self.deps = deps
        self.log = deps.log

    async def start(self) -> None:
        """Get ready to serve. Starting twice is starting once; after a failure it is called again later.

        Raises:
            HitchpostError: why it can't serve; it is tried again in the background unless the error says it is permanent.
        """

    async def stop(self) -> None:
        """Let go of everything that `start` took, also when it took only half of it. Must end by itself."""

    async def health(self) -> None:
        """Returns when the provider can serve, and raises the reason when it can't; the host then shows it as degraded."""

    def metrics(self) -> Iterable[Metric]:
        """Figures that are worth watching, read at each visit of `/metrics`; must not block."""
        return ()


class InferenceProvider(Provider[ConfigT]):
    """A provider of the API inference.

    Implement the streams that your backend can do. The whole answers are collected from them, so that the two can't disagree; a provider
    in front of a server may override the whole answer with the server's own.
    Provider hooks (`list_models`, `register_model`, `unregister_model`) are optional coroutine methods.
    """

    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        """The whole continuation of a text. See `hitchpost.api.Inference`."""
        async with aclosing(_generator(self.stream_completion(request, context))) as events:
            return await collect_completion(events, request.sampling_params.n)

    async def stream_completion(
        self, request: CompletionRequest, context: RequestContext
    ) -> AsyncIterator[CompletionEvent]:
        """The continuation of a text, event by event. See `hitchpost.api.Inference`."""
        raise self._unsupported("completion")
        yield

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """The whole answer to a conversation. See `hitchpost.api.Inference`."""
        async with aclosing(_generator(self.stream_chat_completion(request, context))) as events:
            return await collect_chat(events, request.sampling_params.n)

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """The answer to a conversation, event by event. See `hitchpost.api.Inference`."""
        raise self._unsupported("chat completion")
        yield

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """Vectors of texts. See `hitchpost.api.Inference`."""
        raise self._unsupported("embeddings")

    def _unsupported(self, what: str) -> UnsupportedError:
        provider_id = self.deps.provider_id
        return UnsupportedError(f"provider {provider_id} does not serve {what}", param="model", provider_id=provider_id)


def _generator(events: AsyncIterator[Any]) -> Any:
    """Async generators have `aclose`; a stream that is a plain async iterator gets one that does nothing."""
    if hasattr(events, "aclose"):
        return events
    return (event async for event in events)


__all__ = ["ConfigT", "InferenceProvider", "Metric", "Provider", "ProviderDeps"]
