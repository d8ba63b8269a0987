"""What an author says of a memory provider, and the requests that the checks make of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, ClassVar

import pytest

from hitchpost.api import (
    AnyMemoryBank,
    Api,
    BankStatistics,
    Capability,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    GetMemoryBankRequest,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    ListDocumentsRequest,
    ListDocumentsResponse,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RegisterMemoryBankRequest,
    RequestContext,
    StoredDocument,
    UnregisterMemoryBankRequest,
)
from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.check import NotApplicable
from hitchpost.conformance.harness import PROVIDER_ID, Harness
from hitchpost.plugin import Provider

BANK_TYPES = ("vector", "keyvalue", "keyword", "graph")
for_each_bank_type = pytest.mark.parametrize("bank_type", BANK_TYPES)
"""Makes a check one per type of bank."""

DOCUMENTS = {
    "python": "Python is a programming language. Programmers write code in the Python programming language.",
    "neural": "Neural networks are a kind of computing inspired by the brain, and the ground of modern AI.",
    "oslo": "Oslo is the capital of Norway. The city lies at the end of a fjord between forests.",
    "bread": "Bread is baked from flour, water, salt and yeast. The dough has to rest before it is baked.",
}
QUERIES = {
    "python": "programming language",
    "neural": "AI and computing inspired by the brain",
    "oslo": "capital of Norway",
    "bread": "bread baked from flour",
}

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Bank:
    """A registered bank of one check."""

    harness: Harness
    bank_id: str

    async def insert(
        self,
        documents: Mapping[str, str],
        *,
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        ttl_seconds: int | None = None,
    ) -> InsertDocumentsResponse:
        """Put texts into it, by document id, with metadata by document id."""
        request = insertion(self.bank_id, documents, metadata, ttl_seconds)
        answer: InsertDocumentsResponse = await self._ask("insert_documents", request, "an insertion")
        return answer

    async def query(self, text: str, **params: Any) -> QueryDocumentsResponse:
        """What it finds."""
        request = QueryDocumentsRequest.model_validate({"bank_id": self.bank_id, "query": text, "params": params})
        answer: QueryDocumentsResponse = await self._ask("query_documents", request, "a query")
        return answer

    async def list_documents(self, after: str | None = None, limit: int = 100) -> ListDocumentsResponse:
        """A page of its documents."""
        request = ListDocumentsRequest(bank_id=self.bank_id, after=after, limit=limit)
        answer: ListDocumentsResponse = await self._ask("list_documents", request, "a list of documents")
        return answer

    async def get_document(self, document_id: str) -> StoredDocument:
        """One of its documents."""
        request = GetDocumentRequest(bank_id=self.bank_id, document_id=document_id)
        answer: StoredDocument = await self._ask("get_document", request, "the reading of a document")
        return answer

    async def delete_documents(self, document_ids: list[str]) -> DeleteDocumentsResponse:
        """Let documents leave it."""
        request = DeleteDocumentsRequest(bank_id=self.bank_id, document_ids=document_ids)
        answer: DeleteDocumentsResponse = await self._ask("delete_documents", request, "a deletion")
        return answer

    async def get_statistics(self) -> BankStatistics:
        """How much it holds."""
        request = GetBankStatisticsRequest(bank_id=self.bank_id)
        answer: BankStatistics = await self._ask("get_bank_statistics", request, "the statistics")
        return answer

    async def _ask(self, operation: str, request: Any, what: str) -> Any:
        router = await self.harness.router(Api.memory)
        return await self.harness.within(getattr(router, operation)(request, self.harness.context()), what)


class MemorySubject(ConformanceBase):
    """Everything may be left out where the defaults suit; a vector bank needs an `embedding_model` that the provider can reach."""

    api = Api.memory
    embedding_model: ClassVar[str] = "all-MiniLM-L6-v2"
    """What vector banks are registered with; where the provider needs the API inference, a model of `run_config`."""
    documents: ClassVar[Mapping[str, str]] = DOCUMENTS
    """Texts by document id, at least four, of different subjects."""
    queries: ClassVar[Mapping[str, str]] = QUERIES
    """For each document id a query that finds it before the others; a bank of the type keyvalue is asked for the id itself."""

    def query_for(self, bank_type: str, document_id: str) -> str:
        """A query that finds a document in a bank of this type."""
        return document_id if bank_type == "keyvalue" else self.queries[document_id]

    def params_of(self, bank_type: str) -> dict[str, Any]:
        """Params of a registration."""
        if bank_type != "vector":
            return {"memory_bank_type": bank_type}
        return {
            "memory_bank_type": "vector",
            "embedding_model": self.embedding_model,
            "chunk_size_in_tokens": 512,
            "overlap_size_in_tokens": 64,
        }

    def supported_types(self, harness: Harness) -> list[str]:
        """Types of banks that the provider type declares."""
        return [name for name in BANK_TYPES if Capability(f"{name}_bank") in harness.capabilities]

    def registration(self, bank_type: str, bank_id: str) -> RegisterMemoryBankRequest:
        """Registers a bank at the provider under test."""
        return RegisterMemoryBankRequest.model_validate(
            {"memory_bank_id": bank_id, "provider_id": PROVIDER_ID, "params": self.params_of(bank_type)}
        )

    @asynccontextmanager
    async def bank(self, harness: Harness, bank_type: str) -> AsyncIterator[Bank]:
        """A new, empty bank; unregistered at the end.

        Raises:
            NotApplicable: the provider type doesn't declare banks of this type.
        """
        if bank_type not in self.supported_types(harness):
            raise NotApplicable(f"the capability {bank_type}_bank is not declared")
        banks = await harness.router(Api.memory_banks)
        bank_id = new_name(bank_type)
        registering = banks.register_memory_bank(self.registration(bank_type, bank_id), harness.context())
        await harness.within(registering, "the registration of a bank")
        try:
            yield Bank(harness, bank_id)
        finally:
            if await banks.get_memory_bank(GetMemoryBankRequest(memory_bank_id=bank_id), harness.context()) is not None:
                ending = UnregisterMemoryBankRequest(memory_bank_id=bank_id)
                await harness.within(banks.unregister_memory_bank(ending, harness.context()), "the end of a bank")

    @asynccontextmanager
    async def filled_bank(self, harness: Harness, bank_type: str) -> AsyncIterator[Bank]:
        """A new bank that holds `documents`."""
        async with self.bank(harness, bank_type) as bank:
            await bank.insert(self.documents)
            yield bank

    def resource(self, bank_type: str, bank_id: str) -> AnyMemoryBank:
        """A bank as the stack would register it."""
        bank: Any = self.registration(bank_type, bank_id).resource(PROVIDER_ID)
        return bank  # type: ignore[no-any-return]

    # --- what the checks of every API ask for ---

    async def use(self, harness: Harness, provider: Provider[Any]) -> AsyncIterator[None]:
        """A bank is registered, filled and asked."""
        able: Any = provider
        for bank_type in self.supported_types(harness)[:1]:
            bank = self.resource(bank_type, new_name(bank_type))
            await harness.announce(provider, bank)
            context = harness.context(bank)
            yield
            await able.insert_documents(insertion(bank.identifier, self.documents), context)
            query = self.query_for(bank_type, next(iter(self.documents)))
            await able.query_documents(QueryDocumentsRequest(bank_id=bank.identifier, query=query), context)

    async def ask(self, harness: Harness, context: RequestContext, prompt: str | None = None) -> str:
        """What a bank that holds `documents` finds, as JSON."""
        [bank_type, *_] = self.supported_types(harness) or [""]
        async with self.filled_bank(harness, bank_type) as bank:
            router = await harness.router(Api.memory)
            query = self.query_for(bank_type, next(iter(self.documents)))
            request = QueryDocumentsRequest(bank_id=bank.bank_id, query=prompt or query)
            answer: QueryDocumentsResponse = await router.query_documents(request, context)
            return answer.model_dump_json()

    def odd_requests(self, harness: Harness) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Empty, long and unusual ones."""
        texts: dict[str, Any] = {
            "an empty text": "",
            "a long text": "far too long " * 20_000,
            "unusual characters": "\u0000 \U0001f600 \u202e ' OR 1=1; --",
        }
        [bank_type, *_] = self.supported_types(harness) or [""]

        async def insert(text: str) -> None:
            async with self.bank(harness, bank_type) as bank:
                await bank.insert({"odd": text})

        async def query(text: str) -> None:
            async with self.filled_bank(harness, bank_type) as bank:
                await bank.query(text)

        async def strange_params() -> None:
            async with self.filled_bank(harness, bank_type) as bank:
                await bank.query(self.query_for(bank_type, next(iter(self.documents))), no_such_param=[1, {"a": None}])

        async def strange_id() -> None:
            async with self.bank(harness, bank_type) as bank:
                await bank.insert({"../../a 'strange' \"id\"\n": "text"})

        odd: dict[str, Callable[[], Awaitable[Any]]] = {
            "unknown params": strange_params,
            "a strange document id": strange_id,
        }
        odd |= {f"{name} to insert": partial(insert, text) for name, text in texts.items()}
        odd |= {f"{name} to find": partial(query, text) for name, text in texts.items()}
        return odd


def insertion(
    bank_id: str,
    documents: Mapping[str, str],
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    ttl_seconds: int | None = None,
) -> InsertDocumentsRequest:
    """Puts texts into a bank, by document id."""
    listed = [
        {
            "document_id": document_id,
            "content": text,
            "mime_type": "text/plain",
            "metadata": (metadata or {}).get(document_id, {}),
        }
        for document_id, text in documents.items()
    ]
    fields = {"bank_id": bank_id, "documents": listed, "ttl_seconds": ttl_seconds}
    return InsertDocumentsRequest.model_validate(fields)


def new_name(bank_type: str) -> str:
    """A bank's name that no other check uses."""
    return f"conformance-{bank_type}-{next(_numbers)}"


def found(answer: QueryDocumentsResponse) -> Sequence[str]:
    """Ids of the documents that a query found, best first."""
    return [chunk.document_id for chunk in answer.chunks]


__all__ = ["BANK_TYPES", "Bank", "MemorySubject", "for_each_bank_type", "found", "insertion", "new_name"]
