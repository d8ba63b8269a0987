"""The base class of everything that is parsed from a request or a file."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

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


class WireModel(BaseModel):
    """Unknown keys are ignored, since clients of all ages call; fields may be filled by name or by alias."""

    model_config = ConfigDict(
        extra="ignore", populate_by_name=True, protected_namespaces=(), use_attribute_docstrings=True
    )


__all__ = ["FewEntries", "Items", "WireModel"]
