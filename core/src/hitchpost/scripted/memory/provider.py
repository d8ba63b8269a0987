"""What serves memory as `inline::scripted`."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from hitchpost.api import (
    URL,
    Chunk,
    InsertDocumentsRequest,
    InterleavedContent,
    MemoryBank,
    MemoryBankDocument,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    content_text,
)
from hitchpost.errors import BadRequestError, ConflictError, NotFoundError
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

    async def insert_documents(self, request: InsertDocumentsRequest, context: RequestContext) -> None:
        """Put documents into a bank, all of them or none."""
        self._insertions += 1
        name, bank = self._bank(context, request.bank_id)
        await self._play("insert", name, "\n".join(_raw_text(document.content) for document in request.documents))
        now = asyncio.get_running_loop().time()
        expires_at = None if request.ttl_seconds is None else now + request.ttl_seconds
        inserted: dict[str, KeptDocument] = {}
        room = self.config.max_characters
        for number, document in enumerate(request.documents):
            kept = await self._kept(bank, document, f"documents.{number}.content", room, expires_at)
            inserted[document.document_id] = kept
            room -= kept.characters
        self._purge()
        there = sum(other.characters for other in self._banks.values()) - bank.characters_of(inserted)
        if there + sum(kept.characters for kept in inserted.values()) > self.config.max_characters:
            raise self._full()
        bank.put(inserted)

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Find the chunks that fit a query best."""
        self._queries += 1
        name, bank = self._bank(context, request.bank_id)
        await self._play("query", name, content_text(request.query))
        self._purge()
        found = await bank.query(request.query, request.params.max_chunks, request.params.score_threshold)
        return QueryDocumentsResponse(
            chunks=[
                Chunk(content=chunk.text, token_count=chunk.token_count, document_id=chunk.document_id)
                for _, chunk in found
            ],
            scores=[score for score, _ in found],
        )

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

    async def _kept(
        self, bank: Bank, document: MemoryBankDocument, param: str, room: int, expires_at: float | None
    ) -> KeptDocument:
        """A document as it is kept. Cutting it ends where there is no more room: overlapping chunks may hold it many times over."""
        chunks: list[KeptChunk] = []
        characters = len(document.document_id)
        for chunk in bank.chunks(document.document_id, document_text(document.content, param)):
            chunks.append(chunk)
            characters += len(chunk.text)
            if characters > room:
                raise self._full()
            if len(chunks) % CHUNKS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        return KeptDocument(tuple(chunks), characters, expires_at)

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


def _raw_text(content: InterleavedContent | URL) -> str:
    return content.uri if isinstance(content, URL) else content_text(content)


__all__ = ["MemoryRule", "ScriptedMemory", "ScriptedMemoryConfig"]
