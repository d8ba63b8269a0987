"""The conformance kit: against a fake with each of its personalities, and against another Hitchpost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from hitchpost.conformance import InferenceConformance
from tests.conformance.test_scripted import INFERENCE_SCRIPT, FaultsByPrompt
from tests.fakes.openai.server import FakeOpenAI, Personality
from tests.host.served import ServedHost, scripted_config, served

BACKEND_SCRIPT: list[dict[str, Any]] = [*INFERENCE_SCRIPT["script"], {"echo": True}]
SCRIPTED_CAPABILITIES = [
    "chat",
    "completion",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "json_schema",
    "logprobs",
    "seed",
    "stop",
    "n",
]


class AgainstFake(InferenceConformance):
    model = "tiny"
    embedding_model = "org/embed"
    chat_expected = "You said"
    completion_expected = "and so on"
    personality: ClassVar[Personality]
    fake: ClassVar[FakeOpenAI]
    config: ClassVar[dict[str, Any]] = {}

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[dict[str, Any]]:
        async with FakeOpenAI(self.personality) as fake:
            type(self).fake = fake
            self.backend_faults = fake
            yield {"url": fake.url, **self.config}

    async def is_busy(self) -> bool:
        return self.fake.running > 0


def samples(key_name: str) -> dict[str, dict[str, str]]:
    return {name: {key_name: name} for name in ("caller-one", "caller-two")}


class TestOpenAI(AgainstFake):
    provider_type = "remote::openai"
    personality = "openai"
    provider_data = samples("openai_api_key")
    xfail_checks: ClassVar[dict[str, str]] = {
        "sampling.accepted": "OpenAI itself has no top_k, and refuses it by its name"
    }


class TestLlamaCpp(AgainstFake):
    provider_type = "remote::openai"
    personality = "llamacpp"
    provider_data = samples("openai_api_key")


class TestVllm(AgainstFake):
    provider_type = "remote::vllm"
    personality = "vllm"
    provider_data = samples("vllm_api_token")


class Hosted(AgainstFake):
    """A service that answers nothing without a key."""

    __test__ = False
    personality = "together"
    config: ClassVar[dict[str, Any]] = {"api_key": "sk-of-the-config"}
    xfail_checks: ClassVar[dict[str, str]] = {
        "provider-data.isolated": "the other checks bring no key, and the config's comes first; the types above share the code"
    }


class TestTogether(Hosted):
    __test__ = True
    provider_type = "remote::together"
    provider_data = samples("together_api_key")


class TestFireworks(Hosted):
    __test__ = True
    provider_type = "remote::fireworks"
    provider_data = samples("fireworks_api_key")


class TestAnotherHitchpost(InferenceConformance):
    provider_type = "remote::openai"
    model = "m"
    model_metadata: ClassVar[dict[str, Any]] = {"capabilities": SCRIPTED_CAPABILITIES}
    backend_faults = FaultsByPrompt()
    behind: ClassVar[ServedHost]
    xfail_checks: ClassVar[dict[str, str]] = {
        "provider-data.shared": "the scripted provider behind the other host has no use for keys",
        "provider-data.isolated": "the scripted provider behind the other host has no use for keys",
    }

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[dict[str, Any]]:
        async with served(scripted_config(BACKEND_SCRIPT)) as behind:
            type(self).behind = behind
            yield {"url": behind.url}

    async def is_busy(self) -> bool:
        return await self.behind.metric("hitchpost_gate_running") > 0
