"""The conformance kit, against a fake Ollama."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from hitchpost.conformance import InferenceConformance
from tests.fakes.ollama.models import FakeModel
from tests.fakes.ollama.server import FakeOllama

ALL_KINDS = ("completion", "tools", "vision", "thinking", "embedding")


class TestOllama(InferenceConformance):
    provider_type = "remote::ollama"
    model = "all:latest"
    chat_expected = "You said"
    completion_expected = "You said"
    fake: ClassVar[FakeOllama]

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[dict[str, Any]]:
        async with FakeOllama(FakeModel("all:latest", ALL_KINDS)) as fake:
            type(self).fake = fake
            self.backend_faults = fake.faults
            yield {"url": fake.url}

    async def is_busy(self) -> bool:
        return self.fake.running > 0
