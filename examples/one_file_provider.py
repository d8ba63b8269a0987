"""A whole provider in one file: a parrot. `hitchpost run one_file_provider.yaml` serves it."""

from collections.abc import AsyncIterator

from pydantic import BaseModel

from hitchpost import hookimpl
from hitchpost.api import (
    Api,
    Capability,
    ChatCompletionRequest,
    Finish,
    FinishReason,
    InferenceEvent,
    Model,
    RequestContext,
    TextDelta,
    content_text,
)
from hitchpost.errors import BadRequestError
from hitchpost.plugin import InferenceProvider, ProviderSpec


@hookimpl
def provider_specs() -> list[ProviderSpec]:
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="inline::parrot",
            config="one_file_provider:ParrotConfig",
            factory="one_file_provider:Parrot",
            capabilities=frozenset({Capability.chat}),
            description="Says what it hears.",
        )
    ]


class ParrotConfig(BaseModel, extra="forbid"):
    greeting: str = "Squawk!"


class Parrot(InferenceProvider[ParrotConfig]):
    async def list_models(self) -> list[Model]:
        return [Model(provider_resource_id="polly")]

    async def register_model(self, model: Model) -> None:
        if model.provider_resource_id != "polly":
            raise BadRequestError(f"there is no {model.provider_resource_id!r} here, only polly")

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        words = [self.config.greeting, *content_text(request.messages[-1].content).split()]
        limit = request.sampling_params.max_tokens or len(words)
        for number, word in enumerate(words[:limit]):
            yield TextDelta(f" {word}" if number else word)
        yield Finish(FinishReason.length if limit < len(words) else FinishReason.stop)
