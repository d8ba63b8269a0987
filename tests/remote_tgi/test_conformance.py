"""The conformance kit, against a fake text-generation-inference: once per wire, and once per provider type of Hugging Face's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from hitchpost.api import Capability
from hitchpost.conformance import InferenceConformance
from hitchpost_remote_tgi.plugin import CAPABILITIES
from tests.fakes.tgi.endpoints_api import FakeEndpointsApi
from tests.fakes.tgi.server import FakeTgi

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
OTHER = "acme/seer"
BLIND = sorted(CAPABILITIES - {Capability.vision})


class OfTgi(InferenceConformance):
    __test__ = False
    chat_expected = "You said"
    completion_expected = "You said"
    fake: ClassVar[FakeTgi]

    async def is_busy(self) -> bool:
        return self.fake.running > 0


class TestGenerate(OfTgi):
    __test__ = True
    provider_type = "remote::tgi"
    model = LLAMA
    model_metadata: ClassVar[dict[str, Any]] = {"capabilities": BLIND}

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[dict[str, Any]]:
        async with FakeTgi(api_key="secret") as fake:
            type(self).fake = fake
            self.backend_faults = fake.faults
            yield {"url": fake.url, "api_token": "secret"}


class TestChatCompletions(OfTgi):
    __test__ = True
    provider_type = "remote::tgi"
    model = OTHER
    xfail_checks: ClassVar[dict[str, str]] = {
        "sampling.accepted": "TGI's chat completions have no top_k, and nothing is dropped silently"
    }

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[dict[str, Any]]:
        async with FakeTgi(OTHER, pipeline_tag="image-text-to-text") as fake:
            type(self).fake = fake
            self.backend_faults = fake.faults
            yield {"url": fake.url}


class TestServerless(OfTgi):
    __test__ = True
    provider_type = "remote::hf::serverless"
    model = LLAMA
    model_metadata: ClassVar[dict[str, Any]] = {"capabilities": BLIND}

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[dict[str, Any]]:
        async with FakeTgi(prefix=f"/models/{LLAMA}") as fake:
            type(self).fake = fake
            self.backend_faults = fake.faults
            yield {"url": fake.url, "huggingface_repo": LLAMA}


class TestEndpoint(OfTgi):
    __test__ = True
    provider_type = "remote::hf::endpoint"
    model = LLAMA
    model_metadata: ClassVar[dict[str, Any]] = {"capabilities": BLIND}

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[dict[str, Any]]:
        # As there, the model is mounted, and the server names the folder.
        async with FakeTgi("/repository") as fake, FakeEndpointsApi(fake) as service:
            type(self).fake = fake
            self.backend_faults = fake.faults
            yield {"url": service.url, "endpoint_name": "acme/llama", "api_token": service.token}
