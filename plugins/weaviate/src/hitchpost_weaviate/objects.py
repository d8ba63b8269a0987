"""The two kinds of objects in a bank's collection: records of documents, and chunks."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from weaviate.classes.data import DataObject

from hitchpost.api import Chunk, DocumentInfo
from hitchpost_weaviate.names import chunk_uuid, document_key, document_uuid, metadata_terms

NEVER = 253402300799.0
"""The end of the year 9999, in seconds since 1970: when what doesn't expire does."""
RECORD_PROPERTIES = [
    "document_id",
    "revision",
    "mime_type",
    "metadata",
    "chunk_count",
    "token_count",
    "inserted_at",
    "expires_at",
]
CHUNK_PROPERTIES = ["document_id", "revision", "position", "text", "token_count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a bank has under a document's id."""

    document_id: str
    revision: str
    mime_type: str | None
    metadata: dict[str, Any]
    chunk_count: int
    token_count: int
    inserted_at: float
    """Seconds since 1970; its chunks have the same, unless they were there before."""
    expires_at: float = NEVER

    @property
    def is_alive(self) -> bool:
        """Whether it has not expired."""
        return self.expires_at > time.time()

    @property
    def terms(self) -> list[str]:
        """What filters find it by."""
        return metadata_terms(self.metadata)

    def to_object(self) -> Any:
        """As it is sent. It has no vector and no text, so no query finds it."""
        return DataObject(
            uuid=document_uuid(self.document_id),
            properties={
                "kind": "record",
                "document_id": self.document_id,
                "document_key": document_key(self.document_id),
                "revision": self.revision,
                "mime_type": self.mime_type or "",
                "metadata": json.dumps(self.metadata, ensure_ascii=False),
                "metadata_terms": self.terms,
                "chunk_count": self.chunk_count,
                "token_count": self.token_count,
                "inserted_at": self.inserted_at,
                "expires_at": self.expires_at,
            },
        )

    def info(self) -> DocumentInfo:
        """As the API memory shows it."""
        return DocumentInfo(
            document_id=self.document_id,
            mime_type=self.mime_type,
            metadata=self.metadata,
            chunk_count=self.chunk_count,
            token_count=self.token_count,
            inserted_at=datetime.fromtimestamp(self.inserted_at, UTC),
            expires_at=None if self.expires_at >= NEVER else datetime.fromtimestamp(self.expires_at, UTC),
        )


@dataclass(frozen=True, slots=True)
class KeptChunk:
    """A chunk as it is kept."""

    document_id: str
    revision: str
    position: int
    text: str
    token_count: int

    def to_object(self, record: Record, terms: list[str], vector: Sequence[float] | None) -> Any:
        """As it is sent."""
        return DataObject(
            uuid=chunk_uuid(self.revision, self.position),
            properties={
                "kind": "chunk",
                "document_id": self.document_id,
                "document_key": document_key(self.document_id),
                "revision": self.revision,
                "position": self.position,
                "text": self.text,
                "token_count": self.token_count,
                "mime_type": record.mime_type or "",
                "metadata_terms": terms,
                "inserted_at": record.inserted_at,
            },
            vector=None if vector is None else list(vector),
        )

    def of(self, record: Record) -> Chunk:
        """As the API memory shows it."""
        return Chunk(
            content=self.text,
            token_count=self.token_count,
            document_id=self.document_id,
            position=self.position,
            metadata=record.metadata,
        )


def read_record(properties: dict[str, Any]) -> Record:
    """A record from an object's properties.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return Record(
        document_id=properties["document_id"],
        revision=properties["revision"],
        mime_type=properties["mime_type"] or None,
        metadata=json.loads(properties["metadata"]),
        chunk_count=int(properties["chunk_count"]),
        token_count=int(properties["token_count"]),
        inserted_at=float(properties["inserted_at"]),
        expires_at=float(properties["expires_at"]),
    )


def read_chunk(properties: dict[str, Any]) -> KeptChunk:
    """A chunk from an object's properties.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return KeptChunk(
        properties["document_id"],
        properties["revision"],
        int(properties["position"]),
        properties["text"],
        int(properties["token_count"]),
    )


__all__ = ["CHUNK_PROPERTIES", "NEVER", "RECORD_PROPERTIES", "KeptChunk", "Record", "read_chunk", "read_record"]
