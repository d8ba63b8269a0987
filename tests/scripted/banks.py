"""Banks of `inline::scripted`, with their calls written short."""

from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from hitchpost.api import (
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    KeyValueMemoryBank,
    KeywordMemoryBank,
    MemoryBank,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    VectorMemoryBank,
)
from hitchpost.scripted.memory.provider import ScriptedMemory


def vector(identifier: str = "b", size: int = 512, overlap: int | None = 64, name: str = "b") -> VectorMemoryBank:
    return VectorMemoryBank(
        identifier=identifier,
        provider_resource_id=name,
        embedding_model="all-MiniLM-L6-v2",
        chunk_size_in_tokens=size,
        overlap_size_in_tokens=overlap,
    )


KEYWORD = KeywordMemoryBank(identifier="b", provider_resource_id="b")
KEYVALUE = KeyValueMemoryBank(identifier="b", provider_resource_id="b")


class OpenBank:
    """A registered bank, with its calls written short."""

    def __init__(self, provider: ScriptedMemory, context: RequestContext, bank: MemoryBank) -> None:
        self.provider = provider
        self._context = replace(context, resource=bank)

    async def insert(self, documents: dict[str, Any], **fields: Any) -> InsertDocumentsResponse:
        """Put contents by document id; a content may be a whole document."""
        listed = [
            {
                "document_id": name,
                **(content if isinstance(content, dict) and "content" in content else {"content": content}),
            }
            for name, content in documents.items()
        ]
        request = InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": listed, **fields})
        return await self.provider.insert_documents(request, self._context)

    async def refused(self, documents: dict[str, Any]) -> dict[str, str]:
        """Put documents; the reasons of those that did not go in, by id."""
        return {report.document_id: report.error or "" for report in (await self.insert(documents)).failed}

    async def do(self, operation: str, request: type[BaseModel], **fields: Any) -> Any:
        """Any other operation."""
        return await getattr(self.provider, operation)(request(bank_id="b", **fields), self._context)

    async def query(self, query: Any, **params: Any) -> QueryDocumentsResponse:
        request = QueryDocumentsRequest.model_validate({"bank_id": "b", "query": query, "params": params})
        return await self.provider.query_documents(request, self._context)

    async def ids(self, query: Any, **params: Any) -> list[str]:
        return [chunk.document_id for chunk in (await self.query(query, **params)).chunks]

    def figure(self, name: str) -> float:
        return {metric.name: metric.value for metric in self.provider.metrics()}[name]
