"""An open bank: its file, its vectors in memory, and how they are changed and searched. Everything here blocks: it runs in worker threads."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hitchpost.api import BankStatistics, Chunk, DocumentInfo, QueryMode, StoredDocument
from hitchpost.errors import BackendUnavailableError, quoted
from hitchpost_meta_reference.memory import reading
from hitchpost_meta_reference.memory.approximate import ApproximateIndex, build_index
from hitchpost_meta_reference.memory.bank_file import BankFile, BankHeader
from hitchpost_meta_reference.memory.fusion import fuse
from hitchpost_meta_reference.memory.keywords import best_by_words
from hitchpost_meta_reference.memory.records import (
    BankLimits,
    NewDocument,
    Written,
    begin_change,
    delete_documents,
    has_room,
    insert_document,
)
from hitchpost_meta_reference.memory.vectors import VectorMatrix, Vectors, VectorSnapshot

FUSED_RANKS = 100
"""How many of each ranking a hybrid query fuses, or `max_chunks` if that is more."""
EXPIRED_AT_A_TIME = 500
MERGED_PAGES = 500
"""Pages of the word index that are merged in one transaction; others write between two."""

T = TypeVar("T")
Found = list[tuple[Chunk, float]]
"""Chunks, best first, each with its score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a bank is asked for."""

    mode: QueryMode
    max_chunks: int
    score_threshold: float
    text: str = ""
    """Of a query by words."""
    vector: Vectors | None = None
    """Of a query by vectors: shape (dimension,), length 1."""
    metadata: Mapping[str, Any] | None = None
    """See `hitchpost.api.QueryParams.filter`."""


class Bank:
    """One thread at a time changes it; others search beside it.

    Args:
        path: of its file.
        name: the provider's name for it.
        header: makes the file where it is missing; None: it must be there.

    Raises:
        BackendUnavailableError: see `BankFile`.
    """

    def __init__(self, path: Path, name: str, header: BankHeader | None = None) -> None:
        self.file = BankFile(path, name, header)
        self.name = name
        self.matrix: VectorMatrix | None = None
        """Of a vector bank, once it was loaded."""
        self.index: ApproximateIndex | None = None
        self.next_expiry: float | None = None
        """When the next document expires, in seconds since 1970; None: none does."""
        self.has_traces = False
        """Whether something that was deleted may still be read from the file's bytes."""
        self._deletions = self._merged_deletions = 0
        try:
            self._read_state()
        except BaseException:
            self.file.close()
            raise

    def _read_state(self) -> None:
        with self.file.reading() as connection:
            *kept, self.document_count, self.chunk_count, has_traces = connection.execute(
                "SELECT name, bank_type, embedding_model, dimension, document_count, chunk_count, has_traces FROM bank"
            ).fetchone()
            self.next_expiry = reading.next_expiry(connection)
        self.header = BankHeader(name=kept[0], bank_type=kept[1], embedding_model=kept[2], dimension=kept[3])
        self.has_traces = bool(has_traces)

    @property
    def has_words(self) -> bool:
        """Whether chunks are found by their words."""
        return self.header.bank_type in ("keyword", "vector")

    @property
    def size_in_memory(self) -> int:
        """Bytes of its vectors in memory."""
        return self.matrix.size_bytes if self.matrix else 0

    # --- changes ---

    def add_registration(self, identifier: str) -> None:
        """Remember that the bank is registered under an identifier."""
        with self.file.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO registrations (identifier) VALUES (?)", (identifier,))

    def remove_registration(self, identifier: str) -> bool:
        """Forget it; whether the bank is still registered under another identifier."""
        with self.file.writing() as connection:
            connection.execute("DELETE FROM registrations WHERE identifier = ?", (identifier,))
            return connection.execute("SELECT 1 FROM registrations LIMIT 1").fetchone() is not None

    def insert(self, documents: Sequence[NewDocument], limits: BankLimits) -> list[bool]:
        """Put documents in, all in one transaction; they are found when this returns. Says of each whether there was room for it."""
        went_in: list[bool] = []

        def write(connection: Any, written: Written) -> None:
            for document in documents:
                went_in.append(has_room(connection, document, limits))
                if went_in[-1]:
                    insert_document(connection, document, self.has_words, written)

        self._change(write)
        return went_in

    def delete(self, document_ids: Sequence[str]) -> list[str]:
        """Take documents out; the ids of those that were there."""
        return self._change(
            lambda connection, written: delete_documents(connection, document_ids, self.has_words, written)
        ).removed_documents

    def remove_expired(self) -> int:
        """Take documents out that have expired, some at a time; how many they were."""
        with self.file.reading() as connection:
            expired = reading.expired_documents(connection, EXPIRED_AT_A_TIME, time.time())
        return len(self.delete(expired)) if expired else 0

    def _change(self, write: Callable[[Any, Written], None]) -> Written:
        with self.file.writing() as connection:
            written = begin_change(connection)
            write(connection, written)
            next_expiry = reading.next_expiry(connection)
            totals = connection.execute("SELECT document_count, chunk_count FROM bank").fetchone()
        self.document_count, self.chunk_count = totals
        self.next_expiry = next_expiry
        if written.removed_documents:
            self.has_traces = True
            self._deletions += 1
        self._publish(written)
        return written

    def _publish(self, written: Written) -> None:
        if self.matrix is None:
            return
        ids = np.asarray(written.new_chunks, dtype=np.int64)
        vectors = np.concatenate(written.new_vectors) if written.new_vectors else np.empty((0, self.header.dimension))
        # A document that came twice in one transaction has left chunks of its first coming.
        is_there = np.isin(ids, written.removed_chunks, invert=True)
        try:
            self.matrix.change(written.generation, written.removed_chunks, ids[is_there], vectors[is_there])
        except MemoryError:
            # What is on disk is right, and will be loaded anew when there is room for it.
            self.matrix = self.index = None
            raise

    # --- searching ---

    def load(self) -> None:
        """Read the vectors into memory, if there are any. For the writing thread."""
        if self.header.dimension is not None and self.matrix is None:
            with self.file.reading() as connection:
                self.matrix = reading.load_vectors(connection, self.header.dimension)

    def build_index(self) -> bool:
        """Make an index of the vectors; False: it is of no use. Others change and search the bank meanwhile."""
        self.index = build_index(self.matrix.latest()) if self.matrix is not None else None
        return self.index is not None

    def search(self, search: Search) -> Found:
        """The chunks that fit best; `load` comes before the first search by vectors."""
        return self._consistent(lambda connection, snapshot: self._search(connection, snapshot, search))

    def find_by_ids(self, document_ids: Sequence[str], search: Search) -> Found:
        """The chunks of documents, each with the score 1."""
        if search.score_threshold > 1:
            return []
        with self.file.reading() as connection:
            chunks = reading.chunks_of_documents(
                connection, document_ids, search.metadata, search.max_chunks, time.time()
            )
        return [(chunk, 1.0) for chunk in chunks]

    def _search(self, connection: Any, snapshot: VectorSnapshot | None, search: Search) -> Found:
        eligible = reading.eligible(connection, search.metadata, time.time())

        def by_words(count: int) -> list[tuple[int, float]]:
            return best_by_words(connection, search.text, count, eligible)

        def by_vectors(count: int) -> list[tuple[int, float]]:
            if snapshot is None or search.vector is None:
                raise BackendUnavailableError(f"memory bank {quoted(self.name)} is not loaded; ask again")
            index = self.index
            if index is None or eligible.included is not None:
                ids, scores = snapshot.nearest(search.vector, count, eligible.included, eligible.excluded)
            else:
                ids, scores = index.nearest(snapshot, search.vector, count, eligible.excluded)
            return [(one, max(0.0, score)) for one, score in zip(ids.tolist(), scores.tolist(), strict=True)]

        if search.mode is QueryMode.hybrid:
            depth = max(FUSED_RANKS, search.max_chunks)
            ranking = fuse([[one for one, _ in found] for found in (by_vectors(depth), by_words(depth))])
        else:
            ranking = (by_words if search.mode is QueryMode.keyword else by_vectors)(search.max_chunks)
        best = [(one, score) for one, score in ranking if score >= search.score_threshold][: search.max_chunks]
        chunks = reading.chunks_by_id(connection, [one for one, _ in best])
        return [(chunks[one], score) for one, score in best]

    def _consistent(self, ask: Callable[[Any, VectorSnapshot | None], T]) -> T:
        """Call with a connection and the vectors that belong to what it sees: a commit shows on disk a moment before it does in memory."""
        while True:
            with self.file.reading() as connection:
                generation = reading.generation_of(connection)
                snapshot = self.matrix.at(generation) if self.matrix is not None else None
                if snapshot is None or snapshot.generation == generation:
                    return ask(connection, snapshot)

    # --- looking ---

    def page(self, after: str | None, limit: int) -> tuple[list[DocumentInfo], bool]:
        """Documents in the order of their ids, and whether there are more."""
        with self.file.reading() as connection:
            return reading.document_page(connection, after, limit, time.time())

    def find_document(self, document_id: str) -> StoredDocument | None:
        """A document with its chunks."""
        with self.file.reading() as connection:
            return reading.find_document(connection, document_id, time.time())

    def statistics(self) -> BankStatistics:
        """How much it holds."""
        with self.file.reading() as connection:
            return reading.statistics(connection, self.file.size_bytes(), time.time())

    # --- traces of what was deleted ---

    def merge_words(self, is_first: bool) -> bool:
        """Merge a part of the word index; False once there is nothing more to merge.

        A deleted word stays in the index's old segments until they have been merged into one.
        """
        if is_first:
            self._merged_deletions = self._deletions
        if not self.has_words:
            return False
        with self.file.writing() as connection:
            before = connection.total_changes
            pages = -MERGED_PAGES if is_first else MERGED_PAGES
            connection.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (pages,))
            return connection.total_changes - before >= 2

    def finish_scrubbing(self) -> bool:
        """After the merging: empty the log, which holds old pages; False: more was deleted meanwhile, or readers kept the log."""
        is_all = self._merged_deletions == self._deletions
        if is_all:
            with self.file.writing() as connection:
                connection.execute("UPDATE bank SET has_traces = 0")
        is_emptied = self.file.truncate_log()
        self.has_traces = not (is_all and is_emptied)
        return not self.has_traces


__all__ = ["Bank", "Found", "Search"]
