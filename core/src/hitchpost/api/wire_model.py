"""The base class of everything that is parsed from a request or a file."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import from_json, to_json

T = TypeVar("T")

MAX_ENTRIES = 10_000

Items = Annotated[list[T], Field(fail_fast=True, max_length=MAX_ENTRIES)]
"""A list in a request. Its validation ends at the first wrong item and at the bound: millions of items would hold up everybody for seconds."""


def _few_entries(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > MAX_ENTRIES:
        raise ValueError(f"has {len(value):,} entries; at most {MAX_ENTRIES:,} are read")
    return value


FewEntries = BeforeValidator(_few_entries)
"""Annotates a mapping of a request, for the same reason."""


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be printable, without a space at its ends")
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_printable)]
"""Name of a resource in a registration."""

MAX_METADATA_BYTES = 64 * 1024


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    if to_json(value) != to_json(value, inf_nan_mode="null"):
        raise ValueError("holds NaN or an infinity, which JSON has no place for; send a number, a text or null")
    return value


FiniteNumbers = AfterValidator(_finite)
"""Annotates a mapping of a request that is kept: what JSON has no number for would be read back as null."""


def _small(value: dict[str, Any]) -> dict[str, Any]:
    size = len(to_json(value))
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"is {size:,} bytes of JSON; at most {MAX_METADATA_BYTES:,} are kept")
    return value


def _from_text(value: Any) -> Any:
    """`llama-stack-client` sends the JSON text that it was given on its command line."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except ValueError as error:
        raise ValueError(f"must be an object, or the JSON text of one: {error}") from None


Metadata = Annotated[dict[str, Any], FiniteNumbers, AfterValidator(_small), BeforeValidator(_from_text)]
"""What a registration says beside its names, as an object or its JSON text. It is kept and listed, so it is small."""


class WireModel(BaseModel):
    """Unknown keys are ignored, since clients of all ages call; fields may be filled by name or by alias."""

    model_config = ConfigDict(
        extra="ignore", populate_by_name=True, protected_namespaces=(), use_attribute_docstrings=True
    )


__all__ = ["FewEntries", "FiniteNumbers", "Identifier", "Items", "Metadata", "WireModel"]
