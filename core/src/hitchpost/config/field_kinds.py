"""What the annotation of a field allows."""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


def members_of(annotation: Any) -> list[Any]:
    """The types that a field may have, without None and without constraints."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return [inner for member in get_args(annotation) if member is not NoneType for inner in members_of(member)]
    return [annotation]


def is_optional(annotation: Any) -> bool:
    """Whether a field may be null."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return any(member is NoneType or is_optional(member) for member in get_args(annotation))
    return annotation is NoneType


def tag_of(members: list[Any]) -> str | None:
    """The field by which several models are told apart: in each of them a literal of its own."""
    if len(members) < 2 or not all(isinstance(member, type) and issubclass(member, BaseModel) for member in members):
        return None
    for name in members[0].model_fields:
        fields = [member.model_fields.get(name) for member in members]
        values = [get_args(field.annotation) for field in fields if field and get_origin(field.annotation) is Literal]
        if len({value for value in values if len(value) == 1}) == len(members):
            return str(name)
    return None


__all__ = ["is_optional", "members_of", "tag_of"]
