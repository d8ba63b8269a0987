"""What a memory provider can do wrong."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hitchpost.api import (
    BankStatistics,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    GetBankStatisticsRequest,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    ListDocumentsRequest,
    ListDocumentsResponse,
    MemoryBank,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
)
from hitchpost.errors import ConflictError
from tests.conformance.right.memory import Kept, RightMemory
from tests.conformance.wrong.case import wrong_memory

Found = list[tuple[float, str, Kept]]


@wrong_memory("banks.announced-again", "after the bank was announced again 'python' is not found any more")
class EmptiesBanks(RightMemory):
    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        await super().register_memory_bank(memory_bank, context)
        self.banks[memory_bank.provider_resource_id] = {}


@wrong_memory("banks.listed", "the end of a bank had not ended")
class NeverLetsGo(RightMemory):
    async def unregister_memory_bank(self, memory_bank: MemoryBank) -> None:
        await asyncio.Event().wait()


@wrong_memory("banks.register-anew", "ConflictError: the name was used before")
class RemembersNames(RightMemory):
    async def unregister_memory_bank(self, memory_bank: MemoryBank) -> None:
        self.used = {*getattr(self, "used", ()), memory_bank.identifier}

    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        if memory_bank.identifier in getattr(self, "used", ()):
            raise ConflictError("the name was used before")
        await super().register_memory_bank(memory_bank, context)


@wrong_memory("banks.unknown", "a query of a bank that it doesn't know raised KeyError")
class LooksUpBlindly(RightMemory):
    def bank_of(self, context: RequestContext) -> dict[str, Kept]:
        assert context.resource is not None
        return self.banks[context.resource.provider_resource_id]


@wrong_memory("banks.unsupported", "a bank of the type graph could be registered and filled")
class TakesEveryType(RightMemory):
    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        self.banks.setdefault(memory_bank.provider_resource_id, {})


@wrong_memory("query.shape", "the scores come in the order")
class WorstFirst(RightMemory):
    def answer(self, kept: Found, request: QueryDocumentsRequest) -> QueryDocumentsResponse:
        best = super().answer(kept, request)
        return QueryDocumentsResponse(chunks=best.chunks[::-1], scores=best.scores[::-1])

    def score(self, query: str, name: str, text: str) -> float:
        return super().score(query, name, text) or 0.01


@wrong_memory("query.finds", "finds .*, not neural first")
class FindsTheSame(RightMemory):
    def score(self, query: str, name: str, text: str) -> float:
        return 1.0 if name == "python" else 0.5


@wrong_memory("query.max-chunks", "with max_chunks 1 it finds")
class KnowsNoBounds(RightMemory):
    def answer(self, kept: Found, request: QueryDocumentsRequest) -> QueryDocumentsResponse:
        params = request.params.model_copy(update={"max_chunks": 100})
        return super().answer(kept, request.model_copy(update={"params": params}))

    def score(self, query: str, name: str, text: str) -> float:
        return super().score(query, name, text) or 0.01


@wrong_memory("query.threshold", "the threshold .* leaves")
class KnowsNoThreshold(RightMemory):
    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        params = request.params.model_copy(update={"score_threshold": 0.0})
        return await super().query_documents(request.model_copy(update={"params": params}), context)


NOTHING = Kept("nothing", {}, None, datetime.now(UTC), None)


@wrong_memory("query.empty-bank", "an empty bank finds")
class MakesThingsUp(RightMemory):
    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        answer = await super().query_documents(request, context)
        return answer if answer.chunks else self.answer([(0.1, "", NOTHING)], request)


@wrong_memory("query.other-banks", "a bank in which nothing was put finds")
class HasOneBankOnly(RightMemory):
    def bank_of(self, context: RequestContext) -> dict[str, Kept]:
        super().bank_of(context)
        return next(iter(self.banks.values()))


@wrong_memory("documents.replaced", "after 'python' was inserted again it is found as")
class KeepsOldTexts(RightMemory):
    def put(self, bank: dict[str, Kept], name: str, kept: Kept) -> None:
        before = bank[name].text if name in bank else ""
        bank[name] = replace(kept, text=f"{before}{kept.text}")


@wrong_memory("documents.concurrent", "finds '.*' 0 times|can't be found when its insertion has returned")
class LosesUpdates(RightMemory):
    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse | None:
        before = dict(self.bank_of(context))
        await super().insert_documents(request, context)
        bank = self.bank_of(context)
        added = {document.document_id: bank[document.document_id] for document in request.documents}
        await asyncio.sleep(0.001)
        assert context.resource is not None
        self.banks[context.resource.provider_resource_id] = {**before, **added}
        return None


@wrong_memory("banks.lasting", r"after a restart \[\] are found in place of 'python'")
class ForgetsAll(RightMemory):
    def save(self) -> None:
        pass


@wrong_memory("documents.report", "reported as not gone in are none")
class SkipsInSilence(RightMemory):
    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse | None:
        await super().insert_documents(request, context)
        return None


@wrong_memory("documents.ttl", "in a .* bank 'python' is still found 1.1 s after it had 1 s to live")
class KeepsForEver(RightMemory):
    def expire(self, bank: dict[str, Kept]) -> None:
        pass


@wrong_memory("documents.listed", "the pages of .* by 3 are")
class ListsAllAtOnce(RightMemory):
    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        return await super().list_documents(request.model_copy(update={"limit": 1000}), context)


@wrong_memory("documents.read", "'python', text/plain, with .* is read as")
class ForgetsMetadata(RightMemory):
    def describe(self, name: str, kept: Kept) -> dict[str, Any]:
        return {**super().describe(name, kept), "metadata": {}}


@wrong_memory("documents.deleted", "'python' is found after it was deleted")
class OnlySaysSo(RightMemory):
    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        there = [name for name in request.document_ids if name in self.bank_of(context)]
        first = not hasattr(self, "has_deleted")
        self.has_deleted = True
        return DeleteDocumentsResponse(deleted=there if first else [])


@wrong_memory("documents.counted", "3 listed documents of 3 chunks, .* are counted as")
class CountsInsertions(RightMemory):
    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        counted = await super().get_bank_statistics(request, context)
        return counted.model_copy(update={"document_count": 5})


@wrong_memory("query.filter", "the filter .* leaves")
class SeesLettersOnly(RightMemory):
    def fits(self, kept: Kept, request: QueryDocumentsRequest) -> bool:
        wanted = request.params.filter or {}
        return all(str(kept.metadata.get(key)).lower() in str(value).lower() for key, value in wanted.items())


@wrong_memory("query.modes", "by keyword a word that is nowhere finds")
class TakesKeywordsForVectors(RightMemory):
    def score(self, query: str, name: str, text: str) -> float:
        return super().score(query, name, text) or 0.01
