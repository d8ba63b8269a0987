"""The fake is held against botocore: it can't say what the services' description lacks, and its messages have the right encoding."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientSession
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer

from tests.bedrock.conftest import LLAMA
from tests.fakes.bedrock import frames
from tests.fakes.bedrock.server import FakeBedrock
from tests.fakes.bedrock.shapes import CONVERSE_STREAM, INVOKE_STREAM, NotOfTheService, checked

AUTHORIZATION = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAX/20261121/us-east-1/bedrock/aws4_request, Signature=x"
}
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": {}}}}]}
GUARD = {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"}


@pytest.mark.parametrize("text", ["Hi", "think", "weather in Oslo", "forbidden"])
async def test_stream_begins_and_ends_as_the_services_and_is_padded(fake: FakeBedrock, text: str) -> None:
    body = {
        "messages": [{"role": "user", "content": [{"text": text}]}], "toolConfig": TOOLS, "guardrailConfig": GUARD
    }  # fmt: skip
    path = f"/model/{LLAMA.replace(':', '%3A')}/converse-stream"
    async with ClientSession(headers=AUTHORIZATION) as session, session.post(fake.url + path, json=body) as response:
        data = await response.read()

    buffer = EventStreamBuffer()
    buffer.add_data(data)
    messages = list(buffer)
    kinds = [message.headers[":event-type"] for message in messages]
    assert (kinds[0], kinds[-2:]) == ("messageStart", ["messageStop", "metadata"])
    assert all(json.loads(message.payload)["p"].isalpha() for message in messages)


METRICS = {"latencyMs": 1}
USAGE = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (lambda: CONVERSE_STREAM.event("messageBegin", {}), "has no event messageBegin"),
        (lambda: CONVERSE_STREAM.event("chunk", {"bytes": ""}), "ConverseStream has no event chunk"),
        (lambda: CONVERSE_STREAM.event("throttlingException", {"message": "x"}), "has no event throttlingException"),
        (lambda: CONVERSE_STREAM.exception("modelTimeoutException", "x"), "has no exception modelTimeoutException"),
        (lambda: CONVERSE_STREAM.exception("messageStart", "x"), "has no exception messageStart"),
        (lambda: CONVERSE_STREAM.event("messageStart", {}), r"messageStart\.role is missing"),
        (lambda: CONVERSE_STREAM.event("messageStart", {"role": "tool"}), r"messageStart\.role is 'tool'"),
        (
            lambda: CONVERSE_STREAM.event("messageStop", {"stopReason": "end_turn", "why": 1}),
            r"messageStop\.why is unkn",
        ),
        (lambda: delta({"text": 1}), r"delta\.text is 1"),
        (lambda: delta({"text": "x", "toolUse": {"input": ""}}), r"delta has 2 members of which one"),
        (lambda: delta({"thought": "x"}), r"delta\.thought is unknown"),
        (lambda: INVOKE_STREAM.event("chunk", {"bytes": "no Base64!"}), r"chunk\.bytes is no Base64"),
        (lambda: converse(metrics=METRICS), r"Converse\.usage is missing"),
        (lambda: converse(usage=USAGE, metrics=METRICS, surprise=1), r"Converse\.surprise is unknown"),
    ],
)
def test_what_the_service_could_not_say_is_refused(say: Callable[[], Any], why: str) -> None:
    with pytest.raises(NotOfTheService, match=why):
        say()


def delta(value: dict[str, Any]) -> bytes:
    return CONVERSE_STREAM.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": value})


def converse(**members: Any) -> dict[str, Any]:
    output = {"message": {"role": "assistant", "content": [{"text": "x"}]}}
    return checked("bedrock-runtime", "Converse", {"output": output, "stopReason": "end_turn", **members})


def test_what_the_service_can_say_is_passed() -> None:
    assert converse(usage=USAGE, metrics=METRICS)["usage"] == USAGE
    assert delta({"reasoningContent": {"redactedContent": "c2ln"}})
    assert INVOKE_STREAM.exception("modelTimeoutException", "x")


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
