"""Queries: what is asked of Weaviate, and what its answers mean as scores. Higher is better, and the threshold is held against the score.

| mode | Weaviate | score |
|---|---|---|
| vector | near_vector | max(0, cosine) = max(0, 1 - distance) |
| keyword | bm25 | that of BM25, above 0 and without an upper bound |
| hybrid | hybrid, ranked fusion, alpha 0.5 | the sum of 1 / (60 + rank) over both rankings, with ranks from 0, divided by its greatest value |
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from weaviate.classes.query import Filter, HybridFusion, MetadataQuery

from hitchpost.api import Chunk, QueryDocumentsResponse, QueryMode, QueryParams, metadata_fits
from hitchpost.errors import BadBackendAnswerError
from hitchpost_weaviate.connection import Connection
from hitchpost_weaviate.documents import Documents
from hitchpost_weaviate.names import metadata_term
from hitchpost_weaviate.objects import CHUNK_PROPERTIES, KeptChunk, read_chunk

MAX_RESULTS = 10_000
"""What a server answers to one query at most."""
FUSION_RANK = 60
"""What Weaviate adds to a rank, from 0, when it fuses rankings: each adds alpha / (60 + rank), as what is first in both has 1 / 60."""
SPARE = 10
"""How many more chunks than wanted are asked for: some may be of a revision that is over, or expired."""

Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that Weaviate found."""

    chunk: KeptChunk
    score: float


class Search:
    """Queries one bank.

    Args:
        connection: to the server.
        collection: the client's handle of the bank's collection.
        documents: the bank's documents, which say what of a hit is still so.
    """

    def __init__(self, connection: Connection, collection: Any, documents: Documents) -> None:
        self._connection = connection
        self._collection = collection
        self._documents = documents

    async def by_text(
        self, mode: QueryMode, text: str, vector: Vector | None, params: QueryParams
    ) -> QueryDocumentsResponse:
        """The best chunks for a text.

        Args:
            mode: how it is looked for.
            text: its words count for keyword and hybrid.
            vector: its vector, for vector and hybrid.
            params: limit, threshold and filter.
        """
        has_words = any(character.isalnum() for character in text)
        if (mode is QueryMode.keyword and not has_words) or [] in (params.filter or {}).values():
            return QueryDocumentsResponse()
        where = _metadata_filter(params)

        async def hits(limit: int) -> list[Hit]:
            # Weaviate refuses a query without words; by reciprocal rank, a ranking of nothing adds nothing.
            return await self._connection.read(self._ask, mode, text if has_words else "", vector, limit, where)

        found = await self._current(hits, params)
        kept = [(chunk, score) for chunk, score in found if score >= params.score_threshold]
        return QueryDocumentsResponse(chunks=[chunk for chunk, _ in kept], scores=[score for _, score in kept])

    async def by_ids(self, document_ids: Sequence[str], params: QueryParams) -> QueryDocumentsResponse:
        """The documents with these ids, in this order, each with the score 1."""
        records = await self._documents.records(document_ids)
        chunks: list[Chunk] = []
        for document_id in dict.fromkeys(document_ids):
            record = records.get(document_id)
            if record is None or not record.is_alive or not metadata_fits(record.metadata, params.filter or {}):
                continue
            if len(chunks) < params.max_chunks and params.score_threshold <= 1:
                chunks += [chunk.of(record) for chunk in await self._documents.chunks(record)]
        del chunks[params.max_chunks :]
        return QueryDocumentsResponse(chunks=chunks, scores=[1.0] * len(chunks))

    async def _current(
        self, hits: Callable[[int], Awaitable[list[Hit]]], params: QueryParams
    ) -> list[tuple[Chunk, float]]:
        """The best chunks of revisions that count and of documents that fit; asks for more where too many of them don't."""
        limit = params.max_chunks
        asked = min(limit + SPARE, MAX_RESULTS)
        while True:
            found = await hits(asked)
            records = await self._documents.records(hit.chunk.document_id for hit in found)
            current: list[tuple[Chunk, float]] = []
            for hit in found:
                record = records.get(hit.chunk.document_id)
                if record is None or record.revision != hit.chunk.revision or not record.is_alive:
                    continue
                if metadata_fits(record.metadata, params.filter or {}):
                    current.append((hit.chunk.of(record), hit.score))
            if len(current) >= limit or len(found) < asked or asked == MAX_RESULTS:
                return current[:limit]
            asked = min(asked * 4, MAX_RESULTS)

    async def _ask(self, mode: QueryMode, text: str, vector: Vector | None, limit: int, where: Any) -> list[Hit]:
        query = self._collection.query
        shown = {"limit": limit, "filters": where, "return_properties": CHUNK_PROPERTIES}
        if mode is QueryMode.keyword:
            answer = await query.bm25(
                text, query_properties=["text"], return_metadata=MetadataQuery(score=True), **shown
            )
            return _hits(answer, lambda metadata: metadata.score)
        if mode is QueryMode.vector:
            answer = await query.near_vector(list(vector or ()), return_metadata=MetadataQuery(distance=True), **shown)
            return _hits(answer, lambda metadata: max(0.0, 1.0 - metadata.distance))
        if not text:
            answer = await query.near_vector(list(vector or ()), return_metadata=MetadataQuery(distance=True), **shown)
            ranked = _hits(answer, lambda metadata: 0.0)
            return [Hit(hit.chunk, 0.5 * FUSION_RANK / (FUSION_RANK + rank)) for rank, hit in enumerate(ranked)]
        answer = await query.hybrid(
            text,
            vector=list(vector or ()),
            alpha=0.5,
            fusion_type=HybridFusion.RANKED,
            query_properties=["text"],
            return_metadata=MetadataQuery(score=True),
            **shown,
        )
        return _hits(answer, lambda metadata: FUSION_RANK * metadata.score)


def _hits(answer: Any, score: Callable[[Any], float]) -> list[Hit]:
    try:
        hits = [Hit(read_chunk(one.properties), score(one.metadata)) for one in answer.objects]
    except (KeyError, TypeError, ValueError) as error:
        raise BadBackendAnswerError("Weaviate found what this provider did not put into the bank") from error
    return sorted(hits, key=lambda hit: -hit.score)


def _metadata_filter(params: QueryParams) -> Any:
    """What Weaviate can choose by; a wanted null also stands for a key that isn't there, which it can't, so that is looked at in the records."""
    conditions = []
    for key, wanted in (params.filter or {}).items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if None not in values:
            terms = [metadata_term(key, value) for value in values]
            conditions.append(Filter.by_property("metadata_terms").contains_any(terms))
    return Filter.all_of(conditions) if conditions else None


__all__ = ["MAX_RESULTS", "Hit", "Search"]
