"""How the documents of a bank become chunks: by the bank's type and params, whoever keeps it."""

from dataclasses import dataclass

from hitchpost.api import KeywordMemoryBank, MemoryBank, VectorMemoryBank
from hitchpost.errors import BadRequestError

KEYWORD_CHUNK_TOKENS = 512
"""Of a keyword bank, which says nothing of chunks; they don't overlap."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Arguments of `Ingestor.read`."""

    chunk_size: int | None
    """In tokens; None: a document is one chunk."""
    overlap: int = 0


def cut_of(bank: MemoryBank) -> Cut:
    """How a bank's documents are cut. Where a vector bank leaves the overlap out, it is a quarter of a chunk.

    Raises:
        BadRequestError: its chunks would share all that they hold.
    """
    if isinstance(bank, VectorMemoryBank):
        size, overlap = bank.chunk_size_in_tokens, bank.overlap_size_in_tokens
        if overlap is not None and overlap >= size:
            raise BadRequestError(
                f"params.overlap_size_in_tokens is {overlap}; it must be less than chunk_size_in_tokens, which is {size}",
                param="params.overlap_size_in_tokens",
            )
        return Cut(size, size // 4 if overlap is None else overlap)
    return Cut(KEYWORD_CHUNK_TOKENS if isinstance(bank, KeywordMemoryBank) else None)


__all__ = ["KEYWORD_CHUNK_TOKENS", "Cut", "cut_of"]
