"""A host in front of Ollama, called by the `openai` SDK: an old run config, names of all kinds, and a model that has to be pulled first."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from tests.fakes.ollama.models import FakeModel
from tests.fakes.ollama.server import FakeOllama
from tests.processes import HostProcess

RUN_CONFIG = """version: '2'
providers:
  inference:
  - provider_id: ollama
    provider_type: remote::ollama
    config: {{host: 127.0.0.1, port: {port}}}
models:
- {{model_id: meta-llama/Llama-3.2-1B-Instruct, provider_id: ollama, metadata: {{num_ctx: 8192, keep_alive: 1h}}}}
- {{model_id: later, provider_id: ollama, provider_model_id: phi4, metadata: {{pull: true}}}}
"""


@pytest.fixture
async def fake_ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama(FakeModel("llama3.2:1b"), FakeModel("embed:latest", ("embedding",))) as fake:
        fake.models.to_pull["phi4"] = FakeModel("phi4:latest")
        yield fake


@pytest.fixture
async def client(fake_ollama: FakeOllama, tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    """It calls a host in front of the fake."""
    host = HostProcess(tmp_path, RUN_CONFIG.format(port=fake_ollama.port))
    await asyncio.to_thread(host.__enter__)
    try:
        async with openai.AsyncOpenAI(base_url=f"{host.url}/v1", api_key="unused", max_retries=0) as client:
            yield client
    finally:
        await asyncio.to_thread(host.__exit__, None, None, None)


async def test_models_of_ollama_answer_under_every_name(client: openai.AsyncOpenAI, fake_ollama: FakeOllama) -> None:
    said = {}
    for name in ("meta-llama/Llama-3.2-1B-Instruct", "llama3.2:1b", "later"):
        message = {"role": "user", "content": f"I call you {name}"}
        stream = await client.chat.completions.create(model=name, messages=[message], temperature=0, stream=True)
        said[name] = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    vectors = await client.embeddings.create(model="embed:latest", input=["one", "two"], dimensions=4)

    assert said == {name: f"You said: I call you {name}" for name in said}
    assert [len(one.embedding) for one in vectors.data] == [4, 4]
    assert fake_ollama.asked("/api/chat")[0]["options"] == {"temperature": 0.0, "num_ctx": 8192}


async def test_what_a_model_cannot_do_never_reaches_it(client: openai.AsyncOpenAI, fake_ollama: FakeOllama) -> None:
    with pytest.raises(openai.BadRequestError, match="does not support chat"):
        await client.chat.completions.create(model="embed:latest", messages=[{"role": "user", "content": "hello"}])

    assert not fake_ollama.asked("/api/chat")
