"""Bringing documents into a bank: read, cut, embedded and written, some at a time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from hitchpost.api import DocumentReport, MemoryBankDocument, RequestContext
from hitchpost.errors import BadRequestError, HitchpostError, RequestTooLargeError, UnsupportedError
from hitchpost.ingest import BankEmbedder, Cut, IngestedDocument, Ingestor
from hitchpost_meta_reference.memory.bank import Bank
from hitchpost_meta_reference.memory.open_banks import OpenBank, OpenBanks
from hitchpost_meta_reference.memory.records import BankLimits, NewChunk, NewDocument
from hitchpost_meta_reference.memory.vectors import unit_vectors

DOCUMENTS_AT_A_TIME = 32
"""Documents of one transaction; each of them is in the bank as a whole or not at all."""
MODEL_PARAM = "embedding_model"
"""What an error names that is about the model and not about a text."""

_OF_THE_DOCUMENT = (BadRequestError, RequestTooLargeError, UnsupportedError)
"""What an embedding model says of a text; anything else concerns all texts."""


class Insertion:
    """One request's documents on their way into a bank.

    Args:
        banks: those that are open.
        name: the provider's, of the bank.
        changed: called after each change of the bank.
        ingestor: reads and cuts.
        embedder: makes the vectors; None: the bank has none.
        cut: how documents become chunks.
        limits: of the bank.
        ttl_s: after how many seconds the documents expire; None: never.
        context: of the request.
    """

    def __init__(
        self,
        banks: OpenBanks,
        name: str,
        *,
        changed: Callable[[OpenBank], None],
        ingestor: Ingestor,
        embedder: BankEmbedder | None,
        cut: Cut,
        limits: BankLimits,
        ttl_s: int | None,
        context: RequestContext,
    ) -> None:
        self._banks = banks
        self._name = name
        self._changed = changed
        self._ingestor = ingestor
        self._embedder = embedder
        self._cut = cut
        self._limits = limits
        self._ttl_s = ttl_s
        self._context = context

    async def run(self, documents: Sequence[MemoryBankDocument]) -> list[DocumentReport]:
        """What became of each document, in their order.

        Raises:
            HitchpostError: the model or the bank failed before any document was in; later on it is told in the reports.
        """
        reports: list[DocumentReport] = []
        for start in range(0, len(documents), DOCUMENTS_AT_A_TIME):
            try:
                reports += await self._insert(documents[start : start + DOCUMENTS_AT_A_TIME])
            except HitchpostError as error:
                if all(report.error is not None for report in reports):
                    raise
                message = f"not inserted: {error.message}"
                rest = documents[start:]
                return [*reports, *(DocumentReport(document_id=one.document_id, error=message) for one in rest)]
        return reports

    async def _insert(self, documents: Sequence[MemoryBankDocument]) -> list[DocumentReport]:
        errors: dict[int, str] = {}
        read: dict[int, IngestedDocument] = {}
        answers = await asyncio.gather(*(self._read(document) for document in documents), return_exceptions=True)
        for number, answer in enumerate(answers):
            if isinstance(answer, HitchpostError):
                errors[number] = answer.message
            elif isinstance(answer, BaseException):
                raise answer
            else:
                read[number] = answer
        vectors = await self._embed(read, errors)
        going = [number for number in read if number not in errors]
        expires_at = None if self._ttl_s is None else time.time() + self._ttl_s
        ready = [(documents[number], read[number], vectors.get(number), expires_at) for number in going]
        if going:
            for number, went_in in zip(going, await self._write(ready), strict=True):
                if not went_in:
                    errors[number] = (
                        f"the bank is full: it takes {self._limits.max_documents:,} documents and {self._limits.max_chunks:,} "
                        "chunks; delete documents, or raise max_documents_per_bank or max_chunks_per_bank in the provider's config"
                    )
        return [
            DocumentReport(document_id=document.document_id, error=errors[number])
            if number in errors
            else DocumentReport(document_id=document.document_id, chunk_count=len(read[number].chunks))
            for number, document in enumerate(documents)
        ]

    async def _write(self, ready: "Sequence[_Ready]") -> list[bool]:
        # Used only meanwhile, so that whoever ends the bank waits for these documents and not for all of the request's.
        async with self._banks.using(self._name) as one:
            try:
                return await self._banks.change(one, partial(_write, ready=ready, limits=self._limits))
            finally:
                self._changed(one)

    async def _read(self, document: MemoryBankDocument) -> IngestedDocument:
        return await self._ingestor.read(document, chunk_size=self._cut.chunk_size, overlap=self._cut.overlap)

    async def _embed(self, read: dict[int, IngestedDocument], errors: dict[int, str]) -> dict[int, list[list[float]]]:
        """Vectors of the chunks of each document; an error where the model refuses one of its texts."""
        if self._embedder is None:
            return {}
        texts = {number: [chunk.text for chunk in document.chunks] for number, document in read.items()}
        try:
            together = await self._embedder.embed([text for some in texts.values() for text in some], self._context)
        except _OF_THE_DOCUMENT as error:
            if error.param == MODEL_PARAM:
                raise
            return await self._embed_singly(texts, errors)
        vectors: dict[int, list[list[float]]] = {}
        start = 0
        for number, some in texts.items():
            vectors[number] = together[start : start + len(some)]
            start += len(some)
        return vectors

    async def _embed_singly(self, texts: dict[int, list[str]], errors: dict[int, str]) -> dict[int, list[list[float]]]:
        vectors: dict[int, list[list[float]]] = {}
        for number, some in texts.items():
            try:
                if self._embedder is not None:
                    vectors[number] = await self._embedder.embed(some, self._context)
            except _OF_THE_DOCUMENT as error:
                errors[number] = error.message
        return vectors


_Ready = tuple[MemoryBankDocument, IngestedDocument, list[list[float]] | None, float | None]


def _write(bank: Bank, ready: Sequence[_Ready], limits: BankLimits) -> list[bool]:
    """In a worker thread: which documents went in."""
    dimension = bank.header.dimension
    documents = [
        NewDocument(
            document_id=document.document_id,
            mime_type=read.mime_type,
            metadata=document.metadata,
            chunks=[NewChunk(chunk.text, chunk.token_count) for chunk in read.chunks],
            token_count=read.token_count,
            vectors=None if dimension is None else unit_vectors(vectors or [], dimension),
            expires_at=expires_at,
        )
        for document, read, vectors, expires_at in ready
    ]
    return bank.insert(documents, limits)


__all__ = ["DOCUMENTS_AT_A_TIME", "Insertion"]
