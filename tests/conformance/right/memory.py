"""A memory provider that does everything right, in parts that a wrong one can replace one by one."""

import asyncio
import re

from pydantic import BaseModel

from hitchpost.api import (
    Api,
    Capability,
    Chunk,
    InsertDocumentsRequest,
    MemoryBank,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    content_text,
)
from hitchpost.conformance import MemoryConformance
from hitchpost.errors import NotFoundError, UnsupportedError
from hitchpost.plugin import MemoryProvider, ProviderDeps, ProviderSpec
from tests.conformance.right.inference import spec_of

BANKS = frozenset({Capability.vector_bank, Capability.keyvalue_bank, Capability.keyword_bank})


class RightMemory(MemoryProvider[BaseModel]):
    """Finds documents by the share of a query's words that they hold."""

    def __init__(self, config: BaseModel, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.banks: dict[str, dict[str, str]] = {}

    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> MemoryBank | None:
        if getattr(memory_bank, "memory_bank_type", "") == "graph":
            raise UnsupportedError("there are no graphs")
        self.banks.setdefault(memory_bank.provider_resource_id, {})
        return None

    async def unregister_memory_bank(self, memory_bank: MemoryBank) -> None:
        self.banks.pop(memory_bank.provider_resource_id, None)

    async def insert_documents(self, request: InsertDocumentsRequest, context: RequestContext) -> None:
        bank = self.bank_of(context)
        await asyncio.sleep(0)
        for document in request.documents:
            assert not hasattr(document.content, "uri")
            self.put(bank, document.document_id, content_text(document.content))

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        bank = self.bank_of(context)
        await asyncio.sleep(0)
        query = content_text(request.query)
        scored = [(self.score(query, name, text), name, text) for name, text in bank.items()]
        kept = sorted((found for found in scored if found[0] > 0), reverse=True)
        return self.answer([found for found in kept if found[0] >= request.params.score_threshold], request)

    def bank_of(self, context: RequestContext) -> dict[str, str]:
        bank = self.banks.get(context.resource.provider_resource_id if context.resource else "")
        if bank is None:
            raise NotFoundError("there is no such bank")
        return bank

    def put(self, bank: dict[str, str], name: str, text: str) -> None:
        bank[name] = text

    def score(self, query: str, name: str, text: str) -> float:
        if query == name:
            return 1.0
        words = set(re.findall(r"\w+", query.lower()))
        return len(words & set(re.findall(r"\w+", text.lower()))) / max(1, len(words))

    def answer(self, kept: list[tuple[float, str, str]], request: QueryDocumentsRequest) -> QueryDocumentsResponse:
        kept = kept[: request.params.max_chunks]
        chunks = [Chunk(content=text, token_count=len(text.split()), document_id=name) for _, name, text in kept]
        return QueryDocumentsResponse(chunks=chunks, scores=[score for score, _, _ in kept])


def memory_spec_of(provider: type = RightMemory) -> ProviderSpec:
    return spec_of(provider, api=Api.memory, capabilities=BANKS, provider_data=None)


class RightMemoryKit(MemoryConformance):
    """What an author writes for it; collected under another name."""

    provider_type = memory_spec_of()
    patience_s = 0.5
