"""A provider of memory with an embedding model beside it, and its calls written short."""

import logging
from pathlib import Path
from typing import Any

from hitchpost.api import (
    AnyMemoryBank,
    DeleteDocumentsRequest,
    DocumentReport,
    EmbeddingsRequest,
    EmbeddingsResponse,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    GetModelRequest,
    InsertDocumentsRequest,
    KeyValueMemoryBank,
    KeywordMemoryBank,
    ListDocumentsRequest,
    Model,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    VectorMemoryBank,
    content_text,
)
from hitchpost.errors import BadRequestError, HitchpostError, NotFoundError
from hitchpost.plugin import ProviderDeps
from hitchpost.plugin.declarations import load_import_string
from hitchpost_meta_reference.memory.declarations import memory_specs
from hitchpost_meta_reference.memory.provider import EmbeddedMemory
from tests.meta_reference_memory.banks import vector_of

LOG = logging.getLogger("hitchpost.provider.memory-test")
CONTEXT = RequestContext(request_id="request-1")


class WordModels:
    """The router of inference and the registry of models in one: the model `words`, and whatever else is added."""

    def __init__(self) -> None:
        self.dimensions: dict[str, int | None] = {"words": None}
        """Of each model, as its metadata say."""
        self.error: HitchpostError | None = None
        self.error_after_texts = 0
        self.refused_text: str | None = None
        self.asked: list[str] = []

    async def get_model(self, request: GetModelRequest, context: RequestContext) -> Model | None:
        if request.identifier not in self.dimensions:
            return None
        declared = self.dimensions[request.identifier]
        metadata = {"model_type": "embedding"} | ({"embedding_dimension": declared} if declared else {})
        return Model(identifier=request.identifier, provider_resource_id=request.identifier, metadata=metadata)

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        if request.model_id not in self.dimensions:
            raise NotFoundError(f"model {request.model_id!r} is not registered")
        texts = [content_text(one) for one in request.contents]
        if self.refused_text is not None and any(self.refused_text in text for text in texts):
            raise BadRequestError("the text is too long for the model")
        if self.error is not None and len(self.asked) >= self.error_after_texts:
            raise self.error
        self.asked.extend(texts)
        dimension = self.dimensions[request.model_id]
        return EmbeddingsResponse([vector_of(text)[: dimension or None] for text in texts])


class OpenBank:
    """A bank of a provider."""

    def __init__(self, provider: EmbeddedMemory, resource: AnyMemoryBank) -> None:
        self.provider = provider
        self.resource = resource
        self._context = RequestContext(request_id="request-2", resource=resource)

    async def insert(self, documents: dict[str, Any], **fields: Any) -> list[DocumentReport]:
        listed = [
            {"document_id": name, **(content if isinstance(content, dict) else {"content": content})}
            for name, content in documents.items()
        ]
        request = InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": listed, **fields})
        return (await self.provider.insert_documents(request, self._context)).documents

    async def query(self, query: Any, **params: Any) -> QueryDocumentsResponse:
        request = QueryDocumentsRequest.model_validate({"bank_id": "b", "query": query, "params": params})
        return await self.provider.query_documents(request, self._context)

    async def ids(self, query: Any, **params: Any) -> list[str]:
        return [chunk.document_id for chunk in (await self.query(query, **params)).chunks]

    async def delete(self, *document_ids: str) -> list[str]:
        request = DeleteDocumentsRequest(bank_id="b", document_ids=list(document_ids))
        return (await self.provider.delete_documents(request, self._context)).deleted

    async def listed(self, **fields: Any) -> list[str]:
        page = await self.provider.list_documents(ListDocumentsRequest(bank_id="b", **fields), self._context)
        return [info.document_id for info in page.data]

    async def get(self, document_id: str) -> Any:
        return await self.provider.get_document(GetDocumentRequest(bank_id="b", document_id=document_id), self._context)

    async def count(self) -> tuple[int, int]:
        request = GetBankStatisticsRequest(bank_id="b")
        statistics = await self.provider.get_bank_statistics(request, self._context)
        return statistics.document_count, statistics.chunk_count


def vector(name: str = "b", identifier: str | None = None, **fields: Any) -> VectorMemoryBank:
    given = {"embedding_model": "words", "chunk_size_in_tokens": 64, "overlap_size_in_tokens": 0} | fields
    return VectorMemoryBank(identifier=identifier or name, provider_resource_id=name, **given)


def keyword(name: str = "b", identifier: str | None = None) -> KeywordMemoryBank:
    return KeywordMemoryBank(identifier=identifier or name, provider_resource_id=name)


def keyvalue(name: str = "b", identifier: str | None = None) -> KeyValueMemoryBank:
    return KeyValueMemoryBank(identifier=identifier or name, provider_resource_id=name)


def made(folder: Path, models: WordModels, provider_type: str = "inline::sqlite", **config: Any) -> EmbeddedMemory:
    """A provider as the host makes it, not started."""
    [spec] = [spec for spec in memory_specs() if spec.provider_type == provider_type]
    calls: dict[str, Any] = {"inference": models, "models": models}
    deps = ProviderDeps(provider_id="memory", state_dir=folder, log=LOG, **calls)
    provider: EmbeddedMemory = load_import_string(spec.factory)(
        load_import_string(spec.config).model_validate(config), deps
    )
    return provider


def bank_files(folder: Path) -> list[str]:
    """Names of the files of banks, those that SQLite keeps beside them too."""
    return sorted(path.name for path in (folder / "banks").iterdir() if path.name != "lock")


def content_of(folder: Path) -> bytes:
    """All bytes of all banks."""
    return b"".join((folder / "banks" / name).read_bytes() for name in bank_files(folder))
