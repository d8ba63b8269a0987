"""The conformance kit, against a fake Weaviate, for every type of bank."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from hitchpost.conformance import MemoryConformance
from tests.fakes.weaviate.server import FakeWeaviate


class TestWeaviate(MemoryConformance):
    provider_type = "remote::weaviate"
    plugin_paths = (Path(__file__).parents[1] / "fakes/word_vectors.py",)
    run_config: ClassVar[Mapping[str, Any]] = {
        "providers": {"inference": [{"provider_id": "words", "provider_type": "inline::word-vectors"}]},
        "models": [
            {
                "model_id": "all-MiniLM-L6-v2",
                "provider_id": "words",
                "metadata": {"model_type": "embedding", "embedding_dimension": 256},
            }
        ],
    }
    provider_data: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        f"[Bearer {name}]": {"weaviate_api_key": name} for name in ("ann", "bea")
    }
    fake: ClassVar[FakeWeaviate]

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[dict[str, Any]]:
        async with FakeWeaviate() as fake:
            type(self).fake = fake
            fake.service.signs_texts = True
            self.backend_faults = fake.faults
            yield {"url": fake.url, "grpc_port": fake.grpc_port}

    async def is_busy(self) -> bool:
        return self.fake.running > 0
