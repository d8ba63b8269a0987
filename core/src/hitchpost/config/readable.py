"""What can be read of data that isn't sound as a whole, so that the rest can be checked in the same round."""

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

_UNREADABLE = object()


def readable_model(model: type[BaseModel], data: Any) -> Any:
    """`data` as an instance of `model`, without what is wrong in it.

    Lists of names and of entries keep their length. What is missing and has no default is no attribute of the instance: look at the problems
    before, or with `hasattr`.
    """
    given = data if isinstance(data, dict) else {}
    values = {
        name: _readable(_annotation(model, name), given[name])
        for name in model.model_fields
        if given.get(name) is not None
    }
    return model.model_construct(**{name: value for name, value in values.items() if value is not _UNREADABLE})


def _annotation(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields[name]
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _readable(kind: Any, value: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        kind = _bare(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list and isinstance(value, list):
        # A name that can't be read is one that nobody has: those after it keep their places.
        stand_in = "" if _bare(arguments[0]) is str else _UNREADABLE
        items = [_readable(arguments[0], item) for item in value]
        return [
            item for item in (stand_in if item is _UNREADABLE else item for item in items) if item is not _UNREADABLE
        ]
    if origin is dict and isinstance(value, dict):
        members = {str(key): _readable(arguments[1], member) for key, member in value.items()}
        return {key: member for key, member in members.items() if member is not _UNREADABLE}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return readable_model(kind, value)
    return _UNREADABLE


def _bare(kind: Any) -> Any:
    """The type without its constraints, and without None."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        others = [member for member in get_args(kind) if member is not NoneType]
        return _bare(others[0]) if len(others) == 1 else kind
    return kind


__all__ = ["readable_model"]
