"""The router of inference: what dependents and both surfaces call."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionEvent,
    CompletionRequest,
    CompletionResponse,
    EmbeddingsRequest,
    EmbeddingsResponse,
    InferenceEvent,
    Model,
    RequestContext,
    needed_capabilities,
)
from hitchpost.errors import HitchpostError, UnsupportedError, quoted
from hitchpost.routing.gate import ProviderGate
from hitchpost.routing.resolve import Resolver

InferenceRequest = ChatCompletionRequest | CompletionRequest | EmbeddingsRequest


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
        answer: CompletionResponse = await self._answer("completion", request, context)
        return answer

    def stream_completion(
        self, request: CompletionRequest, context: RequestContext
    ) -> AsyncGenerator[CompletionEvent, None]:
        """Continue a text, event by event."""
        return self._stream("stream_completion", request, context)

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """Answer a conversation with the whole answer."""
        answer: ChatCompletionResponse = await self._answer("chat_completion", request, context)
        return answer

    def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncGenerator[InferenceEvent, None]:
        """Answer a conversation, event by event."""
        return self._stream("stream_chat_completion", request, context)

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """Turn texts into vectors."""
        answer: EmbeddingsResponse = await self._answer("embeddings", request, context)
        return answer

    def max_concurrent(self, model_id: str) -> int:
        """How many requests for a model its provider works on at the same time.

        Raises:
            NotFoundError, BadRequestError, BackendUnavailableError: as a request for the model would.
        """
        return self._gates[self._models.get(model_id).provider_id].limits.max_concurrent

    async def _answer(self, operation: str, request: InferenceRequest, context: RequestContext) -> Any:
        gate, model = self._route(request)
        return await gate.answer(operation, request, context, model)

    def _stream(
        self, operation: str, request: ChatCompletionRequest | CompletionRequest, context: RequestContext
    ) -> AsyncGenerator[Any, None]:
        try:
            gate, model = self._route(request)
        except HitchpostError as error:
            return _failed(error)
        return gate.events(operation, request, context, model, choices=request.sampling_params.n)

    def _route(self, request: InferenceRequest) -> tuple[ProviderGate, Model]:
        model = self._models.get(request.model_id)
        gate = self._gates[model.provider_id]
        gate.check_serving()
        _check_capabilities(request, model, gate)
        return gate, model


async def _failed(error: HitchpostError) -> AsyncGenerator[Any, None]:
    """A stream that fails at once: whoever asks for a stream hears of everything from the stream."""
    raise error
    yield


def _check_capabilities(request: InferenceRequest, model: Model, gate: ProviderGate) -> None:
    narrowed = model.metadata.get("capabilities")
    for capability, field in needed_capabilities(request):
        if capability not in gate.capabilities or (isinstance(narrowed, list) and capability not in narrowed):
            asked = "" if field == "model" else f", which {field} asks for"
            message = (
                f"model {quoted(model.identifier)} of provider {gate.provider_id} does not support {capability}{asked}"
            )
            raise UnsupportedError(message, param=field, provider_id=gate.provider_id)


__all__ = ["InferenceRouter"]
