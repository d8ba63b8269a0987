"""Validators for what strangers send.

pydantic reports every problem. That is kind to people and ruinous here: 16 MiB hold eight million wrong items, whose problems take seven
gigabytes and a minute. These validators go on to the next field, but stop at the first wrong item of a list or mapping.
"""

import inspect
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import SchemaValidator, core_schema

_STOPPABLE = {
    name
    for name in ("list", "set", "frozenset", "tuple", "dict")
    if "fail_fast" in inspect.signature(getattr(core_schema, f"{name}_schema")).parameters
}
# Without it the validators that pydantic made for nested models, which report everything, would be taken over as they are.
_ANEW: dict[str, Any] = (
    {"_use_prebuilt": False} if "_use_prebuilt" in (SchemaValidator.__text_signature__ or "") else {}
)
_NOT_SCHEMAS = ("metadata", "serialization", "default", "expected")


@cache
def quick_validator(model: type[BaseModel]) -> SchemaValidator:
    """A validator that makes instances of `model`."""
    return SchemaValidator(_stopping(model.__pydantic_core_schema__), **_ANEW)


def _stopping(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return type(schema)(map(_stopping, schema))
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if not isinstance(kind, str):
        return {name: _stopping(value) for name, value in schema.items()}
    copy = {key: value if key in _NOT_SCHEMAS else _stopping(value) for key, value in schema.items()}
    return {**copy, "fail_fast": True} if kind in _STOPPABLE else copy


__all__ = ["quick_validator"]
