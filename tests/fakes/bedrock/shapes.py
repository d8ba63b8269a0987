"""What Bedrock can say, by the description of it that botocore ships: what the real service couldn't say fails here, before it is sent."""

import binascii
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from tests.fakes.bedrock import frames

UNLISTED = {"INFERENCE_PROFILE"}
"""Values that the service sends and its description doesn't list."""


class NotOfTheService(AssertionError):
    """The fake was about to say what the service doesn't have."""


@cache
def _operation(service: str, name: str) -> Any:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service).operation_model(name)


def checked(service: str, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """A whole answer that the operation can give."""
    return _checked(_operation(service, operation).output_shape, answer, operation)


class EventStream:
    """Makes messages that an operation of `bedrock-runtime` can stream."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def event(self, kind: str, payload: dict[str, Any]) -> bytes:
        """An event, all of which is in the JSON of its payload."""
        shape = self._shape(kind, is_exception=False)
        if any({"eventheader", "eventpayload"} & {*member.serialization} for member in shape.members.values()):
            raise NotOfTheService(f"{kind} of {self._operation} has members in its headers, or one that is the payload")
        return frames.event(kind, _checked(shape, payload, kind))

    def exception(self, kind: str, text: str) -> bytes:
        """An error in the middle of the stream."""
        return frames.exception(kind, _checked(self._shape(kind, is_exception=True), {"message": text}, kind))

    def _shape(self, kind: str, *, is_exception: bool) -> Any:
        shape = _operation("bedrock-runtime", self._operation).get_event_stream_output().members.get(kind)
        if shape is None or bool(shape.metadata.get("exception")) is not is_exception:
            raise NotOfTheService(f"{self._operation} has no {'exception' if is_exception else 'event'} {kind}")
        return shape


CONVERSE_STREAM = EventStream("ConverseStream")
INVOKE_STREAM = EventStream("InvokeModelWithResponseStream")


def _checked(shape: Any, value: dict[str, Any], name: str) -> dict[str, Any]:
    found = list(problems(shape, value, name))
    if found:
        raise NotOfTheService("; ".join(found))
    return value


def problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Where a value, as it is written in JSON, differs from a shape: members that must be there, that aren't known, or that have another type."""
    match shape.type_name:
        case "structure":
            yield from _structure_problems(shape, value, path)
        case "list":
            for number, item in enumerate(value):
                yield from problems(shape.member, item, f"{path}[{number}]")
        case "map":
            for key, item in value.items():
                yield from problems(shape.value, item, f"{path}[{key}]")
        case "string":
            if not isinstance(value, str) or (shape.enum and value not in {*shape.enum, *UNLISTED}):
                yield f"{path} is {value!r}"
        case "blob":
            try:
                b64decode(value, validate=True)
            except (TypeError, binascii.Error):
                yield f"{path} is no Base64"
        case "integer" | "long":
            if type(value) is not int:
                yield f"{path} is {value!r}"
        case "boolean":
            if type(value) is not bool:
                yield f"{path} is {value!r}"


def _structure_problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    if getattr(shape, "is_document_type", False):
        return
    if not isinstance(value, dict):
        yield f"{path} is no structure"
        return
    names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
    yield from (f"{path}.{name} is missing" for name in shape.required_members if name not in value)
    yield from (f"{path}.{name} is unknown" for name in value if name not in names)
    if shape.is_tagged_union and len(value) != 1:
        yield f"{path} has {len(value)} members of which one is to be set"
    for name in value.keys() & names.keys():
        yield from problems(shape.members[names[name]], value[name], f"{path}.{name}")
