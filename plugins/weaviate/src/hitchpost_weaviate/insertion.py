"""One insertion: documents are read, cut, given vectors and written, some at a time, and each of them gets its report."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hitchpost.api import (
    DocumentReport,
    InsertDocumentsRequest,
    MemoryBank,
    MemoryBankDocument,
    RequestContext,
)
from hitchpost.errors import HitchpostError
from hitchpost.ingest import BankEmbedder, IngestedDocument, Ingestor, TextChunk, cut_of
from hitchpost_weaviate.documents import Documents
from hitchpost_weaviate.names import revision_of
from hitchpost_weaviate.objects import NEVER, KeptChunk, Record

DOCUMENTS_AT_A_TIME = 32
CHUNKS_AT_A_TIME = 100
CHARACTERS_AT_A_TIME = 4_000_000
"""What is given vectors and written in one call; a server takes messages of 100 MB."""


@dataclass(slots=True)
class _Prepared:
    """A document on its way into the bank."""

    place: int
    record: Record
    ingested: IngestedDocument
    error: str | None = None
    is_begun: bool = False


@dataclass(slots=True)
class Insertion:
    """Puts the documents of one request into a bank."""

    bank: MemoryBank
    documents: Documents
    ingestor: Ingestor
    embedder: BankEmbedder | None
    """None for banks without vectors."""
    context: RequestContext
    inserted_at: float
    """Another one for each insertion."""
    reports: dict[int, DocumentReport] = field(default_factory=dict)

    async def run(self, request: InsertDocumentsRequest) -> list[DocumentReport]:
        """A report for each document, in their order.

        Raises:
            HitchpostError: none of them could go in.
        """
        expires_at = NEVER if request.ttl_seconds is None else time.time() + request.ttl_seconds
        last = {document.document_id: place for place, document in enumerate(request.documents)}
        wanted = [(place, request.documents[place]) for place in sorted(last.values())]
        for start in range(0, len(wanted), DOCUMENTS_AT_A_TIME):
            try:
                await self._put(wanted[start : start + DOCUMENTS_AT_A_TIME], expires_at)
            except HitchpostError as error:
                if not any(report.error is None for report in self.reports.values()):
                    raise
                # Some are in, which only the reports can say.
                for place, document in wanted[start:]:
                    self._fail(place, document.document_id, error.message)
                break
        return [
            self.reports[place]
            if last[document.document_id] == place
            else _replaced(self.reports[last[document.document_id]])
            for place, document in enumerate(request.documents)
        ]

    async def _put(self, wanted: Sequence[tuple[int, MemoryBankDocument]], expires_at: float) -> None:
        read = await asyncio.gather(*(self._prepare(place, document, expires_at) for place, document in wanted))
        prepared = [one for one in read if one is not None]
        await self._write_chunks(prepared)
        whole = [one for one in prepared if one.error is None]
        failed = await self.documents.commit([one.record for one in whole])
        for place, message in failed.items():
            whole[place].error = message
        await self.documents.give_up([one.record for one in prepared if one.error is not None and one.is_begun])
        for one in prepared:
            if one.error is not None:
                self._fail(one.place, one.record.document_id, one.error)
            else:
                count = one.record.chunk_count
                self.reports[one.place] = DocumentReport(document_id=one.record.document_id, chunk_count=count)

    async def _prepare(self, place: int, document: MemoryBankDocument, expires_at: float) -> _Prepared | None:
        try:
            cut = cut_of(self.bank)
            ingested = await self.ingestor.read(document, chunk_size=cut.chunk_size, overlap=cut.overlap)
        except HitchpostError as error:
            self._fail(place, document.document_id, error.message)
            return None
        texts = [chunk.text for chunk in ingested.chunks]
        record = Record(
            document_id=document.document_id,
            revision=revision_of(document.document_id, ingested.mime_type, document.metadata, texts),
            mime_type=ingested.mime_type,
            metadata=document.metadata,
            chunk_count=len(texts),
            token_count=ingested.token_count,
            inserted_at=self.inserted_at,
            expires_at=expires_at,
        )
        return _Prepared(place, record, ingested)

    async def _write_chunks(self, prepared: Sequence[_Prepared]) -> None:
        for page in _pages(prepared):
            vectors: Sequence[Any] = [None] * len(page)
            if self.embedder is not None:
                vectors = await self.embedder.embed([chunk.text for _, chunk in page], self.context)
            objects = []
            for (one, chunk), vector in zip(page, vectors, strict=True):
                one.is_begun = True
                kept = KeptChunk(
                    one.record.document_id, one.record.revision, chunk.position, chunk.text, chunk.token_count
                )
                objects.append(kept.to_object(one.record, one.record.terms, vector))
            for place, message in (await self.documents.write(objects)).items():
                one, chunk = page[place]
                one.error = one.error or f"chunk {chunk.position}: {message}"

    def _fail(self, place: int, document_id: str, message: str) -> None:
        self.reports[place] = DocumentReport(document_id=document_id, error=message)


def _replaced(report: DocumentReport) -> DocumentReport:
    """Of a document that one with the same id follows, when that one has this report: nothing of it is kept."""
    if report.error is None:
        return DocumentReport(document_id=report.document_id, chunk_count=0)
    message = f"not inserted, as a later document of the request has the same id, which did not go in: {report.error}"
    return DocumentReport(document_id=report.document_id, error=message)


def _pages(prepared: Sequence[_Prepared]) -> Iterator[list[tuple[_Prepared, TextChunk]]]:
    page: list[tuple[_Prepared, TextChunk]] = []
    characters = 0
    for one in prepared:
        for chunk in one.ingested.chunks:
            if page and (len(page) == CHUNKS_AT_A_TIME or characters + len(chunk.text) > CHARACTERS_AT_A_TIME):
                yield page
                page, characters = [], 0
            page.append((one, chunk))
            characters += len(chunk.text)
    if page:
        yield page


__all__ = ["Insertion"]
