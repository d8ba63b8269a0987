"""A plugin in one file: an inference provider that plays whatever events a test has put under the model's name."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel

from hitchpost import hookimpl
from hitchpost.api import (
    Api,
    Capability,
    ChatCompletionRequest,
    CompletionEvent,
    CompletionRequest,
    EmbeddingsRequest,
    EmbeddingsResponse,
    Finish,
    FinishReason,
    InferenceEvent,
    Model,
    RequestContext,
    TextDelta,
    Usage,
    content_text,
)
from hitchpost.plugin import InferenceProvider, Metric, ProviderSpec


class OddConfig(BaseModel):
    pass


class OddInference(InferenceProvider[OddConfig]):
    """`events` are played by `chat` and `completion`; an exception among them is raised, a float is slept, a future awaited."""

    def __init__(self, config: OddConfig, deps: Any) -> None:
        super().__init__(config, deps)
        self.events: list[Any] = []
        self.asked: list[Any] = []
        self.contexts: list[RequestContext] = []
        self.played = 0
        self.closed = 0
        self.figures: list[Metric] = []

    async def list_models(self) -> list[Model]:
        return [Model(provider_resource_id="m")]

    def metrics(self) -> list[Metric]:
        if not self.figures:
            raise RuntimeError("this provider can't count")
        return self.figures

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        async for event in self._play(request, context):
            yield event

    async def stream_completion(
        self, request: CompletionRequest, context: RequestContext
    ) -> AsyncIterator[CompletionEvent]:
        async for event in self._play(request, context):
            yield event

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        self.asked.append(request)
        vectors = [[float(len(content_text(content))), -0.5] for content in request.contents]
        return EmbeddingsResponse(vectors, Usage(prompt_tokens=3, completion_tokens=0))

    async def _play(self, request: Any, context: RequestContext) -> AsyncIterator[Any]:
        self.asked.append(request)
        self.contexts.append(context)
        try:
            for event in self.events:
                self.played += 1
                match event:
                    case BaseException():
                        raise event
                    case float():
                        await asyncio.sleep(event)
                    case asyncio.Future():
                        await asyncio.shield(event)
                    case _:
                        yield event
        finally:
            self.closed += 1


class KeyData(BaseModel):
    """What a caller sends for `inline::keyed`."""

    acme_key: str
    acme_retries: int = 0


class KeyedInference(InferenceProvider[OddConfig]):
    """Says which key came with the request, again and again while the stream lasts."""

    async def list_models(self) -> list[Model]:
        return [Model(provider_resource_id="keyed")]

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        for _ in range(5):
            data = context.provider_data
            yield TextDelta(f"{data.acme_key if isinstance(data, KeyData) else 'nothing'} ")
            await asyncio.sleep(0)
        yield Finish(FinishReason.stop)


@hookimpl
def provider_specs() -> list[ProviderSpec]:
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="inline::odd",
            config="odd_provider:OddConfig",
            factory="odd_provider:OddInference",
            capabilities=frozenset(Capability),
        ),
        ProviderSpec(
            api=Api.inference,
            provider_type="inline::keyed",
            config="odd_provider:OddConfig",
            factory="odd_provider:KeyedInference",
            capabilities=frozenset({Capability.chat}),
            provider_data="odd_provider:KeyData",
        ),
    ]
