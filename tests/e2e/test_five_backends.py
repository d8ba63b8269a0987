"""Five backends of four kinds side by side in one host: each model answers from its own, and what happens to one is no concern of the others."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest
import pytest_asyncio
from llama_stack_client import AsyncLlamaStackClient

from tests.fakes.bedrock.server import FakeBedrock
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.openai.server import FakeOpenAI
from tests.fakes.tgi.server import FakeTgi
from tests.processes import HostProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUN_CONFIG = """version: '2'
providers:
  inference:
  - {{provider_id: tgi-one, provider_type: "remote::tgi", config: {{url: "{one.url}", max_retries: 0}}}}
  - {{provider_id: tgi-two, provider_type: "remote::tgi", config: {{url: "{two.url}", max_retries: 0}}}}
  - {{provider_id: ollama, provider_type: "remote::ollama", config: {{url: "{ollama.url}", max_retries: 0}}}}
  - {{provider_id: vllm, provider_type: "remote::vllm", config: {{url: "{vllm.url}", max_retries: 0}}}}
  - provider_id: bedrock
    provider_type: remote::bedrock
    config:
      endpoint_url: "{bedrock.url}"
      region_name: us-east-1
      aws_access_key_id: AKIAHOST
      aws_secret_access_key: of the host
      total_max_attempts: 1
models:
- {{model_id: one, provider_id: tgi-one, provider_model_id: org/one}}
- {{model_id: two, provider_id: tgi-two, provider_model_id: org/two}}
- {{model_id: three, provider_id: ollama, provider_model_id: "tiny:latest"}}
- {{model_id: four, provider_id: vllm, provider_model_id: tiny}}
- {{model_id: five, provider_id: bedrock, provider_model_id: "meta.llama3-1-8b-instruct-v1:0"}}
"""
BACKENDS = {"one": "tgi-one", "two": "tgi-two", "three": "ollama", "four": "vllm", "five": "bedrock"}
MODELS = list(BACKENDS)


class Five:
    """The fakes by the name of the model that each has, and clients of the host in front of them."""

    def __init__(self, fakes: dict[str, Any], sdk: Any, native: Any) -> None:
        self.fakes = fakes
        self.sdk: openai.AsyncOpenAI = sdk
        self.native: AsyncLlamaStackClient = native

    async def ask(self, model: str, text: str, *, stream: bool = False) -> str:
        answer: Any = await self.sdk.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], stream=stream
        )
        if not stream:
            return str(answer.choices[0].message.content)
        chunks = [chunk async for chunk in answer]
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    async def ask_natively(self, model: str, text: str, *, stream: bool = False) -> str:
        answer: Any = await self.native.inference.chat_completion(
            model_id=model, messages=[{"role": "user", "content": text}], stream=stream
        )
        if not stream:
            return str(answer.completion_message.content)
        events = [chunk.event async for chunk in answer]
        assert events[-1].stop_reason == "end_of_turn"
        return "".join(event.delta for event in events)

    def heard(self, text: str) -> list[str]:
        """The models whose backends were asked this."""
        asked = {model: getattr(fake, "requests", None) or fake.asked for model, fake in self.fakes.items()}
        return [model for model, requests in asked.items() if text in json.dumps(requests)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def five(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Five]:
    async with AsyncExitStack() as stack:
        made: dict[str, Any] = {
            "one": FakeTgi("org/one"),
            "two": FakeTgi("org/two"),
            "three": FakeOllama(),
            "four": FakeOpenAI("vllm"),
            "five": FakeBedrock(),
        }
        fakes = {model: await stack.enter_async_context(fake) for model, fake in made.items()}
        config = RUN_CONFIG.format(
            one=fakes["one"], two=fakes["two"], ollama=fakes["three"], vllm=fakes["four"], bedrock=fakes["five"]
        )
        host = HostProcess(tmp_path_factory.mktemp("five"), config)
        await asyncio.to_thread(host.__enter__)
        stack.push_async_callback(asyncio.to_thread, host.__exit__, None, None, None)
        sdk = openai.AsyncOpenAI(base_url=f"{host.url}/v1", api_key="unused", max_retries=0, timeout=20)
        native = AsyncLlamaStackClient(base_url=host.url, max_retries=0, timeout=20)
        yield Five(fakes, await stack.enter_async_context(sdk), await stack.enter_async_context(native))


async def test_every_model_is_listed_with_its_provider(five: Five) -> None:
    listed = {model.identifier: model.provider_id for model in await five.native.models.list()}

    assert BACKENDS.items() <= listed.items()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("surface", ["ask", "ask_natively"])
async def test_each_model_answers_from_its_own_backend(five: Five, surface: str, stream: bool) -> None:
    texts = {model: uuid.uuid4().hex for model in MODELS}

    said = await asyncio.gather(*(getattr(five, surface)(model, texts[model], stream=stream) for model in MODELS))

    assert {model: five.heard(text) for model, text in texts.items()} == {model: [model] for model in MODELS}
    assert all(text in answer for text, answer in zip(texts.values(), said, strict=True))


@pytest.mark.parametrize("victim", MODELS)
async def test_backend_that_dies_is_nobody_elses_concern_and_comes_back_by_itself(five: Five, victim: str) -> None:
    others = [model for model in MODELS if model != victim]
    fake, is_over = five.fakes[victim], asyncio.Event()

    async def go_on(model: str) -> int:
        count = 0
        while not is_over.is_set():
            assert "go on" in await five.ask(model, "go on", stream=bool(count % 2))
            count += 1
        return count

    async with asyncio.TaskGroup() as tasks:
        going = [tasks.create_task(go_on(model)) for model in others]
        await five.ask(victim, "before")
        await fake.die()
        try:
            with pytest.raises(openai.InternalServerError) as refused:
                await five.ask(victim, "meanwhile")
            with pytest.raises(openai.InternalServerError) as refused_in_stream:
                await five.ask(victim, "meanwhile", stream=True)
        finally:
            await fake.__aenter__()
        async with asyncio.timeout(10):
            back = await five.ask(victim, "after")
        is_over.set()

    assert "after" in back
    assert all(task.result() >= 1 for task in going)
    for error in (refused.value, refused_in_stream.value):
        assert error.status_code == 503
        assert error.response.headers["x-hitchpost-provider"] == BACKENDS[victim]
        assert error.response.headers.get("x-should-retry", "true") == "true"
        assert "can't be reached" in error.message
