"""The provider over HTTP: what it asks of a server, and what it makes of the answers."""

import asyncio
import logging
import re
from contextlib import aclosing
from typing import Any

import pytest

from hitchpost.api import (
    CompletionRequest,
    EmbeddingsRequest,
    FinishReason,
    Job,
    Model,
    ReasoningDelta,
    RequestContext,
    TextDelta,
    ToolCallStart,
    Usage,
)
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    DeadlineExceededError,
    NotFoundError,
    UnsupportedError,
)
from hitchpost.plugin.jobs import JobBoard
from hitchpost_remote_ollama import pulls
from hitchpost_remote_ollama.provider import OllamaInference
from tests.fakes.ollama.faults import failing
from tests.fakes.ollama.models import FakeModel
from tests.fakes.ollama.server import FakeOllama
from tests.remote_ollama.conftest import TINY, StartedProvider, asked_for, chat, streamed

ASKED = RequestContext(request_id="req_test")
"""Of a registration that a caller asks for."""
WEATHER = {"tool_name": "get_weather", "parameters": {"location": {"param_type": "string"}}}


def wanted(name: str, **metadata: Any) -> Model:
    return Model(identifier="mine", provider_resource_id=name, provider_id="ollama", metadata=metadata)


async def until(condition: Any) -> None:
    """Waits for a condition, at most 5 s."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


# --- models ---


async def test_models_are_listed_with_what_they_can_and_whether_they_are_loaded(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    await provider.chat_completion(chat(), TINY)

    listed = {model.provider_resource_id: model.metadata for model in await provider.list_models()}

    assert {name: metadata["loaded"] for name, metadata in listed.items()} == {
        "tiny:latest": True,
        "thinker:8b": False,
        "embed:latest": False,
    }
    assert listed["tiny:latest"]["context_length"] == 131_072
    assert "vision" not in listed["tiny:latest"]["capabilities"]
    assert "capabilities" not in listed["thinker:8b"]
    assert listed["embed:latest"]["capabilities"] == ["embeddings"]
    assert listed["embed:latest"]["embedding_dimension"] == 16


async def test_model_is_looked_at_again_only_when_it_has_changed(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    fake_ollama.requests.clear()
    fake_ollama.models.there[0].digest = "0" * 64

    await provider.list_models()

    assert fake_ollama.asked("/api/show") == [{"model": "tiny:latest"}]


async def test_old_server_that_shows_no_capabilities_is_trusted_to_have_them(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    fake_ollama.version = "0.5.7"
    fake_ollama.models.there.append(FakeModel("new:latest"))

    [*_, new] = await provider.list_models()

    assert "capabilities" not in new.metadata


async def test_registered_model_gets_ollamas_name_and_keeps_its_own_metadata(provider: OllamaInference) -> None:
    model = await provider.register_model(wanted("TINY", context_length=2048), None)

    assert (model.identifier, model.provider_resource_id) == ("mine", "tiny:latest")
    assert model.metadata["context_length"] == 2048
    assert model.metadata["model_type"] == "llm"


async def test_vectors_of_another_length_than_the_models_are_refused_at_its_registration(
    provider: OllamaInference,
) -> None:
    with pytest.raises(BadRequestError, match="embedding_dimension"):
        await provider.register_model(wanted("embed", model_type="embedding", embedding_dimension=100), None)


async def test_llama_model_is_found_by_its_repository(provider: OllamaInference, fake_ollama: FakeOllama) -> None:
    fake_ollama.models.there.append(FakeModel("llama3.2:1b-instruct-fp16"))

    model = await provider.register_model(wanted("meta-llama/Llama-3.2-1B-Instruct"), None)

    assert model.provider_resource_id == "llama3.2:1b-instruct-fp16"
    assert model.metadata["llama_model"] == "meta-llama/Llama-3.2-1B-Instruct"


@pytest.mark.parametrize(
    ("name", "to_pull"),
    [("phi4", "ollama pull phi4`"), ("Llama3.1-8B-Instruct", "ollama pull llama3.1:8b-instruct-fp16`")],
)
async def test_model_that_is_not_there_is_refused_with_what_to_pull(
    name: str, to_pull: str, provider: OllamaInference
) -> None:
    with pytest.raises(BadRequestError) as refused:
        await provider.register_model(wanted(name), None)

    assert to_pull in refused.value.message
    assert refused.value.message.endswith('with the metadata {"pull": true}')


async def test_metadata_that_cannot_be_is_refused_at_the_registration(provider: OllamaInference) -> None:
    with pytest.raises(BadRequestError, match="num_ctx"):
        await provider.register_model(wanted("tiny", num_ctx=-5), None)


async def test_model_is_pulled_where_its_registration_says_so(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    fake_ollama.models.to_pull["phi4"] = FakeModel("phi4:latest")

    model = await provider.register_model(wanted("phi4", pull=True), None)

    assert model.provider_resource_id == "phi4:latest"


@pytest.fixture
def long_pull(fake_ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """`phi4` can be pulled, and takes longer than a registration waits; the end comes when the event is set."""
    monkeypatch.setattr(pulls, "PATIENCE_S", 0.1)
    fake_ollama.models.to_pull["phi4"] = FakeModel("phi4:latest")
    fake_ollama.pull_may_end.clear()
    return fake_ollama.pull_may_end


async def pull_begun(provider: OllamaInference) -> Job:
    """The job that a registration of `phi4` is told of."""
    with pytest.raises(BackendUnavailableError, match="register it again when") as refused:
        await provider.register_model(wanted("phi4", pull=True), ASKED)
    assert refused.value.retry_after_s
    named = re.search(r"/hitchpost/v1/jobs/(\w+)", refused.value.message)
    assert named is not None
    job = provider.deps.jobs.find(named[1])
    assert job is not None
    return job


async def test_long_pull_is_a_job_that_every_registration_names_until_it_succeeds(
    provider: OllamaInference, fake_ollama: FakeOllama, long_pull: asyncio.Event
) -> None:
    first = await pull_begun(provider)
    second = await pull_begun(provider)
    long_pull.set()
    await until(lambda: fake_ollama.models.find("phi4"))
    model = await provider.register_model(wanted("phi4", pull=True), ASKED)

    assert second.id == first.id
    assert (second.kind, second.subject, second.state) == ("pull_model", "phi4", "running")
    assert (second.done, second.total, second.unit) == (1_321_082_688, 1_321_082_688, "bytes")
    assert second.message.startswith("pulling ")
    assert model.provider_resource_id == "phi4:latest"
    assert len(fake_ollama.asked("/api/pull")) == 1


async def test_callers_are_not_told_to_register_what_the_host_registers_by_itself(
    provider: OllamaInference, long_pull: asyncio.Event
) -> None:
    with pytest.raises(BackendUnavailableError, match="it serves as soon as that has succeeded"):
        await provider.register_model(wanted("phi4", pull=True), None)


async def test_host_is_told_when_a_model_has_come(started_provider: StartedProvider, long_pull: asyncio.Event) -> None:
    told = asyncio.Event()
    provider = await started_provider(health_changed=told.set)

    await pull_begun(provider)
    is_early = told.is_set()
    long_pull.set()

    assert not is_early
    await asyncio.wait_for(told.wait(), 5)


@pytest.fixture
async def board(provider: OllamaInference) -> JobBoard:
    """Where the provider's jobs run."""
    assert isinstance(provider.deps.jobs, JobBoard)
    return provider.deps.jobs


async def test_cancelled_pull_ends_at_the_server_and_only_who_asks_begins_it_again(
    provider: OllamaInference, board: JobBoard, fake_ollama: FakeOllama, long_pull: asyncio.Event
) -> None:
    job = await pull_begun(provider)

    cancelled = await board.cancel(job.id)
    await until(lambda: fake_ollama.running == 0)
    with pytest.raises(BackendUnavailableError, match="was cancelled") as refused:
        await provider.register_model(wanted("phi4", pull=True), None)
    again = await pull_begun(provider)

    assert cancelled.state == "cancelled"
    assert refused.value.is_permanent
    assert again.id != job.id


async def test_pull_that_is_cancelled_before_its_first_step_does_not_stay(
    provider: OllamaInference, board: JobBoard, long_pull: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "PATIENCE_S", -1)
    job = await pull_begun(provider)

    await board.cancel(job.id)

    assert (await pull_begun(provider)).id != job.id


async def test_failed_pull_is_tried_again_at_once_when_asked_for_and_by_the_host_after_a_while(
    provider: OllamaInference, fake_ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def register(context: RequestContext | None) -> int:
        with pytest.raises(BadBackendAnswerError, match="file does not exist"):
            await provider.register_model(wanted("no-such-model", pull=True), context)
        return len(fake_ollama.asked("/api/pull"))

    pulled = [await register(None), await register(None), await register(ASKED)]
    monkeypatch.setattr(pulls, "TRIED_AGAIN_S", 0)

    assert [*pulled, await register(None)] == [1, 1, 2, 3]


async def test_failure_at_the_end_of_a_pull_is_its_reason(provider: OllamaInference) -> None:
    with pytest.raises(BadBackendAnswerError, match="file does not exist"):
        await provider.register_model(wanted("no-such-model", pull=True), None)


async def test_stopped_provider_lets_go_of_its_pulls(
    provider: OllamaInference, fake_ollama: FakeOllama, long_pull: asyncio.Event
) -> None:
    job = await pull_begun(provider)

    await provider.stop()

    await until(lambda: fake_ollama.running == 0)
    ended = provider.deps.jobs.find(job.id)
    assert ended is not None
    assert ended.state == "failed"


# --- answers ---


async def test_thoughts_come_before_the_answer(provider: OllamaInference) -> None:
    events = await streamed(provider, chat("hello"), asked_for("thinker:8b"))

    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Let me think about that."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "You said: hello"


async def test_thinking_is_switched_off_by_the_config_and_on_again_by_the_model(
    started_provider: StartedProvider, fake_ollama: FakeOllama
) -> None:
    provider = await started_provider(think=False)
    await provider.list_models()

    await provider.chat_completion(chat(), asked_for("thinker:8b"))
    await provider.chat_completion(chat(), asked_for("thinker:8b", think="low"))
    await provider.chat_completion(chat(), asked_for("tiny:latest", think="low"))

    assert [body.get("think") for body in fake_ollama.asked("/api/chat")] == [False, "low", None]


@pytest.mark.parametrize("is_in_last_line", [False, True])
@pytest.mark.parametrize("has_id", [False, True])
async def test_tool_is_called_wherever_the_call_stands(
    is_in_last_line: bool, has_id: bool, provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    model = fake_ollama.models.there[0]
    model.calls_in_last_line, model.calls_have_ids = is_in_last_line, has_id

    answer = await provider.chat_completion(chat("weather in Oslo?", tools=[WEATHER]), TINY)
    events = await streamed(provider, chat("weather in Oslo?", tools=[WEATHER]))

    [choice] = answer.choices
    assert choice.finish_reason is FinishReason.tool_calls
    assert choice.tool_calls[0].find_arguments() == {"location": "Oslo"}
    assert [event.name for event in events if isinstance(event, ToolCallStart)] == ["get_weather"]


async def test_completion_says_the_same_streamed_and_whole(provider: OllamaInference) -> None:
    request = CompletionRequest.model_validate(
        {"model_id": "m", "content": "Once upon", "echo": True, "sampling_params": {"temperature": 0}}
    )

    events = [event async for event in provider.stream_completion(request, TINY)]
    [choice] = (await provider.completion(request, TINY)).choices

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == choice.text
    assert choice.text == "Once uponYou said: Once upon"


async def test_usage_is_what_the_server_counted(provider: OllamaInference) -> None:
    assert Usage(2, 3) in await streamed(provider, chat("hello"))


async def test_lines_and_characters_may_come_in_pieces(provider: OllamaInference, fake_ollama: FakeOllama) -> None:
    fake_ollama.faults.split_lines = True

    events = await streamed(provider, chat("Grüße 🐎"))

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "You said: Grüße 🐎"


async def test_conversation_that_does_not_fit_is_an_error_unless_the_config_allows_to_cut_it(
    started_provider: StartedProvider,
) -> None:
    strict, lenient = await started_provider(num_ctx=32), await started_provider(num_ctx=32, truncate=True)
    old = [{"role": "user", "content": "word " * 40}, {"role": "user", "content": "hello"}]

    with pytest.raises(BadRequestError, match="longer than the context"):
        await strict.chat_completion(chat(messages=old), TINY)

    assert (await lenient.chat_completion(chat(messages=old), TINY)).choices[0].text == "You said: hello"


async def test_answer_that_fills_the_context_ends_for_its_length(started_provider: StartedProvider) -> None:
    provider = await started_provider(num_ctx=16)

    [choice] = (await provider.chat_completion(chat("count from one to twenty"), TINY)).choices

    assert choice.finish_reason is FinishReason.length


async def test_log_probabilities_are_refused_where_the_server_is_too_old(
    started_provider: StartedProvider, fake_ollama: FakeOllama
) -> None:
    fake_ollama.version = "0.12.10"
    provider = await started_provider()

    with pytest.raises(UnsupportedError, match=r"0\.12\.11"):
        await provider.chat_completion(chat(logprobs={"top_k": 0}), TINY)


async def test_model_that_vanished_is_not_found(provider: OllamaInference) -> None:
    with pytest.raises(NotFoundError, match="ollama pull"):
        await provider.chat_completion(chat(), asked_for("gone:latest"))


# --- embeddings ---


def embedding_of(*texts: str, **fields: Any) -> EmbeddingsRequest:
    return EmbeddingsRequest.model_validate({"model_id": "m", "contents": texts, **fields})


async def test_vectors_have_the_asked_dimension(provider: OllamaInference) -> None:
    answer = await provider.embeddings(embedding_of("one", "two", dimensions=4), asked_for("embed:latest"))

    assert [len(vector) for vector in answer.embeddings] == [4, 4]
    assert answer.usage == Usage(2, 0)


async def test_nothing_has_no_vectors(provider: OllamaInference) -> None:
    assert (await provider.embeddings(embedding_of(), asked_for("embed:latest"))).embeddings == []


async def test_text_that_is_too_long_to_embed_is_refused(started_provider: StartedProvider) -> None:
    provider = await started_provider(num_ctx=4)

    with pytest.raises(BadRequestError, match="exceeds the context length"):
        await provider.embeddings(embedding_of("one two three four five"), asked_for("embed:latest"))


# --- connections ---


async def test_key_is_sent_and_never_shown(
    started_provider: StartedProvider, fake_ollama: FakeOllama, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = await started_provider(api_key="sesame")

    with (
        fake_ollama.faults.answering(failing(401, "unauthorized")),
        pytest.raises(Exception, match="api_key") as refused,
    ):
        await provider.chat_completion(chat(), TINY)

    assert fake_ollama.headers[-1]["Authorization"] == "Bearer sesame"
    assert "sesame" not in f"{refused.value} {provider.config!r} {caplog.text}"


async def test_connections_serve_again(provider: OllamaInference, fake_ollama: FakeOllama) -> None:
    before = fake_ollama.connections()

    for _ in range(5):
        await streamed(provider, chat())
        await provider.chat_completion(chat(), TINY)

    assert fake_ollama.connections() == before


async def test_stream_that_is_closed_ends_the_servers_work(provider: OllamaInference, fake_ollama: FakeOllama) -> None:
    async with fake_ollama.faults.stall():
        async with aclosing(provider.stream_chat_completion(chat("a long story"), TINY)) as stream:  # type: ignore[type-var]
            await anext(stream)
            assert fake_ollama.running == 1

        await until(lambda: fake_ollama.running == 0)


async def test_whole_answer_that_is_cancelled_ends_the_servers_work(
    provider: OllamaInference, fake_ollama: FakeOllama
) -> None:
    async with fake_ollama.faults.stall():
        asking = asyncio.create_task(provider.chat_completion(chat(), TINY))
        await until(lambda: fake_ollama.faults.stalled)
        asking.cancel()

        await until(lambda: fake_ollama.running == 0)

    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_pull_may_take_longer_than_an_answer(
    started_provider: StartedProvider, long_pull: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "PATIENCE_S", 0.5)
    provider = await started_provider(total_timeout_s=0.2, between_chunks_timeout_s=0.1)

    assert (await pull_begun(provider)).state == "running"


async def test_pull_that_takes_too_long_ends_with_the_reason(
    started_provider: StartedProvider, fake_ollama: FakeOllama
) -> None:
    provider = await started_provider(pull_timeout_s=0.3)
    fake_ollama.models.to_pull["phi4"] = FakeModel("phi4:latest")
    fake_ollama.pull_may_end.clear()

    with pytest.raises(DeadlineExceededError, match="not whole in time"):
        await provider.register_model(wanted("phi4", pull=True), None)
