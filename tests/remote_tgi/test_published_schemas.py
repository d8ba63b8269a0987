"""What the fake answers and what the provider sends, held against the types that the project publishes.

Where these are known to be wrong, the difference is named here: the handlers of the real server say otherwise.
"""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from hitchpost.api import ChatCompletionRequest
from hitchpost_remote_tgi.config import ServerlessConfig
from hitchpost_remote_tgi.provider import serverless
from tests.fakes.tgi.server import FakeTgi
from tests.remote_tgi.conftest import LLAMA, PLAIN, WEATHER, StartedProvider, chat, deps, streamed
from tests.remote_tgi.test_requests import AFTER_A_CALL

PUBLISHED = json.loads((Path(__file__).parents[1] / "fakes/tgi/published_schemas.json").read_text())
SAID = {"temperature": 0.5, "top_p": 0.5, "repetition_penalty": 1.2, "seed": 3, "stop": ["x"], "max_tokens": 9}


def as_json_schema(schema: Any) -> Any:
    """OpenAPI's `nullable` and its numbers' formats in the words of JSON schema."""
    if isinstance(schema, list):
        return [as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: as_json_schema(value) for key, value in schema.items() if key not in ("nullable", "discriminator")}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") else plain


def corrected() -> dict[str, Any]:
    """The published types, with what is wrong in them put right."""
    components: dict[str, Any] = as_json_schema(PUBLISHED)["components"]
    schemas = components["schemas"]
    # A tool's definition has its schema under either name; a text's role makes it no tool's result.
    schemas["FunctionDefinition"] = {
        "type": "object",
        "required": ["name"],
        "anyOf": [{"required": ["arguments"]}, {"required": ["parameters"]}],
    }
    # The pieces after the first have no name.
    schemas["Function"]["properties"]["name"] = {"type": ["string", "null"]}
    # The form of an answer has a variant `type: regex` on this wire too, and nulls are left out, not sent.
    return components


def check(name: str, value: Any) -> None:
    """Raises ValidationError unless `value` is of the published type."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": corrected()}
    Draft202012Validator(schema).validate(value)


async def post(fake: FakeTgi, path: str, body: Any) -> str:
    """What the fake answers."""
    async with aiohttp.ClientSession() as session, session.post(f"{fake.url}{path}", json=body) as response:
        return await response.text()


def events_of(text: str) -> list[Any]:
    """The events of a stream, each as JSON."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"details": True, "top_n_tokens": 2, "seed": 4, "do_sample": True}, {"details": True, "stop": ["a"]}],
    ids=str,
)
async def test_generations_of_the_fake_are_of_the_published_types(parameters: Any, fake_tgi: FakeTgi) -> None:
    body = {"inputs": "a question", "parameters": parameters}

    whole = json.loads(await post(fake_tgi, "/generate", body))
    events = events_of(await post(fake_tgi, "/generate_stream", body))

    check("GenerateResponse", whole)
    assert len(events) > 3
    check("StreamResponse", events[0])
    check("StreamResponse", events[-1])


@pytest.mark.parametrize("has_tools", [True, False])
async def test_chat_of_the_fake_is_of_the_published_types(has_tools: bool, fake_tgi: FakeTgi) -> None:
    function = {"name": "get_weather", "parameters": {"type": "object", "properties": {"location": {}}}}
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "weather?"}], "logprobs": True, "top_logprobs": 2}
    body |= {"tools": [{"type": "function", "function": function}]} if has_tools else {}

    whole = json.loads(await post(fake_tgi, "/v1/chat/completions", body))
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = events_of(await post(fake_tgi, "/v1/chat/completions", {**body, **options}))

    check("ChatCompletion", whole)
    assert len(chunks) > 3
    check("ChatCompletionChunk", chunks[0])
    check("ChatCompletionChunk", chunks[1])
    check("ChatCompletionChunk", chunks[-1])


async def test_info_and_errors_of_the_fake_are_of_the_published_types(fake_tgi: FakeTgi) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{fake_tgi.url}/info") as response:
        check("Info", await response.json())

    check("ErrorResponse", json.loads(await post(fake_tgi, "/generate", {"inputs": ""})))


@pytest.mark.parametrize(
    "request_sent",
    [
        chat(),
        chat(sampling_params={**SAID, "top_k": 4}, logprobs={"top_k": 2}),
        chat(response_format={"type": "json_object"}),
        chat(response_format={"type": "json_schema", "json_schema": {"type": "object", "properties": {}}}),
    ],
    ids=["plain", "sampling", "json_object", "json_schema"],
)
async def test_what_is_sent_to_generate_is_of_the_published_type(
    request_sent: ChatCompletionRequest, started_provider: StartedProvider
) -> None:
    async with FakeTgi(LLAMA) as fake:
        await streamed(await started_provider(fake), request_sent)

        check("GenerateRequest", fake.requests[0][1])


async def test_what_is_sent_to_the_root_of_a_model_is_of_the_published_type(tmp_path: Path) -> None:
    async with FakeTgi(prefix=f"/models/{LLAMA}") as fake:
        provider = serverless(ServerlessConfig(url=fake.url, huggingface_repo=LLAMA), deps(tmp_path))
        await provider.start()
        try:
            await streamed(provider, chat(sampling_params=SAID))
            await provider.chat_completion(chat(sampling_params=SAID), PLAIN)
        finally:
            await provider.stop()

        for _, body in fake.requests:
            check("CompatGenerateRequest", body)
        assert [body["stream"] for _, body in fake.requests] == [True, False]


@pytest.mark.parametrize(
    "request_sent",
    [
        chat(),
        chat(sampling_params=SAID, logprobs={"top_k": 2}),
        chat(messages=AFTER_A_CALL, tools=[WEATHER], tool_choice="required"),
        chat(tools=[WEATHER], tool_choice={"tool_name": "get_weather"}),
        chat(["look", {"image": {"uri": "data:image/png;base64,AAAA"}}]),
        chat(response_format={"type": "json_object"}),
    ],
    ids=["plain", "sampling", "calls", "named tool", "image", "json_object"],
)
async def test_what_is_sent_to_chat_completions_is_of_the_published_type(
    request_sent: ChatCompletionRequest, started_provider: StartedProvider
) -> None:
    async with FakeTgi("acme/seer") as fake:
        await streamed(await started_provider(fake), request_sent)

        check("ChatRequest", fake.requests[0][1])
