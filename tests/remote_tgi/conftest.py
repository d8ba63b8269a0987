"""A provider in front of a fake text-generation-inference."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import ChatCompletionRequest, CompletionRequest, InferenceEvent, Model, RequestContext
from hitchpost.plugin import ProviderDeps
from hitchpost_remote_tgi.config import TgiConfig
from hitchpost_remote_tgi.provider import TgiInference, own_server
from tests.fakes.tgi.server import FakeTgi

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
PLAIN = RequestContext(request_id="req_test")
WEATHER = {
    "tool_name": "get_weather",
    "description": "The weather of a place.",
    "parameters": {"location": {"param_type": "string", "description": "Its name.", "required": True}},
}

StartedProvider = Callable[..., Awaitable[TgiInference]]


@pytest.fixture
async def fake_tgi() -> AsyncIterator[FakeTgi]:
    """It serves a Llama model."""
    async with FakeTgi() as fake:
        yield fake


@pytest.fixture
async def started_provider(tmp_path: Path) -> AsyncIterator[StartedProvider]:
    """Starts a provider in front of a fake; stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(fake: FakeTgi, **config: Any) -> TgiInference:
            provider = own_server(TgiConfig(**{"url": fake.url, "max_retries": 0, **config}), deps(tmp_path))
            stack.push_async_callback(provider.stop)
            await provider.start()
            return provider

        yield start


@pytest.fixture
async def provider(fake_tgi: FakeTgi, started_provider: StartedProvider) -> TgiInference:
    """A started provider in front of a fake that serves a Llama model."""
    return await started_provider(fake_tgi)


def deps(folder: Path, **more: Any) -> ProviderDeps:
    """What a host would hand over."""
    return ProviderDeps(provider_id="tgi", state_dir=folder, log=logging.getLogger("hitchpost.tgi"), **more)


def asked_for(name: str, **metadata: Any) -> RequestContext:
    """The context of a request for a model."""
    model = Model(identifier=name, provider_resource_id=name, provider_id="tgi", metadata=metadata)
    return RequestContext(request_id="req_test", resource=model)


def chat(text: Any = "hello", **fields: Any) -> ChatCompletionRequest:
    """A request at temperature 0, unless `sampling_params` say otherwise."""
    sampling = {"temperature": 0, **fields.pop("sampling_params", {})}
    messages = [{"role": "user", "content": text}]
    return ChatCompletionRequest.model_validate(
        {"model_id": "m", "messages": messages, "sampling_params": sampling, **fields}
    )


def completion(text: Any = "hello", **fields: Any) -> CompletionRequest:
    """The same for the continuation of a text."""
    sampling = {"temperature": 0, **fields.pop("sampling_params", {})}
    return CompletionRequest.model_validate({"model_id": "m", "content": text, "sampling_params": sampling, **fields})


async def streamed(
    provider: TgiInference, request: ChatCompletionRequest, context: RequestContext = PLAIN
) -> list[InferenceEvent]:
    """All events of a streamed answer."""
    return [event async for event in provider.stream_chat_completion(request, context)]
