"""The base class of everything that is parsed from a request or a file."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, ParamSpec, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import from_json, to_json

T = TypeVar("T")
P = ParamSpec("P")
ModelT = TypeVar("ModelT", bound="WireModel")

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
    text = to_json(value)
    # Texts may hold these words, too.
    if (b"NaN" in text or b"Infinity" in text) and text != to_json(value, inf_nan_mode="null"):
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


def of_valid(kind: Callable[P, ModelT], *_: P.args, **values: P.kwargs) -> ModelT:
    """A `kind` made of values that were validated before, to the same bounds or narrower ones: nothing is checked, copied or looked up by
    alias, which takes half the time of the constructor. Its arguments are the constructor's, and type checkers hold them to that.

    Args:
        kind: a model without private attributes, whose defaults can be shared or are made by factories.
        values: of its fields, by name; those that are left out get their defaults, as far as they have any.
    """
    defaults, factories = _defaults_of(kind)
    made: ModelT = object.__new__(kind)  # type: ignore[arg-type]  # a class, which a type of its parameters can't say
    fields = {**defaults, **values}
    for name, factory in factories:
        if name not in values:
            fields[name] = factory()
    _set_fields(made, fields)
    _set_given(made, set(values))
    _set_extra(made, None)
    _set_private(made, None)
    return made


# All that an instance of a model consists of; `setattr` would ask the model first.
_set_fields, _set_given, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


@cache
def _defaults_of(kind: Any) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """The defaults of a model's fields that can be shared, and what makes the others."""
    defaults: dict[str, Any] = {}
    factories: list[tuple[str, Callable[[], Any]]] = []
    for name, field in kind.model_fields.items():
        if field.default_factory is not None:
            factories.append((name, field.default_factory))
        elif not field.is_required():
            defaults[name] = field.default
    return defaults, factories


__all__ = ["FewEntries", "FiniteNumbers", "Identifier", "Items", "Metadata", "WireModel", "of_valid"]
