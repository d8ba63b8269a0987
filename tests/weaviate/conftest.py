"""A provider in front of a fake Weaviate, with an inference that makes vectors of words."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import (
    AnyMemoryBank,
    EmbeddingsRequest,
    EmbeddingsResponse,
    GetModelRequest,
    InsertDocumentsRequest,
    KeyValueMemoryBank,
    KeywordMemoryBank,
    Model,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    VectorMemoryBank,
    content_text,
)
from hitchpost.errors import NotFoundError
from hitchpost.plugin import ProviderDeps
from hitchpost_weaviate.config import WeaviateConfig, WeaviateProviderData
from hitchpost_weaviate.provider import WeaviateMemory
from tests.fakes.weaviate.schema import Stored
from tests.fakes.weaviate.server import FakeWeaviate
from tests.fakes.word_vectors import DIMENSION, word_vector


class WordInference:
    """The part of the API inference, and of that of models, which banks need."""

    def __init__(self) -> None:
        self.dimensions = {"words": DIMENSION, "small": 32}
        self.asked: list[int] = []
        """How many texts each call had."""
        self.held_from: int | None = None
        """From which call on vectors wait for `go_on`."""
        self.go_on = asyncio.Event()

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        self.asked.append(len(request.contents))
        if self.held_from is not None and len(self.asked) > self.held_from:
            await self.go_on.wait()
        if request.model_id not in self.dimensions:
            raise NotFoundError(f"there is no model {request.model_id}")
        dimension = self.dimensions[request.model_id]
        return EmbeddingsResponse([word_vector(content_text(one), dimension) for one in request.contents])

    async def get_model(self, request: GetModelRequest, context: RequestContext) -> Model | None:
        if request.identifier not in self.dimensions:
            return None
        metadata = {"model_type": "embedding", "embedding_dimension": self.dimensions[request.identifier]}
        return Model(identifier=request.identifier, provider_resource_id=request.identifier, metadata=metadata)


@dataclass
class Bank:
    """A registered bank, and what a caller does with it."""

    provider: WeaviateMemory
    resource: AnyMemoryBank
    data: Mapping[str, str] | None = None

    @property
    def context(self) -> RequestContext:
        data = None if self.data is None else WeaviateProviderData.model_validate(self.data)
        return RequestContext(request_id="req_test", resource=self.resource, provider_data=data)

    async def insert(
        self, documents: Mapping[str, Any], *, ttl_seconds: int | None = None, **fields: Any
    ) -> dict[str, str | None]:
        """What became of each document: None where it went in, else why not."""
        sent = [{"document_id": name, "content": content, **fields} for name, content in documents.items()]
        request = InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": sent, "ttl_seconds": ttl_seconds})
        answer = await self.provider.insert_documents(request, self.context)
        return {report.document_id: report.error for report in answer.documents}

    async def query(self, query: Any, **params: Any) -> QueryDocumentsResponse:
        """What a query finds."""
        request = QueryDocumentsRequest.model_validate({"bank_id": "b", "query": query, "params": params})
        return await self.provider.query_documents(request, self.context)

    async def found(self, query: Any, **params: Any) -> list[str]:
        """The ids of the documents that a query finds, best first."""
        return [chunk.document_id for chunk in (await self.query(query, **params)).chunks]


MakeProvider = Callable[..., Awaitable[WeaviateMemory]]
MakeBank = Callable[..., Awaitable[Bank]]

BANK_KINDS: dict[str, Callable[[str], AnyMemoryBank]] = {
    "vector": lambda name: VectorMemoryBank(
        identifier=name,
        provider_resource_id=name,
        embedding_model="words",
        chunk_size_in_tokens=64,
        overlap_size_in_tokens=0,
    ),
    "keyword": lambda name: KeywordMemoryBank(identifier=name, provider_resource_id=name),
    "keyvalue": lambda name: KeyValueMemoryBank(identifier=name, provider_resource_id=name),
}


@pytest.fixture
async def fake() -> AsyncIterator[FakeWeaviate]:
    async with FakeWeaviate() as server:
        yield server


@pytest.fixture
async def inference() -> WordInference:
    return WordInference()


@pytest.fixture
def health_changes() -> list[None]:
    """Grows when a provider says that its health has changed."""
    return []


@pytest.fixture
async def make_provider(
    fake: FakeWeaviate, inference: WordInference, health_changes: list[None], tmp_path: Path
) -> AsyncIterator[MakeProvider]:
    """Starts providers in front of the fake unless the config says otherwise; they are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def make(**config: Any) -> WeaviateMemory:
            settings = {"url": fake.url, "grpc_port": fake.grpc_port, **config}
            deps = ProviderDeps(
                provider_id="weaviate",
                state_dir=tmp_path,
                log=logging.getLogger("hitchpost.weaviate"),
                health_changed=lambda: health_changes.append(None),
                inference=inference,  # type: ignore[arg-type]
                models=inference,  # type: ignore[arg-type]
            )
            provider = WeaviateMemory(WeaviateConfig.model_validate(settings), deps)
            stack.push_async_callback(provider.stop)
            await provider.start()
            return provider

        yield make


@pytest.fixture
async def provider(make_provider: MakeProvider) -> WeaviateMemory:
    return await make_provider()


@pytest.fixture
async def make_bank(provider: WeaviateMemory) -> MakeBank:
    """Registers a bank, at the fixture's provider unless another is named."""

    async def make(
        kind: str = "vector", name: str = "bank", *, at: WeaviateMemory | None = None, data: Any = None
    ) -> Bank:
        bank = Bank(at or provider, BANK_KINDS[kind](name), data)
        await bank.provider.register_memory_bank(bank.resource, bank.context)
        return bank

    return make


def kept(fake: FakeWeaviate, kind: str = "chunk", tenant: str | None = None) -> list[Stored]:
    """The objects of a kind in the one collection that the fake has."""
    [name] = fake.schema.collections
    return [one for one in fake.objects(name, tenant) if one.properties["kind"] == kind]
