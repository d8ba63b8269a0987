"""The banks of `inline::scripted`: what they keep, and how well it fits a query."""

import asyncio
import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hitchpost.api import InterleavedContent, MemoryBank, VectorMemoryBank, content_items
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.scripted.memory.documents import chunk_texts, plain_text
from hitchpost.scripted.memory.words import stems_of, words_of

CHUNKS_AT_A_TIME = 200
"""After how many chunks others may run."""


@dataclass(frozen=True, slots=True)
class KeptChunk:
    """A piece of a document, with the words by which it is found."""

    document_id: str
    position: int
    text: str
    token_count: int
    words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """A document in a bank."""

    document_id: str
    chunks: tuple[KeptChunk, ...]
    characters: int
    """What it counts for: its id and its chunks; text that chunks share counts for each."""
    inserted_at: datetime
    ttl_s: int | None = None
    expires_at: float | None = None
    """On the event loop's clock; None: never."""
    mime_type: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


Found = tuple[float, KeptDocument, KeptChunk]
"""A score, higher is better, and what has it."""
Score = Callable[[KeptChunk], float | None]
"""How well a chunk fits a query; None where it doesn't at all."""


class Bank(ABC):
    """A bank, and in the subclasses how its type cuts and scores."""

    def __init__(self, resource: MemoryBank) -> None:
        self.registrations: set[str] = set()
        """Identifiers under which it is registered."""
        self.characters = 0
        """What its documents count for."""
        self._documents: dict[str, KeptDocument] = {}
        self._expiring: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def document_ids(self) -> list[str]:
        """The ids of its documents, in their order."""
        return sorted(self._documents)

    def find(self, document_id: str) -> KeptDocument | None:
        """The document with this id."""
        return self._documents.get(document_id)

    def put(self, kept: KeptDocument) -> None:
        """Keep a document, in place of the one that has its id."""
        self.delete(kept.document_id)
        self._documents[kept.document_id] = kept
        self.characters += kept.characters
        if kept.expires_at is not None:
            self._expiring[kept.document_id] = kept.expires_at

    def delete(self, document_id: str) -> bool:
        """Forget a document; whether it was there."""
        kept = self._documents.pop(document_id, None)
        self._expiring.pop(document_id, None)
        self.characters -= kept.characters if kept else 0
        return kept is not None

    def purge(self, now: float) -> None:
        """Forget what has expired."""
        for document_id in [name for name, expires_at in self._expiring.items() if expires_at <= now]:
            self.delete(document_id)

    async def query(
        self, query: InterleavedContent, max_chunks: int, score_threshold: float, fits: Callable[[KeptDocument], bool]
    ) -> list[Found]:
        """The best chunks of the documents that fit, best first; among equals those that came earlier.

        Raises:
            UnsupportedError: there is an image in the query.
        """
        found: list[Found] = []
        score_of = self.score(query)
        chunks = [(kept, chunk) for kept in self._documents.values() if fits(kept) for chunk in kept.chunks]
        for number, (kept, chunk) in enumerate(chunks, 1):
            score = score_of(chunk)
            if score is not None and score >= score_threshold:
                found.append((score, kept, chunk))
            if number % CHUNKS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        return heapq.nlargest(max_chunks, found, key=lambda one: one[0])

    def chunks(self, document_id: str, text: str) -> Iterable[KeptChunk]:
        """A document as it is kept: whole."""
        yield KeptChunk(document_id, 0, text, len(text.split()), words_of(text))

    @abstractmethod
    def score(self, query: InterleavedContent) -> Score:
        """What scores the chunks for a query."""


class VectorBank(Bank):
    """Vectors that have a 1 for each stem of a text; the score is the cosine between query and chunk, 0 where they share no stem.

    Raises:
        BadRequestError: chunks would share all that they hold.
    """

    def __init__(self, resource: VectorMemoryBank) -> None:
        super().__init__(resource)
        self._size = resource.chunk_size_in_tokens
        overlap = resource.overlap_size_in_tokens
        self._overlap = self._size // 4 if overlap is None else overlap
        if self._overlap >= self._size:
            raise BadRequestError(
                f"params.overlap_size_in_tokens is {overlap}; it must be less than chunk_size_in_tokens, which is {self._size}",
                param="params.overlap_size_in_tokens",
            )

    def chunks(self, document_id: str, text: str) -> Iterable[KeptChunk]:
        """A document in overlapping chunks."""
        for position, (chunk, token_count) in enumerate(chunk_texts(text, self._size, self._overlap)):
            yield KeptChunk(document_id, position, chunk, token_count, stems_of(chunk))

    def score(self, query: InterleavedContent) -> Score:
        """Every chunk has a score: a vector bank answers with what is nearest, however far that is."""
        asked = stems_of(plain_text(query, "query"))

        def cosine(chunk: KeptChunk) -> float:
            shared = len(asked & chunk.words)
            return shared / math.sqrt(len(asked) * len(chunk.words)) if shared else 0.0

        return cosine


class KeywordBank(Bank):
    """The score is the share of the query's words that a document has."""

    def score(self, query: InterleavedContent) -> Score:
        """None where no word of the query is there."""
        asked = words_of(plain_text(query, "query"))

        def share(chunk: KeptChunk) -> float | None:
            return len(asked & chunk.words) / len(asked) if asked & chunk.words else None

        return share


class KeyValueBank(Bank):
    """A query is the id of a document, or a list of ids."""

    def score(self, query: InterleavedContent) -> Score:
        """1 for the documents that are asked for."""
        plain_text(query, "query")
        keys = {item for item in content_items(query) if isinstance(item, str)}
        return lambda chunk: 1.0 if chunk.document_id in keys else None


BANKS: dict[str, type[Bank]] = {"vector": VectorBank, "keyvalue": KeyValueBank, "keyword": KeywordBank}


def bank_class(resource: MemoryBank) -> type[Bank]:
    """The class for a bank's type.

    Raises:
        UnsupportedError: there are no banks of this type here.
    """
    bank_type: str = getattr(resource, "memory_bank_type", "")
    if bank_type not in BANKS:
        raise UnsupportedError(
            f"params.memory_bank_type: inline::scripted has no {bank_type} banks; register one of {', '.join(BANKS)}",
            param="params.memory_bank_type",
        )
    return BANKS[bank_type]


__all__ = ["BANKS", "CHUNKS_AT_A_TIME", "Bank", "KeptChunk", "KeptDocument", "bank_class"]
