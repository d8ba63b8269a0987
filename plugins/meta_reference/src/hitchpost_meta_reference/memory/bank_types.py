"""The types of banks: which there are, and what of a registration must fit what is there."""

from hitchpost.errors import ConflictError, quoted
from hitchpost_meta_reference.memory.bank_file import BankHeader

BANK_TYPES = ("vector", "keyword", "keyvalue")


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


__all__ = ["BANK_TYPES", "check_same"]
