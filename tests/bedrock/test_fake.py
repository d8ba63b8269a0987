"""The fake is held against botocore: its answers have the shapes of the service's model, and its messages the right encoding."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from aiohttp import ClientSession
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from botocore.model import Shape

from tests.bedrock.conftest import LLAMA
from tests.fakes.bedrock import frames
from tests.fakes.bedrock.server import FakeBedrock

AUTHORIZATION = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAX/20261121/us-east-1/bedrock/aws4_request, Signature=x"
}
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": {}}}}]}
TEXTS = ["Hi", "think", "weather in Oslo", "forbidden"]
UNLISTED = {"INFERENCE_PROFILE"}
"""Values that the service sends and its model doesn't list."""
GUARD = {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"}


def shape_of(service: str, operation: str) -> Shape:
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    assert model.output_shape is not None
    return model.output_shape


def problems(shape: Any, value: Any, path: str = "answer") -> Iterator[str]:
    """Where a value differs from a shape: members that must be there, that aren't known, or that have another type."""
    match shape.type_name:
        case "structure":
            if not isinstance(value, dict):
                yield f"{path} is no structure"
                return
            if getattr(shape, "is_document_type", False):
                return
            names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
            yield from (f"{path}.{name} is missing" for name in shape.required_members if name not in value)
            yield from (f"{path}.{name} is unknown" for name in value if name not in names)
            for name in set(value) & set(names):
                yield from problems(shape.members[names[name]], value[name], f"{path}.{name}")
        case "list":
            for number, item in enumerate(value):
                yield from problems(shape.member, item, f"{path}[{number}]")
        case "map":
            for key, item in value.items():
                yield from problems(shape.value, item, f"{path}[{key}]")
        case "string":
            if not isinstance(value, str) or (shape.enum and value not in {*shape.enum, *UNLISTED}):
                yield f"{path} is {value!r}"
        case "integer" | "long":
            if type(value) is not int:
                yield f"{path} is {value!r}"
        case "boolean":
            if type(value) is not bool:
                yield f"{path} is {value!r}"


async def asked(fake: FakeBedrock, path: str, body: Any = None) -> Any:
    async with ClientSession(headers=AUTHORIZATION) as session:
        verb = "GET" if body is None else "POST"
        async with session.request(verb, fake.url + path, json=body) as response:
            assert response.status == 200, await response.text()
            return await response.read() if response.content_type.endswith("stream") else await response.json()


def body_of(text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": [{"text": text}]}]
    return {"messages": messages, "toolConfig": TOOLS, "guardrailConfig": GUARD}


@pytest.mark.parametrize("text", TEXTS)
async def test_whole_answers_have_the_services_shape(fake: FakeBedrock, text: str) -> None:
    answer = await asked(fake, f"/model/{LLAMA.replace(':', '%3A')}/converse", body_of(text))

    assert list(problems(shape_of("bedrock-runtime", "Converse"), answer)) == []


@pytest.mark.parametrize("text", TEXTS)
async def test_streams_have_the_services_shape(fake: FakeBedrock, text: str) -> None:
    data = await asked(fake, f"/model/{LLAMA.replace(':', '%3A')}/converse-stream", body_of(text))

    buffer = EventStreamBuffer()
    buffer.add_data(data)
    events = shape_of("bedrock-runtime", "ConverseStream").members["stream"].members  # type: ignore[attr-defined]
    kinds, found = [], []
    for message in buffer:
        kind, payload = message.headers[":event-type"], json.loads(message.payload)
        kinds.append(kind)
        assert payload.pop("p").isalpha()
        if kind in events:
            found += list(problems(events[kind], payload, kind))
    assert found == []
    assert (kinds[0], kinds[-2:]) == ("messageStart", ["messageStop", "metadata"])


@pytest.mark.parametrize(
    ("path", "operation"),
    [("/foundation-models", "ListFoundationModels"), ("/inference-profiles", "ListInferenceProfiles")],
)
async def test_lists_have_the_services_shape(fake: FakeBedrock, path: str, operation: str) -> None:
    answer = await asked(fake, path)

    assert list(problems(shape_of("bedrock", operation), answer)) == []


def test_check_finds_what_is_wrong() -> None:
    wrong = {"output": {"message": {"role": "nobody"}}, "stopReason": "x", "usage": {}, "surprise": 1}

    found = set(problems(shape_of("bedrock-runtime", "Converse"), wrong))

    assert {
        "answer.surprise is unknown",
        "answer.metrics is missing",
        "answer.output.message.role is 'nobody'",
    } <= found


def test_messages_are_what_botocore_decodes() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(frames.frame({":event-type": "chunk", ":message-type": "event"}, b"payload"))

    [message] = list(buffer)

    assert (message.headers, message.payload) == ({":event-type": "chunk", ":message-type": "event"}, b"payload")


def test_botocore_would_notice_a_wrong_checksum() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(frames.frame({}, b"payload")[:-1] + b"?")

    with pytest.raises(ChecksumMismatch):
        next(buffer)
