"""Reading a bank's documents: queries that are to run inside one transaction, so that they all see one state."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hitchpost.api import BankStatistics, Chunk, DocumentInfo, StoredDocument
from hitchpost_meta_reference.memory.records import NULL, filter_value
from hitchpost_meta_reference.memory.vectors import Ids, VectorMatrix

LOADED_ROWS = 2048
"""Vectors that are read at a time."""

Filter = Mapping[str, Any]
"""See `hitchpost.api.QueryParams.filter`."""

_ALIVE = "(expires_at IS NULL OR expires_at > :now)"
_INFO = "document_id, mime_type, metadata, chunk_count, token_count, inserted_at, expires_at"


@dataclass(frozen=True, slots=True)
class Eligible:
    """Which chunks a query may find."""

    included: Ids | None
    """Only these; None: all but `excluded`."""
    excluded: Ids
    """Those of documents that have expired and are still there."""


def generation_of(connection: sqlite3.Connection) -> int:
    """How often the bank was changed."""
    (generation,) = connection.execute("SELECT generation FROM bank").fetchone()
    return int(generation)


def eligible(connection: sqlite3.Connection, asked: Filter | None, now: float) -> Eligible:
    """Which chunks a query with a filter may find.

    Args:
        asked: for each key the value, or a list of values of which one, that a document's metadata must have.
        now: in seconds since 1970.
    """
    if asked:
        condition, values = _filtered(asked)
        rows = connection.execute(
            f"SELECT id FROM chunks WHERE document IN (SELECT key FROM documents WHERE {condition} AND {_ALIVE})",  # noqa: S608
            {**values, "now": now},
        )
        return Eligible(_ids(rows), _ids(()))
    rows = connection.execute(
        "SELECT id FROM chunks WHERE document IN (SELECT key FROM documents WHERE expires_at <= ?)",
        (now,),
    )
    return Eligible(None, _ids(rows))


def chunks_by_id(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Chunk]:
    """Chunks as they are answered, by id; those that aren't there are missing."""
    rows = connection.execute(
        "SELECT chunks.id, text, chunks.token_count, position, document_id, metadata FROM json_each(?) "
        "JOIN chunks ON chunks.id = json_each.value JOIN documents ON documents.key = chunks.document",
        (json.dumps(ids),),
    )
    return {chunk_id: _chunk(*values) for chunk_id, *values in rows}


def chunks_of_documents(
    connection: sqlite3.Connection, document_ids: Iterable[str], asked: Filter | None, count: int, now: float
) -> list[Chunk]:
    """The chunks of documents, in the order of the ids and then of their positions."""
    # Not in SQL as in `eligible`, which looks at the metadata of all documents: it would for each id.
    wanted = {name: frozenset(_options(value)) for name, value in (asked or {}).items()}
    chunks: list[Chunk] = []
    for document_id in dict.fromkeys(document_ids):
        rows = connection.execute(
            "SELECT text, chunks.token_count, position, document_id, metadata FROM documents "  # noqa: S608
            "JOIN chunks ON chunks.document = documents.key "
            f"WHERE document_id = :id AND {_ALIVE} ORDER BY position LIMIT :count",
            {"id": document_id, "count": count - len(chunks), "now": now},
        )
        found = [_chunk(*row) for row in rows]
        if found and all(filter_value((found[0].metadata or {}).get(name)) in wanted[name] for name in wanted):
            chunks += found
        if len(chunks) == count:
            break
    return chunks


def document_page(
    connection: sqlite3.Connection, after: str | None, limit: int, now: float
) -> tuple[list[DocumentInfo], bool]:
    """Documents in the order of their ids, and whether there are more."""
    rows = connection.execute(
        f"SELECT {_INFO} FROM documents WHERE document_id > :after AND {_ALIVE} ORDER BY document_id LIMIT :limit",  # noqa: S608
        {"after": after or "", "limit": limit + 1, "now": now},
    ).fetchall()
    return [DocumentInfo(**_info(*row)) for row in rows[:limit]], len(rows) > limit


def find_document(connection: sqlite3.Connection, document_id: str, now: float) -> StoredDocument | None:
    """A document with its chunks."""
    row = connection.execute(
        f"SELECT key, {_INFO} FROM documents WHERE document_id = :id AND {_ALIVE}",  # noqa: S608
        {"id": document_id, "now": now},
    ).fetchone()
    if row is None:
        return None
    key, *values = row
    info = _info(*values)
    chunks = [
        Chunk(
            content=text,
            token_count=token_count,
            document_id=document_id,
            position=position,
            metadata=info["metadata"],
        )
        for text, token_count, position in connection.execute(
            "SELECT text, token_count, position FROM chunks WHERE document = ? ORDER BY position", (key,)
        )
    ]
    return StoredDocument(**info, chunks=chunks)


def statistics(connection: sqlite3.Connection, size_bytes: int, now: float) -> BankStatistics:
    """How much the bank holds; what has expired counts for nothing, though it may still be there."""
    totals = connection.execute("SELECT document_count, chunk_count, token_count FROM bank").fetchone()
    expired = connection.execute(
        "SELECT count(*), coalesce(sum(chunk_count), 0), coalesce(sum(token_count), 0) FROM documents WHERE expires_at <= ?",
        (now,),
    ).fetchone()
    documents, chunks, tokens = (total - gone for total, gone in zip(totals, expired, strict=True))
    return BankStatistics(document_count=documents, chunk_count=chunks, token_count=tokens, size_bytes=size_bytes)


def load_vectors(connection: sqlite3.Connection, dimension: int) -> VectorMatrix:
    """All vectors of the bank.

    Raises:
        sqlite3.DatabaseError: a vector has another dimension.
    """
    generation, chunk_count = connection.execute("SELECT generation, chunk_count FROM bank").fetchone()
    matrix = VectorMatrix(dimension, chunk_count)
    rows = connection.execute("SELECT chunk, vector FROM vectors ORDER BY chunk")
    while part := rows.fetchmany(LOADED_ROWS):
        data = b"".join(blob for _, blob in part)
        if len(data) != len(part) * dimension * 4:
            raise sqlite3.DatabaseError("a vector has another dimension than the bank")
        vectors = np.frombuffer(data, dtype="<f4").reshape(len(part), dimension)
        matrix.change(generation, (), [chunk_id for chunk_id, _ in part], vectors)
    matrix.change(generation, (), (), np.empty((0, dimension), dtype=np.float32))
    return matrix


def expired_documents(connection: sqlite3.Connection, count: int, now: float) -> list[str]:
    """Ids of documents that have expired, those first that did so first."""
    rows = connection.execute(
        "SELECT document_id FROM documents WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", (now, count)
    )
    return [document_id for (document_id,) in rows]


def next_expiry(connection: sqlite3.Connection) -> float | None:
    """When the next document expires, in seconds since 1970; None: none does."""
    (expires_at,) = connection.execute("SELECT min(expires_at) FROM documents WHERE expires_at IS NOT NULL").fetchone()
    return expires_at


def _filtered(asked: Filter) -> tuple[str, dict[str, Any]]:
    """A condition on documents, as `hitchpost.api.metadata_fits` has it, and its values."""
    parts = ["TRUE"]
    values: dict[str, Any] = {}
    for number, (name, wanted) in enumerate(asked.items()):
        options = _options(wanted)
        named = f"SELECT document FROM metadata WHERE name = :name{number}"  # noqa: S608
        condition = f"documents.key IN ({named} AND value IN (SELECT value FROM json_each(:options{number})))"  # noqa: S608
        if NULL in options:
            # It stands for what is not there, too.
            condition = f"({condition} OR documents.key NOT IN ({named}))"
        parts.append(condition)
        values |= {f"name{number}": name, f"options{number}": json.dumps(options)}
    return " AND ".join(parts), values


def _options(wanted: Any) -> list[str]:
    """The values of which one is asked for."""
    return [filter_value(option) for option in (wanted if isinstance(wanted, list) else [wanted])]


def _ids(rows: Any) -> Ids:
    # Sorted here: for an order SQLite would read all chunks in that order.
    return np.sort(np.asarray([chunk_id for (chunk_id,) in rows], dtype=np.int64))


def _chunk(text: str, token_count: int, position: int, document_id: str, metadata: str) -> Chunk:
    return Chunk(
        content=text,
        token_count=token_count,
        document_id=document_id,
        position=position,
        metadata=json.loads(metadata),
    )


def _info(
    document_id: str,
    mime_type: str | None,
    metadata: str,
    chunk_count: int,
    token_count: int,
    inserted_at: float,
    expires_at: float | None,
) -> dict[str, Any]:
    return {
        "document_id": document_id,
        "mime_type": mime_type,
        "metadata": json.loads(metadata),
        "chunk_count": chunk_count,
        "token_count": token_count,
        "inserted_at": datetime.fromtimestamp(inserted_at, UTC),
        "expires_at": None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
    }


__all__ = [
    "Eligible",
    "Filter",
    "chunks_by_id",
    "chunks_of_documents",
    "document_page",
    "eligible",
    "expired_documents",
    "find_document",
    "generation_of",
    "load_vectors",
    "next_expiry",
    "statistics",
]
