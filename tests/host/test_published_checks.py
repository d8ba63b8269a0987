"""What the tests of llama-stack 0.0.53 asked of every inference provider and of its registry, asked of a host over the native surface.

Safety and memory are asked the same by the conformance kit; the client SDKs by `tests/sdk`.
"""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hitchpost.api import Finish, FinishReason, TextDelta
from tests.host.conftest import OddHost
from tests.host.served import ServedHost, scripted_config, served

CHAT = "/alpha/inference/chat-completion"
COMPLETION = "/alpha/inference/completion"
REGISTER = "/alpha/models/register"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "year_born": {"type": "integer"}},
    "required": ["name", "year_born"],
}
TOOL = {
    "tool_name": "get_weather",
    "description": "Get the current weather",
    "parameters": {"location": {"param_type": "string", "description": "The city", "required": True}},
}


@pytest.fixture
async def host() -> AsyncIterator[ServedHost]:
    """A host whose model knows what the published tests ask about."""
    script = [
        {"when": "Roses are red", "text": " violets are blue,"},
        {"when": "endless", "text": "word " * 500},
        {"when": "weather", "tool_calls": [{"name": "get_weather", "arguments": {"location": "San Francisco"}}]},
        {"when": "Jordan", "text": "He was born long ago."},
        {"echo": True},
    ]
    async with served({**scripted_config(script), "models": [{"model_id": "m"}]}) as running:
        yield running


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def kinds(events: list[Any]) -> list[str]:
    """Types of the events, neighbours of one type as one."""
    return [kind for kind, _ in itertools.groupby(event["event"]["event_type"] for event in events)]


async def test_listed_models_hold_the_configured_one_with_all_its_fields(host: ServedHost) -> None:
    [model] = [model for model in (await host.get("/alpha/models/list")).json if model["identifier"] == "m"]

    assert set(model) == {"identifier", "provider_resource_id", "provider_id", "type", "metadata"}


async def test_completion_goes_on_with_the_text(host: ServedHost) -> None:
    answer = await host.post(COMPLETION, {"model_id": "m", "content": "Roses are red,"})

    assert "violets are blue" in answer.json["content"]


async def test_streamed_completion_that_runs_out_of_tokens_says_so_at_its_end(host: ServedHost) -> None:
    body = {"model_id": "m", "content": "endless", "stream": True, "sampling_params": {"max_tokens": 50}}

    chunks = (await host.post(COMPLETION, body)).events

    assert chunks[-1]["stop_reason"] == "out_of_tokens"
    assert {chunk["stop_reason"] for chunk in chunks[:-1]} == {None}


async def test_streamed_chat_is_one_start_then_progress_then_one_complete(host: ServedHost) -> None:
    events = (await host.post(CHAT, {"model_id": "m", "messages": [user("hello there")], "stream": True})).events

    assert kinds(events) == ["start", "progress", "complete"]
    assert [event["event"]["event_type"] for event in events].count("start") == 1
    assert events[-1]["event"]["stop_reason"] == "end_of_turn"


@pytest.mark.parametrize(
    ("response_format", "is_json"), [({"type": "json_schema", "json_schema": SCHEMA}, True), (None, False)]
)
async def test_answer_is_json_of_the_schema_exactly_when_it_was_asked_for(
    response_format: Any, is_json: bool, host: ServedHost
) -> None:
    body = {"model_id": "m", "messages": [user("Who is Michael Jordan?")], "response_format": response_format}

    content = (await host.post(CHAT, body)).json["completion_message"]["content"]

    assert content.startswith("{") is is_json
    if is_json:
        assert set(json.loads(content)) == {"name", "year_born"}


async def test_tool_is_called_with_its_argument(host: ServedHost) -> None:
    body = {"model_id": "m", "messages": [user("What's the weather like in San Francisco?")], "tools": [TOOL]}

    [call] = (await host.post(CHAT, body)).json["completion_message"]["tool_calls"]

    assert (call["tool_name"], call["arguments"]) == ("get_weather", {"location": "San Francisco"})


async def test_streamed_tool_call_begins_with_started_and_ends_with_success(host: ServedHost) -> None:
    body = {"model_id": "m", "messages": [user("weather")], "tools": [TOOL], "stream": True}

    events = (await host.post(CHAT, body)).events

    deltas = [event["event"]["delta"] for event in events if event["event"]["event_type"] == "progress"]
    assert kinds(events) == ["start", "progress", "complete"]
    assert (deltas[0]["parse_status"], deltas[-1]["parse_status"]) == ("started", "success")
    assert deltas[-1]["content"]["arguments"] == {"location": "San Francisco"}


async def test_two_messages_of_the_user_in_a_row_are_accepted(host: ServedHost) -> None:
    answer = await host.post(CHAT, {"model_id": "m", "messages": [user("one"), user("two")]})

    assert (answer.status, answer.json["completion_message"]["content"]) == (200, "two")


@pytest.mark.parametrize("image", [{"uri": "data:image/png;base64,iVBORw0KGgo="}, "https://example.com/dog.png"])
@pytest.mark.parametrize("stream", [False, True])
async def test_image_among_text_reaches_a_model_that_can_see(image: Any, stream: bool, odd: OddHost) -> None:
    odd.provider.events = [TextDelta("A dog."), Finish(FinishReason.stop)]
    content = [{"image": image}, "Describe this image in two sentences."]
    body = {"model_id": "m", "messages": [{"role": "user", "content": content}], "stream": stream}

    answer = await odd.host.post(CHAT, body)

    [asked] = odd.provider.asked
    assert answer.status == 200
    assert asked.messages[0].content[0].image.uri == (image if isinstance(image, str) else image["uri"])
    assert "A dog." in answer.text


@pytest.mark.parametrize("model_id", ["Llama3.1-70B-Instruct", "such-a-model-does-not-exist"])
async def test_model_that_the_backend_does_not_serve_is_refused(model_id: str, host: ServedHost) -> None:
    answer = await host.post(REGISTER, {"model_id": model_id})

    assert answer.status == 400


async def test_own_name_for_a_known_llama_model_is_accepted(host: ServedHost) -> None:
    metadata = {"llama_model": "meta-llama/Llama-3.1-8B-Instruct"}

    answer = await host.post(REGISTER, {"model_id": "mine", "provider_model_id": "m", "metadata": metadata})

    assert (answer.status, answer.json["metadata"]) == (200, metadata)


async def test_unknown_llama_model_in_the_metadata_is_refused(host: ServedHost) -> None:
    metadata = {"llama_model": "meta-llama/Llama-4711"}

    answer = await host.post(REGISTER, {"model_id": "mine", "provider_model_id": "m", "metadata": metadata})

    assert answer.status == 400
    assert "llama_model" in answer.text


async def test_one_provider_model_is_not_two_llama_models(host: ServedHost) -> None:
    for model_id, size in (("first", "8B"), ("second", "70B")):
        metadata = {"llama_model": f"meta-llama/Llama-3.1-{size}-Instruct"}
        answer = await host.post(REGISTER, {"model_id": model_id, "provider_model_id": "m", "metadata": metadata})

    assert answer.status == 400
    assert "first" in answer.text
