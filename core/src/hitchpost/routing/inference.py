"""The router of inference: what dependents and both surfaces call."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar, cast

from hitchpost.api import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionEvent,
    CompletionRequest,
    CompletionResponse,
    EmbeddingsRequest,
    EmbeddingsResponse,
    Finish,
    InferenceEvent,
    Model,
    RequestContext,
    needed_capabilities,
)
from hitchpost.errors import UnsupportedError
from hitchpost.plugin import InferenceProvider
from hitchpost.plugin.collect import check_all_finished
from hitchpost.routing.gate import ProviderGate
from hitchpost.routing.resolve import Resolver

RequestT = TypeVar("RequestT", bound=ChatCompletionRequest | CompletionRequest | EmbeddingsRequest)


class InferenceRouter:
    """Implements `hitchpost.api.Inference` by asking the provider that owns the model which the request names.

    Args:
        models: finds the model.
        gates: the inference providers by id.
    """

    def __init__(self, models: Resolver[Model], gates: Mapping[str, ProviderGate]) -> None:
        self._models = models
        self._gates = gates

    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        """Continue a text and answer the whole continuation."""
        gate, request, context = self._route(request, context)
        async with gate.admit(context) as admitted:
            return await gate.answer(_provider(gate).completion(request, admitted), admitted)

    def stream_completion(
        self, request: CompletionRequest, context: RequestContext
    ) -> AsyncGenerator[CompletionEvent, None]:
        """Continue a text, event by event."""
        return self._stream(InferenceProvider.stream_completion.__name__, request, context)

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """Answer a conversation with the whole answer."""
        gate, request, context = self._route(request, context)
        async with gate.admit(context) as admitted:
            return await gate.answer(_provider(gate).chat_completion(request, admitted), admitted)

    def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncGenerator[InferenceEvent, None]:
        """Answer a conversation, event by event."""
        return self._stream(InferenceProvider.stream_chat_completion.__name__, request, context)

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """Turn texts into vectors."""
        gate, request, context = self._route(request, context)
        async with gate.admit(context) as admitted:
            return await gate.answer(_provider(gate).embeddings(request, admitted), admitted)

    async def _stream(
        self, operation: str, request: ChatCompletionRequest | CompletionRequest, context: RequestContext
    ) -> AsyncGenerator[Any, None]:
        gate, request, context = self._route(request, context)
        finished: set[int] = set()
        async with gate.admit(context) as admitted:
            stream = getattr(_provider(gate), operation)(request, admitted)
            async with aclosing(gate.events(stream, admitted)) as events:
                async for event in events:
                    if type(event) is Finish:
                        finished.add(event.choice)
                    yield event
            check_all_finished(finished, request.sampling_params.n, provider_id=gate.provider_id)

    def _route(self, request: RequestT, context: RequestContext) -> tuple[ProviderGate, RequestT, RequestContext]:
        model = self._models.get(request.model_id)
        gate = self._gates[model.provider_id]
        gate.check_serving()
        _check_capabilities(request, model, gate)
        return gate, request, replace(context, resource=model)


def _provider(gate: ProviderGate) -> InferenceProvider[Any]:
    return cast("InferenceProvider[Any]", gate.provider)


def _check_capabilities(request: RequestT, model: Model, gate: ProviderGate) -> None:
    can = gate.capabilities
    narrowed = model.metadata.get("capabilities")
    if isinstance(narrowed, list):
        can = can & frozenset(narrowed)
    for capability, field in needed_capabilities(request):
        if capability not in can:
            message = (
                f"{field}: model {model.identifier!r} of provider {gate.provider_id} does not support {capability}"
            )
            raise UnsupportedError(message, param=field, provider_id=gate.provider_id)


__all__ = ["InferenceRouter"]
