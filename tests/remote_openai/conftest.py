from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import ChatCompletionRequest, InferenceEvent, Model, RequestContext
from hitchpost.plugin import ProviderDeps
from hitchpost_remote_openai.config import FireworksConfig, OpenAIConfig, OpenAIKeys, TogetherConfig, VllmConfig
from hitchpost_remote_openai.provider import OpenAIInference
from tests.fakes.openai.server import FakeOpenAI, Personality

CONFIGS = {"openai": OpenAIConfig, "vllm": VllmConfig, "together": TogetherConfig, "fireworks": FireworksConfig}


@dataclass
class Behind:
    """A started provider and the fake behind it."""

    provider: OpenAIInference
    fake: FakeOpenAI
    checks: int = 0
    """How often the provider has asked to have its health checked."""

    def check(self) -> None:
        self.checks += 1

    async def chat(self, text: str = "hello", data: Any = None, **fields: Any) -> Any:
        return await self.provider.chat_completion(request(text, **fields), context(data))

    async def stream(self, text: str = "hello", **fields: Any) -> list[InferenceEvent]:
        return [event async for event in self.provider.stream_chat_completion(request(text, **fields), context())]


def request(text: str, **fields: Any) -> ChatCompletionRequest:
    messages = [{"role": "user", "content": text}]
    return ChatCompletionRequest.model_validate({"model_id": "tiny", "messages": messages, **fields})


def context(data: Any = None, model: str = "tiny") -> RequestContext:
    return RequestContext(request_id="r", resource=Model(provider_resource_id=model), provider_data=data)


def keys(key: str) -> OpenAIKeys:
    return OpenAIKeys.model_validate({"openai_api_key": key})


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts a provider of a type in front of a fake with a personality; further keywords are its config."""
    import logging

    async with AsyncExitStack() as stack:

        async def start(
            kind: str = "openai", personality: Personality = "openai", key: str | None = None, **config: Any
        ) -> Behind:
            fake = await stack.enter_async_context(FakeOpenAI(personality, key))
            served: list[Behind] = []
            deps = ProviderDeps(
                provider_id="p",
                state_dir=tmp_path,
                log=logging.getLogger("test"),
                health_changed=lambda: served[0].check(),
            )
            provider = OpenAIInference(CONFIGS[kind].model_validate({"url": fake.url, **config}), deps)
            stack.push_async_callback(provider.stop)
            await provider.start()
            served.append(Behind(provider, fake))
            return served[0]

        yield start
