"""What the fake answers and what the provider sends, held against the request and answer types that Ollama publishes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from hitchpost.api import CompletionRequest, EmbeddingsRequest, Model
from hitchpost_remote_ollama.provider import OllamaInference
from tests.fakes.ollama import server as fake_server
from tests.fakes.ollama.models import FakeModel
from tests.fakes.ollama.server import FakeOllama
from tests.remote_ollama.conftest import asked_for, chat, streamed

PUBLISHED = json.loads((Path(fake_server.__file__).parent / "published_schemas.json").read_text("utf-8"))
UNPUBLISHED = {"truncate", "shift"}
"""Read by the server, left out of what it publishes."""
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    },
}
ASKED = {"role": "user", "content": "weather in Oslo?"}


def check(value: Any, name: str) -> None:
    Draft202012Validator({"$ref": f"#/$defs/{name}", **PUBLISHED}).validate(value)


@pytest.fixture
async def caller(fake_ollama: FakeOllama) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client, which reads answers without the provider's help."""
    async with aiohttp.ClientSession(fake_ollama.url) as session:
        yield session


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/api/version", None, "VersionResponse"),
        ("/api/tags", None, "ListResponse"),
        ("/api/ps", None, "PsResponse"),
        ("/api/show", {"model": "tiny"}, "ShowResponse"),
        ("/api/chat", {"model": "tiny", "messages": [ASKED], "stream": False}, "ChatResponse"),
        ("/api/chat", {"model": "tiny", "messages": [ASKED], "stream": False, "tools": [TOOL]}, "ChatResponse"),
        ("/api/chat", {"model": "thinker:8b", "messages": [ASKED], "stream": False}, "ChatResponse"),
        (
            "/api/chat",
            {"model": "tiny", "messages": [ASKED], "stream": False, "logprobs": True, "top_logprobs": 2},
            "ChatResponse",
        ),
        ("/api/chat", {"model": "tiny", "messages": [], "stream": False}, "ChatResponse"),
        ("/api/generate", {"model": "tiny", "prompt": "Once", "raw": True, "stream": False}, "GenerateResponse"),
        ("/api/embed", {"model": "embed", "input": ["a", "b"]}, "EmbedResponse"),
    ],
)
async def test_fake_answers_what_is_published(path: str, body: Any, kind: str, caller: aiohttp.ClientSession) -> None:
    async with caller.request("POST" if body else "GET", path, json=body) as response:
        answer = await response.json()

    assert response.status == 200
    check(answer, kind)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/api/chat", {"model": "tiny", "messages": [ASKED]}, "ChatStreamEvent"),
        ("/api/chat", {"model": "thinker:8b", "messages": [ASKED], "tools": [TOOL]}, "ChatStreamEvent"),
        ("/api/generate", {"model": "tiny", "prompt": "Once"}, "GenerateStreamEvent"),
        ("/api/pull", {"model": "new"}, "StatusEvent"),
    ],
)
async def test_fake_streams_what_is_published(
    path: str, body: Any, kind: str, caller: aiohttp.ClientSession, fake_ollama: FakeOllama
) -> None:
    fake_ollama.models.to_pull["new"] = FakeModel("new:latest")

    async with caller.post(path, json=body) as response:
        lines = [json.loads(line) async for line in response.content]

    assert response.content_type == "application/x-ndjson"
    assert len(lines) > 1
    for line in lines:
        check(line, kind)


async def test_fake_refuses_in_the_published_form(caller: aiohttp.ClientSession) -> None:
    async with caller.post("/api/chat", json={"model": "gone", "messages": [ASKED]}) as response:
        answer = await response.json()

    assert response.status == 404
    check(answer, "ErrorResponse")


async def test_provider_sends_what_is_published(provider: OllamaInference, fake_ollama: FakeOllama) -> None:
    context = asked_for("tiny:latest", num_ctx=2048, keep_alive="5m")
    sampling = {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 3, "stop": ["END"], "max_tokens": 20}
    form = {"type": "json_schema", "json_schema": SCHEMA}
    tools = [{"tool_name": "get_weather", "parameters": {"location": {"param_type": "string"}}}]
    fake_ollama.models.to_pull["new"] = FakeModel("new:latest")

    await streamed(provider, chat(sampling_params=sampling, response_format=form, logprobs={"top_k": 2}), context)
    await provider.chat_completion(chat("weather in Oslo?", tools=tools), asked_for("thinker:8b", think="high"))
    await provider.completion(CompletionRequest(model_id="m", content="Once"), context)
    await provider.embeddings(EmbeddingsRequest(model_id="m", contents=["a"], dimensions=4), context)
    await provider.register_model(Model(identifier="new", provider_resource_id="new", metadata={"pull": True}), None)

    kinds = {"chat": "ChatRequest", "generate": "GenerateRequest", "embed": "EmbedRequest"}
    kinds |= {"show": "ShowRequest", "pull": "PullRequest"}
    sent = [(kinds[path.removeprefix("/api/")], body) for path, body in fake_ollama.requests if body]
    assert {kind for kind, _ in sent} == set(kinds.values())
    for kind, body in sent:
        check(body, kind)
        assert body.keys() <= PUBLISHED["$defs"][kind]["properties"].keys() | UNPUBLISHED
