"""What banks, documents, chunks and metadata are called inside Weaviate.

Weaviate's names of collections are letters, digits and underscores, and differ by more than case; its exact filters lose blanks at both ends.
So nothing that a caller chose becomes a name or a filter's value as it is.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

_NAMESPACE = uuid.UUID("6f0e9a54-3d5c-5f0b-9c0e-3b7f6d5a2c11")
LONGEST_TERM = 200
"""Characters of a term of metadata; a longer one is kept as its digest."""


def collection_name(prefix: str, bank_id: str) -> str:
    """The collection of a bank: the same for the same id, another for each other one."""
    return f"{prefix}_{_digest(bank_id)[:40]}"


def document_key(document_id: str) -> str:
    """A document's id in letters that no tokenizer touches; sorts as the ids do by their code points."""
    return document_id.encode("utf-8", "surrogatepass").hex()


def document_uuid(document_id: str) -> uuid.UUID:
    """The object that says what a bank has under a document's id."""
    return uuid.uuid5(_NAMESPACE, f"document {document_key(document_id)}")


def chunk_uuid(revision: str, position: int) -> uuid.UUID:
    """The object that a chunk of a document is: the same again when the same document is inserted again."""
    return uuid.uuid5(_NAMESPACE, f"chunk {revision} {position}")


def revision_of(document_id: str, mime_type: str | None, metadata: Mapping[str, Any], texts: Sequence[str]) -> str:
    """A digest of all that a document's chunks hold."""
    return _digest(json.dumps([document_id, mime_type, metadata, texts], sort_keys=True, default=str))[:40]


def metadata_term(key: str, value: Any) -> str:
    """A key of metadata with its value, as it is kept for filters. 1 and 1.0 are the same, 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    term = json.dumps([key, value], ensure_ascii=False, separators=(",", ":"))
    return term if len(term) <= LONGEST_TERM else _digest(term)


def metadata_terms(metadata: Mapping[str, Any]) -> list[str]:
    """What filters find a document by: its metadata that are a text, a number or a truth value."""
    return [metadata_term(key, value) for key, value in metadata.items() if isinstance(value, str | int | float)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


__all__ = [
    "chunk_uuid",
    "collection_name",
    "document_key",
    "document_uuid",
    "metadata_term",
    "metadata_terms",
    "revision_of",
]
