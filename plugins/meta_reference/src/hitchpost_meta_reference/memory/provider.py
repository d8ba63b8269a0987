"""What serves memory as `inline::sqlite` and `inline::faiss`."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from hitchpost.api import (
    BankStatistics,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    ImageMedia,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    InterleavedContent,
    ListDocumentsRequest,
    ListDocumentsResponse,
    MemoryBank,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    QueryMode,
    RequestContext,
    StoredDocument,
    VectorMemoryBank,
    content_items,
    content_text,
)
from hitchpost.errors import (
    BackendUnavailableError,
    HitchpostError,
    NotFoundError,
    UnsupportedError,
    quoted,
)
from hitchpost.ingest import BankEmbedder, Ingestor, cut_of
from hitchpost.plugin import MemoryProvider, Metric, ProviderDeps
from hitchpost_meta_reference.memory.bank import Bank, Found, Search
from hitchpost_meta_reference.memory.bank_file import BankHeader
from hitchpost_meta_reference.memory.bank_types import BANK_TYPES, check_same
from hitchpost_meta_reference.memory.config import MemoryConfig
from hitchpost_meta_reference.memory.indexing import Indexing
from hitchpost_meta_reference.memory.insertion import Insertion
from hitchpost_meta_reference.memory.open_banks import OpenBank, OpenBanks
from hitchpost_meta_reference.memory.records import BankLimits
from hitchpost_meta_reference.memory.surroundings import check_sqlite, find_folder_problem
from hitchpost_meta_reference.memory.upkeep import Upkeep
from hitchpost_meta_reference.memory.vectors import unit_vectors


class EmbeddedMemory(MemoryProvider[MemoryConfig]):
    """Keeps each bank in a file of its own, and searches it in this process.

    Scores, all of them higher for what fits better: of a query by vectors the cosine, 0 where it is negative; by words BM25, greater than 0 and
    without an upper end; of a hybrid query the fused ranks, 1 for what is first in both; of a key-value bank 1.
    """

    def __init__(self, config: MemoryConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._folder: Path = deps.state_dir / "banks"
        self._banks = OpenBanks(
            self._folder,
            reading_threads=config.search_threads,
            max_open=config.max_open_banks,
            max_bytes=config.max_vectors_mib * 1024 * 1024,
        )
        self._indexing = Indexing(self._banks, config.faiss_above_chunks, deps.log)
        self._upkeep = Upkeep(self._banks, deps.log)
        self._ingestor = Ingestor(config.ingest, deps.log)
        self._limits = BankLimits(config.max_documents_per_bank, config.max_chunks_per_bank)
        self._registering = asyncio.Lock()
        self._inserted = self._refused = self._queries = 0

    # --- life ---

    async def start(self) -> None:
        """Take the folder, and begin to look after the banks."""
        await asyncio.to_thread(check_sqlite)
        await self._banks.start()
        await self._ingestor.start()
        self._indexing.start()
        self._upkeep.start()

    async def stop(self) -> None:
        """End what is under way, and close all banks."""
        await self._upkeep.stop()
        await self._indexing.stop()
        await self._ingestor.stop()
        await self._banks.stop()

    async def health(self) -> None:
        """Raises where nothing could be written."""
        problem = await asyncio.to_thread(find_folder_problem, self._folder)
        if problem is not None:
            raise BackendUnavailableError(problem, provider_id=self.deps.provider_id)

    def metrics(self) -> Iterable[Metric]:
        """What was asked, and what is held."""
        return (
            Metric(name="documents_inserted_total", kind="counter", help="Documents put in.", value=self._inserted),
            Metric(name="documents_refused_total", kind="counter", help="Documents refused.", value=self._refused),
            Metric(
                name="documents_expired_total",
                kind="counter",
                help="Documents removed at the end of their time.",
                value=self._upkeep.expired_count,
            ),
            Metric(name="queries_total", kind="counter", help="Queries.", value=self._queries),
            Metric(name="open_banks", kind="gauge", help="Banks that are open.", value=self._banks.open_count),
            Metric(
                name="vectors_bytes",
                kind="gauge",
                help="Memory that the vectors of open banks take.",
                value=self._banks.size_in_memory,
            ),
        )

    # --- banks ---

    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        """Open a bank, or make it; one that is there already keeps what is in it, and must be of the same kind."""
        header = await self._header(memory_bank, context)
        async with self._registering, self._banks.using(memory_bank.provider_resource_id, header) as one:
            if header is not None:
                check_same(one.its.header, header)
            await self._banks.change(one, lambda bank: bank.add_registration(memory_bank.identifier))
            self._upkeep.notice(one)

    async def unregister_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        """Delete a bank with its documents, once nothing is registered for it any more."""
        name = memory_bank.provider_resource_id
        async with self._registering:
            try:
                async with self._banks.using(name) as one:
                    is_registered = await self._banks.change(
                        one, lambda bank: bank.remove_registration(memory_bank.identifier)
                    )
            except NotFoundError:
                return
            except BackendUnavailableError as error:
                if not error.is_permanent:
                    raise
                # What is in a file that can't be read is not ours to throw away.
                self.log.warning("%s; it is registered no more, and its file is still there", error.message)
                return
            if not is_registered:
                self._upkeep.forget(name)
                await self._banks.delete(name)

    async def _header(self, bank: MemoryBank, context: RequestContext | None) -> BankHeader | None:
        """What the bank is to be; None: what it was before, since the model can't be asked now."""
        name = bank.provider_resource_id
        bank_type: str = getattr(bank, "memory_bank_type", "")
        if bank_type not in BANK_TYPES:
            raise UnsupportedError(
                f"params.memory_bank_type: there are no {quoted(bank_type)} banks here; register one of the types "
                f"{', '.join(BANK_TYPES)}: a vector bank can also be searched by words and by both",
                param="params.memory_bank_type",
                provider_id=self.deps.provider_id,
            )
        if not isinstance(bank, VectorMemoryBank):
            return BankHeader(name=name, bank_type=bank_type)
        cut_of(bank)  # or it is refused
        own = RequestContext(request_id=f"memory-bank-{uuid.uuid4().hex}")
        try:
            dimension = await self._embedder(bank).dimension(context or own)
        except HitchpostError as error:
            # At a start the model's provider may be up later than this one.
            if context is None and error.is_retryable and await self._is_there(name):
                return None
            raise
        return BankHeader(name=name, bank_type=bank_type, embedding_model=bank.embedding_model, dimension=dimension)

    async def _is_there(self, name: str) -> bool:
        try:
            async with self._banks.using(name):
                return True
        except NotFoundError:
            return False

    # --- documents ---

    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse:
        """Put documents into a bank; what was reported as in is on disk."""
        bank = self._bank(request.bank_id, context)
        insertion = Insertion(
            self._banks,
            bank.provider_resource_id,
            changed=self._look_after,
            ingestor=self._ingestor,
            embedder=self._embedder(bank) if isinstance(bank, VectorMemoryBank) else None,
            cut=cut_of(bank),
            limits=self._limits,
            ttl_s=request.ttl_seconds,
            context=context,
        )
        reports = await insertion.run(request.documents)
        refused = sum(report.error is not None for report in reports)
        self._refused += refused
        self._inserted += len(reports) - refused
        return InsertDocumentsResponse(documents=reports)

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Find the chunks that fit a query best."""
        self._queries += 1
        bank = self._bank(request.bank_id, context)
        if any(isinstance(item, ImageMedia) for item in content_items(request.query)):
            raise UnsupportedError("query: banks are asked with text only, no images", param="query")
        found = await self._found(bank, request, context)
        return QueryDocumentsResponse(chunks=[chunk for chunk, _ in found], scores=[score for _, score in found])

    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        """A page of a bank's documents."""
        async with self._using(request.bank_id, context) as one:
            page, has_more = await self._banks.read(one, lambda bank: bank.page(request.after, request.limit))
        return ListDocumentsResponse(data=page, has_more=has_more)

    async def get_document(self, request: GetDocumentRequest, context: RequestContext) -> StoredDocument:
        """One document with its chunks."""
        async with self._using(request.bank_id, context) as one:
            document = await self._banks.read(one, lambda bank: bank.find_document(request.document_id))
        if document is None:
            message = f"memory bank {quoted(request.bank_id)} has no document {quoted(request.document_id)}"
            raise NotFoundError(message, param="document_id")
        return document

    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        """Let documents leave a bank; when this returns, the bank's file has nothing of them any more."""
        async with self._using(request.bank_id, context) as one:
            try:
                deleted = await self._banks.change(one, lambda bank: bank.delete(request.document_ids))
                await self._upkeep.scrub(one)
            finally:
                self._upkeep.notice(one)
        return DeleteDocumentsResponse(deleted=deleted)

    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        """How much a bank holds."""
        async with self._using(request.bank_id, context) as one:
            return await self._banks.read(one, Bank.statistics)

    # --- within ---

    async def _found(self, bank: MemoryBank, request: QueryDocumentsRequest, context: RequestContext) -> Found:
        params = request.params
        is_vector = isinstance(bank, VectorMemoryBank)
        mode = (params.mode or QueryMode.vector) if is_vector else QueryMode.keyword
        text = content_text(request.query)
        vectors: list[list[float]] = []
        if isinstance(bank, VectorMemoryBank) and mode is not QueryMode.keyword:
            vectors = await self._embedder(bank).embed([text], context, purpose="query")

        def search(open_bank: Bank) -> Found:
            dimension = open_bank.header.dimension
            asked = Search(
                mode=mode,
                max_chunks=params.max_chunks,
                score_threshold=params.score_threshold,
                text=text,
                vector=unit_vectors(vectors, dimension)[0] if vectors and dimension else None,
                metadata=params.filter,
            )
            if open_bank.header.bank_type == "keyvalue":
                return open_bank.find_by_ids(_texts(request.query), asked)
            return open_bank.search(asked)

        async with self._banks.using(bank.provider_resource_id) as one:
            await self._banks.load(one)
            self._indexing.consider(one)
            return await self._banks.read(one, search)

    def _look_after(self, one: OpenBank) -> None:
        self._upkeep.notice(one)
        self._indexing.consider(one)

    def _bank(self, bank_id: str, context: RequestContext) -> MemoryBank:
        if not isinstance(context.resource, MemoryBank):
            raise NotFoundError(f"there is no memory bank {quoted(bank_id)}", param="bank_id")
        return context.resource

    def _using(self, bank_id: str, context: RequestContext) -> AbstractAsyncContextManager[OpenBank]:
        return self._banks.using(self._bank(bank_id, context).provider_resource_id)

    def _embedder(self, bank: VectorMemoryBank) -> BankEmbedder:
        return BankEmbedder(self.deps.inference, self.deps.models, bank.embedding_model)


def _texts(query: InterleavedContent) -> Sequence[str]:
    return [item for item in content_items(query) if isinstance(item, str)]


__all__ = ["EmbeddedMemory"]
