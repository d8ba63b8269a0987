"""Banks without a provider around them, and what is put into them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hitchpost.api import QueryMode
from hitchpost_meta_reference.memory.bank import Bank, Search
from hitchpost_meta_reference.memory.bank_file import BankHeader, bank_path
from hitchpost_meta_reference.memory.records import BankLimits, NewChunk, NewDocument

DIMENSION = 64
LIMITS = BankLimits(max_documents=1000, max_chunks=5000)
SAMPLE = {
    "python": "Python is a programming language for everything",
    "oslo": "Oslo is the capital of Norway",
    "bread": "Bread is baked from flour and water",
}


def vector_of(text: str) -> list[float]:
    """A vector that has much in common with those of texts that share its words."""
    vector = [0.0] * DIMENSION
    for word in re.findall(r"\w+", text.lower()):
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % DIMENSION] += 1.0
    return vector


def unit(text: str) -> Any:
    """The same, of length 1."""
    vector = np.asarray(vector_of(text), dtype=np.float32)
    return vector / (np.linalg.norm(vector) or 1)


def document(
    document_id: str, *texts: str, metadata: Mapping[str, Any] | None = None, expires_at: float | None = None
) -> NewDocument:
    """A document of a vector bank, each text a chunk."""
    return NewDocument(
        document_id=document_id,
        mime_type="text/plain",
        metadata=metadata or {},
        chunks=[NewChunk(text, len(text.split())) for text in texts],
        token_count=sum(len(text.split()) for text in texts),
        vectors=np.stack([unit(text) for text in texts]) if texts else np.empty((0, DIMENSION), dtype=np.float32),
        expires_at=expires_at,
    )


def open_bank(folder: Path, name: str = "bank") -> Bank:
    """A vector bank, made where there is none, with its vectors in memory."""
    header = BankHeader(name=name, bank_type="vector", embedding_model="words", dimension=DIMENSION)
    bank = Bank(bank_path(folder, name), name, header)
    bank.load()
    return bank


def fill(bank: Bank, texts: Mapping[str, str]) -> None:
    """Put texts in, by document id."""
    bank.insert([document(name, text) for name, text in texts.items()], LIMITS)


def ask(bank: Bank, text: str, mode: str = "vector", **fields: Any) -> list[tuple[str, float]]:
    """Ids of the documents that a bank finds, with their scores."""
    search = Search(
        mode=QueryMode(mode),
        text=text,
        vector=unit(text),
        max_chunks=fields.pop("max_chunks", 10),
        score_threshold=fields.pop("score_threshold", 0.0),
        **fields,
    )
    return [(chunk.document_id, score) for chunk, score in bank.search(search)]


def names(found: Sequence[tuple[str, float]]) -> list[str]:
    """The ids alone."""
    return [name for name, _ in found]


def bytes_of(bank: Bank) -> bytes:
    """All that is on disk of a bank."""
    return b"".join(path.read_bytes() for path in sorted(bank.file.path.parent.glob(f"{bank.file.path.name}*")))
