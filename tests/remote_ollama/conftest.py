"""A provider in front of a fake Ollama."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import ChatCompletionRequest, InferenceEvent, Model, RequestContext
from hitchpost.plugin import ProviderDeps
from hitchpost_remote_ollama.config import OllamaConfig
from hitchpost_remote_ollama.provider import OllamaInference
from tests.fakes.ollama.models import FakeModel
from tests.fakes.ollama.server import FakeOllama

StartedProvider = Callable[..., Awaitable[OllamaInference]]


@pytest.fixture
async def fake_ollama() -> AsyncIterator[FakeOllama]:
    """It has a chat model, one that thinks and sees, and one for embeddings."""
    models = (
        FakeModel("tiny:latest"),
        FakeModel("thinker:8b", ("completion", "tools", "vision", "thinking")),
        FakeModel("embed:latest", ("embedding",), context_length=512),
    )
    async with FakeOllama(*models) as fake:
        yield fake


@pytest.fixture
async def started_provider(fake_ollama: FakeOllama, tmp_path: Path) -> AsyncIterator[StartedProvider]:
    """Starts a provider of a config in front of the fake; stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(health_changed: Callable[[], None] = lambda: None, **config: Any) -> OllamaInference:
            log = logging.getLogger("hitchpost.ollama")
            deps = ProviderDeps(provider_id="ollama", state_dir=tmp_path, log=log, health_changed=health_changed)
            provider = OllamaInference(OllamaConfig(**{"url": fake_ollama.url, **config}), deps)
            stack.push_async_callback(provider.stop)
            await provider.start()
            return provider

        yield start


@pytest.fixture
async def provider(started_provider: StartedProvider) -> OllamaInference:
    """A started provider that has learned what the fake has."""
    provider = await started_provider()
    await provider.list_models()
    return provider


def asked_for(name: str, **metadata: Any) -> RequestContext:
    """The context of a request for a model."""
    model = Model(identifier=name, provider_resource_id=name, provider_id="ollama", metadata=metadata)
    return RequestContext(request_id="req_test", resource=model)


TINY = asked_for("tiny:latest")


def chat(text: str = "hello", **fields: Any) -> ChatCompletionRequest:
    """A request at temperature 0, unless `sampling_params` say otherwise."""
    sampling = {"temperature": 0, **fields.pop("sampling_params", {})}
    messages = [{"role": "user", "content": text}]
    return ChatCompletionRequest.model_validate(
        {"model_id": "m", "messages": messages, "sampling_params": sampling, **fields}
    )


async def streamed(
    provider: OllamaInference, request: ChatCompletionRequest, context: RequestContext = TINY
) -> list[InferenceEvent]:
    """All events of a streamed answer."""
    return [event async for event in provider.stream_chat_completion(request, context)]
