"""What serves memory as `inline::scripted`."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from hitchpost.api import (
    URL,
    BankStatistics,
    Chunk,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    DocumentInfo,
    DocumentReport,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    InterleavedContent,
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
from hitchpost.errors import BadRequestError, ConflictError, NotFoundError, UnsupportedError, quoted
from hitchpost.plugin import MemoryProvider, Metric, ProviderDeps
from hitchpost.scripted.calls import CallRule, CallScript
from hitchpost.scripted.faults import Settings
from hitchpost.scripted.memory.banks import CHUNKS_AT_A_TIME, Bank, KeptChunk, KeptDocument, bank_class
from hitchpost.scripted.memory.documents import document_text

# --- config ---


class MemoryRule(CallRule):
    """When a call of memory is delayed or fails. `when` is searched in the query, or in each document's content as it was sent."""

    effects: ClassVar[tuple[str, ...]] = ("passes", "delay_s", "fault")

    call: Literal["insert", "query"] | None = None
    """The call that the rule is for. Absent: both."""
    bank: str | None = None
    """The bank that the rule is for, by the provider's name for it. Absent: all."""
    passes: bool = False
    """Whether the call goes on, whatever the rules below say."""


class ScriptedMemoryConfig(Settings):
    """Config of `inline::scripted` for memory. Without a script no call is delayed and none fails."""

    max_characters: Annotated[int, Field(ge=1)] = 10_000_000
    """How much text all banks keep at most; where chunks overlap, it counts for each."""
    script: tuple[MemoryRule, ...] = ()
    """The first rule that fits holds."""


# --- provider ---


class ScriptedMemory(MemoryProvider[ScriptedMemoryConfig]):
    """Keeps what is inserted until it stops, and finds it by words that a query and a text share."""

    def __init__(self, config: ScriptedMemoryConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._script = CallScript(config.script)
        self._banks: dict[str, Bank] = {}
        self._insertions = self._queries = self._running = 0

    def metrics(self) -> Iterable[Metric]:
        """What was asked, what runs, and what is kept."""
        documents = sum(len(bank) for bank in self._banks.values())
        return (
            Metric(name="insertions_total", kind="counter", help="Requests to insert.", value=self._insertions),
            Metric(name="queries_total", kind="counter", help="Queries.", value=self._queries),
            Metric(name="calls_running", kind="gauge", help="Calls under way.", value=self._running),
            Metric(name="registered_banks", kind="gauge", help="Banks announced.", value=len(self._banks)),
            Metric(name="documents", kind="gauge", help="Documents kept.", value=documents),
        )

    async def stop(self) -> None:
        """Forget everything."""
        self._banks.clear()

    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        """Open a bank; one that is there already keeps what is in it."""
        name = memory_bank.provider_resource_id
        kind = bank_class(memory_bank)
        announced = kind(memory_bank)
        bank = self._banks.setdefault(name, announced)
        if type(bank) is not kind:
            raise ConflictError(
                f"provider {self.deps.provider_id} has the bank {name!r} already, as one of another type",
                param="params",
            )
        bank.registrations.add(memory_bank.identifier)

    async def unregister_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        """Forget a bank with its documents, once nothing is registered for it any more."""
        bank = self._banks.get(memory_bank.provider_resource_id)
        if bank is not None:
            bank.registrations.discard(memory_bank.identifier)
            if not bank.registrations:
                del self._banks[memory_bank.provider_resource_id]

    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse:
        """Put documents into a bank; those that can't be read, or for which there is no room, are reported and left out."""
        self._insertions += 1
        name, bank = self._bank(context, request.bank_id)
        await self._play("insert", name, "\n".join(_raw_text(document.content) for document in request.documents))
        read: list[KeptDocument | BadRequestError | UnsupportedError] = []
        room = self.config.max_characters
        for document in request.documents:
            try:
                kept = await self._read(bank, document, room, request.ttl_seconds)
            except (BadRequestError, UnsupportedError) as error:
                read.append(error)
            else:
                read.append(kept)
                room -= kept.characters
        self._purge()
        # In one go, so that no query sees half an insertion.
        reports = [
            self._put(bank, document.document_id, kept) for document, kept in zip(request.documents, read, strict=True)
        ]
        return InsertDocumentsResponse(documents=reports)

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Find the chunks that fit a query best."""
        self._queries += 1
        name, bank = self._bank(context, request.bank_id)
        await self._play("query", name, content_text(request.query))
        self._purge()
        params = request.params
        found = await bank.query(
            request.query,
            params.max_chunks,
            params.score_threshold,
            lambda document: metadata_fits(document.metadata, params.filter or {}),
        )
        return QueryDocumentsResponse(
            chunks=[_chunk(document, chunk) for _, document, chunk in found], scores=[score for score, _, _ in found]
        )

    # --- documents ---

    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        """A page of a bank's documents, in the order of their ids."""
        bank = self._present(context, request.bank_id)
        later = [name for name in bank.document_ids if request.after is None or name > request.after]
        kept = [document for name in later[: request.limit] if (document := bank.find(name)) is not None]
        return ListDocumentsResponse(
            data=[DocumentInfo(**_described(document)) for document in kept], has_more=len(later) > request.limit
        )

    async def get_document(self, request: GetDocumentRequest, context: RequestContext) -> StoredDocument:
        """A document with its chunks.

        Raises:
            NotFoundError: it isn't there.
        """
        kept = self._present(context, request.bank_id).find(request.document_id)
        if kept is None:
            message = f"there is no document {quoted(request.document_id)} in the memory bank"
            raise NotFoundError(message, param="document_id")
        return StoredDocument(**_described(kept), chunks=[_chunk(kept, chunk) for chunk in kept.chunks])

    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        """Forget documents."""
        bank = self._present(context, request.bank_id)
        return DeleteDocumentsResponse(deleted=[name for name in request.document_ids if bank.delete(name)])

    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        """How much a bank holds; `size_bytes` is what its texts take in UTF-8."""
        bank = self._present(context, request.bank_id)
        kept = [document for name in bank.document_ids if (document := bank.find(name)) is not None]
        chunks = [chunk for document in kept for chunk in document.chunks]
        return BankStatistics(
            document_count=len(kept),
            chunk_count=len(chunks),
            token_count=sum(chunk.token_count for chunk in chunks),
            size_bytes=sum(len(chunk.text.encode("utf-8", "surrogatepass")) for chunk in chunks),
        )

    # --- parts ---

    def _present(self, context: RequestContext, bank_id: str) -> Bank:
        """A bank without what has expired."""
        _, bank = self._bank(context, bank_id)
        self._purge()
        return bank

    def _bank(self, context: RequestContext, bank_id: str) -> tuple[str, Bank]:
        name = bank_id if context.resource is None else context.resource.provider_resource_id
        if name not in self._banks:
            raise NotFoundError(f"provider {self.deps.provider_id} has no memory bank {name!r}", param="bank_id")
        return name, self._banks[name]

    async def _play(self, call: Literal["insert", "query"], bank: str, text: str) -> None:
        rule = self._script.find(
            lambda rule: rule.call in (None, call) and rule.bank in (None, bank) and rule.finds(text)
        )
        self._running += 1
        try:
            if rule is not None:
                await rule.play()
        finally:
            self._running -= 1

    async def _read(self, bank: Bank, document: MemoryBankDocument, room: int, ttl_s: int | None) -> KeptDocument:
        """A document as it is kept. Cutting it ends where there is no more room: overlapping chunks may hold it many times over."""
        chunks: list[KeptChunk] = []
        characters = len(document.document_id)
        for chunk in bank.chunks(document.document_id, document_text(document.content, "content")):
            chunks.append(chunk)
            characters += len(chunk.text)
            if characters > room:
                raise self._full()
            if len(chunks) % CHUNKS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        return KeptDocument(
            document.document_id,
            tuple(chunks),
            characters,
            inserted_at=datetime.now(UTC),
            ttl_s=ttl_s,
            expires_at=None if ttl_s is None else asyncio.get_running_loop().time() + ttl_s,
            mime_type=document.mime_type,
            metadata=document.metadata,
        )

    def _put(
        self, bank: Bank, document_id: str, read: KeptDocument | BadRequestError | UnsupportedError
    ) -> DocumentReport:
        if isinstance(read, KeptDocument):
            replaced = bank.find(document_id)
            there = sum(one.characters for one in self._banks.values()) - (replaced.characters if replaced else 0)
            if there + read.characters <= self.config.max_characters:
                bank.put(read)
                return DocumentReport(document_id=document_id, chunk_count=len(read.chunks))
            read = self._full()
        return DocumentReport(document_id=document_id, error=read.message)

    def _purge(self) -> None:
        now = asyncio.get_running_loop().time()
        for bank in self._banks.values():
            bank.purge(now)

    def _full(self) -> BadRequestError:
        return BadRequestError(
            f"provider {self.deps.provider_id} keeps at most {self.config.max_characters:,} characters in all its banks; "
            "insert less, unregister a bank, or raise max_characters in its config",
            param="documents",
        )


def _described(kept: KeptDocument) -> dict[str, Any]:
    """The fields of `DocumentInfo`."""
    return {
        "document_id": kept.document_id,
        "mime_type": kept.mime_type,
        "metadata": kept.metadata,
        "chunk_count": len(kept.chunks),
        "token_count": sum(chunk.token_count for chunk in kept.chunks),
        "inserted_at": kept.inserted_at,
        "expires_at": None if kept.ttl_s is None else kept.inserted_at + timedelta(seconds=kept.ttl_s),
    }


def _chunk(kept: KeptDocument, chunk: KeptChunk) -> Chunk:
    return Chunk(
        content=chunk.text,
        token_count=chunk.token_count,
        document_id=chunk.document_id,
        position=chunk.position,
        metadata=kept.metadata,
    )


def _raw_text(content: InterleavedContent | URL) -> str:
    return content.uri if isinstance(content, URL) else content_text(content)


__all__ = ["MemoryRule", "ScriptedMemory", "ScriptedMemoryConfig"]
