"""Writing a bank's documents: statements that are to run inside a transaction."""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hitchpost_meta_reference.memory.vectors import Vectors

NULL = "null"
"""`filter_value` of None."""
NOT_COMPARED = ""
"""`filter_value` of what no filter can ask for."""


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A piece of a document."""

    text: str
    token_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A document that is to go in."""

    document_id: str
    mime_type: str | None
    metadata: Mapping[str, Any]
    chunks: Sequence[NewChunk]
    token_count: int
    """Of the whole text; chunks that overlap have more together."""
    vectors: Vectors | None = None
    """Of the chunks; None: the bank has no vectors."""
    expires_at: float | None = None
    """In seconds since 1970; None: never."""


@dataclass(frozen=True, slots=True)
class BankLimits:
    """How much a bank takes."""

    max_documents: int
    max_chunks: int


@dataclass(slots=True)
class Written:
    """What a transaction changed."""

    generation: int
    removed_documents: list[str] = field(default_factory=list)
    removed_chunks: list[int] = field(default_factory=list)
    new_chunks: list[int] = field(default_factory=list)
    new_vectors: list[Vectors] = field(default_factory=list)
    """Those of `new_chunks`, document by document."""


def filter_value(value: Any) -> str:
    """A value of metadata as it is compared: a number by its size, whether it is written as 1 or as 1.0, all else by type and content.

    Lists and objects are equal to nothing.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value) if value is None or isinstance(value, str | int | float) else NOT_COMPARED


def begin_change(connection: sqlite3.Connection) -> Written:
    """Count one change of the bank."""
    rows = connection.execute("UPDATE bank SET generation = generation + 1 RETURNING generation").fetchall()
    return Written(generation=rows[0][0])


def has_room(connection: sqlite3.Connection, document: NewDocument, limits: BankLimits) -> bool:
    """Whether a document fits, in place of the one that has its id."""
    documents, chunks = connection.execute("SELECT document_count, chunk_count FROM bank").fetchone()
    old = connection.execute(
        "SELECT chunk_count FROM documents WHERE document_id = ?", (document.document_id,)
    ).fetchone()
    if old is not None:
        documents, chunks = documents - 1, chunks - old[0]
    return documents < limits.max_documents and chunks + len(document.chunks) <= limits.max_chunks


def insert_document(connection: sqlite3.Connection, document: NewDocument, has_words: bool, written: Written) -> None:
    """Put a document in, in place of the one that has its id.

    Args:
        has_words: whether it is to be found by its words.
    """
    delete_documents(connection, [document.document_id], has_words, written)
    key = connection.execute(
        "INSERT INTO documents (document_id, mime_type, metadata, chunk_count, token_count, inserted_at, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            document.document_id,
            document.mime_type,
            json.dumps(document.metadata),
            len(document.chunks),
            document.token_count,
            time.time(),
            document.expires_at,
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO metadata (document, name, value) VALUES (?, ?, ?)",
        [(key, name, filter_value(value)) for name, value in document.metadata.items()],
    )
    [(first,)] = connection.execute(
        "UPDATE bank SET next_chunk = next_chunk + ?1, document_count = document_count + 1, chunk_count = chunk_count + ?1, "
        "token_count = token_count + ?2 RETURNING next_chunk - ?1",
        (len(document.chunks), document.token_count),
    ).fetchall()
    ids = range(first, first + len(document.chunks))
    rows = list(zip(ids, range(len(document.chunks)), document.chunks, strict=True))
    connection.executemany(
        "INSERT INTO chunks (id, document, position, token_count, text) VALUES (?, ?, ?, ?, ?)",
        [(chunk_id, key, position, chunk.token_count, chunk.text) for chunk_id, position, chunk in rows],
    )
    if has_words:
        connection.executemany(
            "INSERT INTO words (rowid, text) VALUES (?, ?)", [(chunk_id, chunk.text) for chunk_id, _, chunk in rows]
        )
    if document.vectors is not None:
        blobs = [(chunk_id, document.vectors[position].tobytes()) for chunk_id, position, _ in rows]
        connection.executemany("INSERT INTO vectors (chunk, vector) VALUES (?, ?)", blobs)
        written.new_vectors.append(document.vectors)
    written.new_chunks.extend(ids)


def delete_documents(
    connection: sqlite3.Connection, document_ids: Iterable[str], has_words: bool, written: Written
) -> None:
    """Take documents out; ids that aren't there are passed over."""
    for document_id in document_ids:
        found = connection.execute(
            "DELETE FROM documents WHERE document_id = ? RETURNING key, chunk_count, token_count", (document_id,)
        ).fetchall()
        if not found:
            continue
        [(key, chunk_count, token_count)] = found
        chunks = connection.execute("DELETE FROM chunks WHERE document = ? RETURNING id, text", (key,)).fetchall()
        if has_words:
            # The index keeps no texts, so it must be told what the text was.
            connection.executemany("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", chunks)
        ids = [chunk_id for chunk_id, _ in chunks]
        connection.executemany("DELETE FROM vectors WHERE chunk = ?", [(chunk_id,) for chunk_id in ids])
        connection.execute("DELETE FROM metadata WHERE document = ?", (key,))
        connection.execute(
            "UPDATE bank SET has_traces = 1, document_count = document_count - 1, chunk_count = chunk_count - ?, "
            "token_count = token_count - ?",
            (chunk_count, token_count),
        )
        written.removed_documents.append(document_id)
        written.removed_chunks.extend(ids)


__all__ = [
    "NULL",
    "BankLimits",
    "NewChunk",
    "NewDocument",
    "Written",
    "begin_change",
    "delete_documents",
    "filter_value",
    "has_room",
    "insert_document",
]
