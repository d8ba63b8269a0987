"""The types of banks: which there are, how each cuts documents, and what of a registration must fit what is there."""

from hitchpost.api import KeywordMemoryBank, MemoryBank, VectorMemoryBank
from hitchpost.errors import BadRequestError, ConflictError, quoted
from hitchpost_meta_reference.memory.bank_file import BankHeader
from hitchpost_meta_reference.memory.insertion import Cut

BANK_TYPES = ("vector", "keyword", "keyvalue")
KEYWORD_CHUNK_TOKENS = 512
"""Into chunks of so many tokens a keyword bank cuts its documents; they don't overlap."""


def cut_of(bank: MemoryBank) -> Cut:
    """How a bank's documents become chunks."""
    if isinstance(bank, VectorMemoryBank):
        overlap = bank.overlap_size_in_tokens
        return Cut(bank.chunk_size_in_tokens, bank.chunk_size_in_tokens // 4 if overlap is None else overlap)
    return Cut(KEYWORD_CHUNK_TOKENS, 0) if isinstance(bank, KeywordMemoryBank) else Cut(None, 0)


def check_same(kept: BankHeader, wanted: BankHeader) -> None:
    """Raises ConflictError where a bank's file holds something else than what is registered."""
    what_to_do = "Register it under another provider_memory_bank_id and insert again, or unregister the old bank first, which deletes it"
    if kept.bank_type != wanted.bank_type:
        raise ConflictError(
            f"memory bank {quoted(wanted.name)} is there already, as a {kept.bank_type} bank. {what_to_do}",
            param="params",
        )
    if kept.embedding_model != wanted.embedding_model:
        raise ConflictError(
            f"the vectors in memory bank {quoted(wanted.name)} are of the model {quoted(kept.embedding_model)}, and those of "
            f"{quoted(wanted.embedding_model)} can't be compared with them. {what_to_do}",
            param="params.embedding_model",
        )
    if kept.dimension != wanted.dimension:
        raise ConflictError(
            f"the vectors in memory bank {quoted(wanted.name)} have {kept.dimension} numbers, and those of "
            f"{quoted(wanted.embedding_model)} now have {wanted.dimension}. {what_to_do}",
            param="params.embedding_model",
        )


def check_overlap(bank: VectorMemoryBank) -> None:
    """Raises BadRequestError where chunks would share all that they hold."""
    overlap = bank.overlap_size_in_tokens
    if overlap is not None and overlap >= bank.chunk_size_in_tokens:
        raise BadRequestError(
            f"params.overlap_size_in_tokens is {overlap}; it must be less than chunk_size_in_tokens, which is {bank.chunk_size_in_tokens}",
            param="params.overlap_size_in_tokens",
        )


__all__ = ["BANK_TYPES", "check_overlap", "check_same", "cut_of"]
