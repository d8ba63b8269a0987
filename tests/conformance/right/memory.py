"""A memory provider that does everything right, in parts that a wrong one can replace one by one."""

import asyncio
import pickle
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from hitchpost.api import (
    Api,
    BankStatistics,
    Capability,
    Chunk,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    DocumentInfo,
    DocumentReport,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    ListDocumentsRequest,
    ListDocumentsResponse,
    MemoryBank,
    MemoryBankDocument,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    StoredDocument,
    content_text,
    metadata_fits,
)
from hitchpost.conformance import MemoryConformance
from hitchpost.errors import NotFoundError, UnsupportedError
from hitchpost.plugin import MemoryProvider, ProviderDeps, ProviderSpec
from tests.conformance.right.inference import spec_of

CAPABILITIES = frozenset(
    {
        Capability.vector_bank,
        Capability.keyvalue_bank,
        Capability.keyword_bank,
        Capability.documents,
        Capability.metadata_filter,
        Capability.hybrid_query,
    }
)


@dataclass
class Kept:
    """A document."""

    text: str
    metadata: dict[str, Any]
    mime_type: str | None
    inserted_at: datetime
    ends: float | None
    """On the clock of time.time()."""


class RightMemory(MemoryProvider[BaseModel]):
    """Finds documents by the share of a query's words that they hold."""

    def __init__(self, config: BaseModel, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.banks: dict[str, dict[str, Kept]] = {}

    async def start(self) -> None:
        file = self.deps.state_dir / "banks"
        if file.exists():
            self.banks = pickle.loads(file.read_bytes())

    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> MemoryBank | None:
        if getattr(memory_bank, "memory_bank_type", "") == "graph":
            raise UnsupportedError("there are no graphs")
        self.banks.setdefault(memory_bank.provider_resource_id, {})
        return None

    async def unregister_memory_bank(self, memory_bank: MemoryBank) -> None:
        self.banks.pop(memory_bank.provider_resource_id, None)

    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse | None:
        bank = self.bank_of(context)
        await asyncio.sleep(0)
        reports = [self.insert(bank, document, request.ttl_seconds) for document in request.documents]
        self.save()
        return InsertDocumentsResponse(documents=reports)

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        bank = self.bank_of(context)
        await asyncio.sleep(0)
        query = content_text(request.query)
        fitting = {name: kept for name, kept in bank.items() if self.fits(kept, request)}
        scored = [(self.score(query, name, kept.text), name, kept) for name, kept in fitting.items()]
        found = sorted((one for one in scored if one[0] > 0), key=lambda one: one[:2], reverse=True)
        return self.answer([one for one in found if one[0] >= request.params.score_threshold], request)

    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        bank = self.bank_of(context)
        names = [name for name in sorted(bank) if name > (request.after or "")]
        data = [DocumentInfo(**self.describe(name, bank[name])) for name in names[: request.limit]]
        return ListDocumentsResponse(data=data, has_more=len(names) > request.limit)

    async def get_document(self, request: GetDocumentRequest, context: RequestContext) -> StoredDocument:
        kept = self.bank_of(context).get(request.document_id)
        if kept is None:
            raise NotFoundError("there is no such document")
        described = self.describe(request.document_id, kept)
        return StoredDocument(**described, chunks=[self.chunk(request.document_id, kept)])

    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        bank = self.bank_of(context)
        return DeleteDocumentsResponse(deleted=[name for name in request.document_ids if bank.pop(name, None)])

    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        bank = self.bank_of(context)
        tokens = sum(len(kept.text.split()) for kept in bank.values())
        return BankStatistics(document_count=len(bank), chunk_count=len(bank), token_count=tokens)

    def bank_of(self, context: RequestContext) -> dict[str, Kept]:
        bank = self.banks.get(context.resource.provider_resource_id if context.resource else "")
        if bank is None:
            raise NotFoundError("there is no such bank")
        self.expire(bank)
        return bank

    def expire(self, bank: dict[str, Kept]) -> None:
        for name in [name for name, kept in bank.items() if kept.ends is not None and kept.ends <= time.time()]:
            del bank[name]

    def insert(self, bank: dict[str, Kept], document: MemoryBankDocument, ttl_seconds: int | None) -> DocumentReport:
        if str(document.content).startswith("file:"):
            return DocumentReport(document_id=document.document_id, error="files are not read")
        ends = None if ttl_seconds is None else time.time() + ttl_seconds
        text = content_text(document.content)  # type: ignore[arg-type]
        kept = Kept(text, document.metadata, document.mime_type, datetime.now(UTC), ends)
        self.put(bank, document.document_id, kept)
        return DocumentReport(document_id=document.document_id, chunk_count=1)

    def put(self, bank: dict[str, Kept], name: str, kept: Kept) -> None:
        bank[name] = kept

    def save(self) -> None:
        self.deps.state_dir.mkdir(parents=True, exist_ok=True)
        (self.deps.state_dir / "banks").write_bytes(pickle.dumps(self.banks))

    def fits(self, kept: Kept, request: QueryDocumentsRequest) -> bool:
        return metadata_fits(kept.metadata, request.params.filter or {})

    def score(self, query: str, name: str, text: str) -> float:
        if query == name:
            return 1.0
        words = set(re.findall(r"\w+", query.lower()))
        return len(words & set(re.findall(r"\w+", text.lower()))) / max(1, len(words))

    def answer(self, found: list[tuple[float, str, Kept]], request: QueryDocumentsRequest) -> QueryDocumentsResponse:
        found = found[: request.params.max_chunks]
        chunks = [self.chunk(name, kept) for _, name, kept in found]
        return QueryDocumentsResponse(chunks=chunks, scores=[score for score, _, _ in found])

    def chunk(self, name: str, kept: Kept) -> Chunk:
        tokens = len(kept.text.split())
        return Chunk(content=kept.text, token_count=tokens, document_id=name, position=0, metadata=kept.metadata)

    def describe(self, name: str, kept: Kept) -> dict[str, Any]:
        return {
            "document_id": name,
            "mime_type": kept.mime_type,
            "metadata": kept.metadata,
            "chunk_count": 1,
            "token_count": len(kept.text.split()),
            "inserted_at": kept.inserted_at,
        }


def memory_spec_of(provider: type = RightMemory) -> ProviderSpec:
    return spec_of(provider, api=Api.memory, capabilities=CAPABILITIES, provider_data=None, state="local")


class RightMemoryKit(MemoryConformance):
    """What an author writes for it; collected under another name."""

    provider_type = memory_spec_of()
    patience_s = 1.5
