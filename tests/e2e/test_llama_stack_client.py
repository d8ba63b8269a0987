"""`llama-stack-client` 0.0.58 against a real host."""

from collections.abc import Iterator

import llama_stack_client
import pytest
from llama_stack_client import LlamaStackClient
from llama_stack_client.types import InferenceChatCompletionResponse, Model

from tests.processes import HostProcess

QUESTION = [{"role": "user", "content": "What is Hitchpost?"}]
WEATHER = [
    {
        "tool_name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"city": {"param_type": "string", "description": "its name", "required": True}},
    }
]


@pytest.fixture
def tiny(tiny_host: HostProcess) -> Iterator[LlamaStackClient]:
    with LlamaStackClient(base_url=tiny_host.url, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def scripted(scripted_host: HostProcess) -> Iterator[LlamaStackClient]:
    with LlamaStackClient(base_url=scripted_host.url, max_retries=0, timeout=60) as client:
        yield client


def test_chat_answers_a_completion_message(tiny: LlamaStackClient) -> None:
    answer = tiny.inference.chat_completion(model_id="tiny-llama", messages=QUESTION)

    message = answer.completion_message
    assert (message.role, message.stop_reason, message.tool_calls) == ("assistant", "end_of_turn", [])
    assert "Hitchpost" in message.content


def test_streamed_chat_has_one_start_then_progress_then_one_complete(tiny: LlamaStackClient) -> None:
    whole = tiny.inference.chat_completion(model_id="tiny-llama", messages=QUESTION)

    chunks = list(tiny.inference.chat_completion(model_id="tiny-llama", messages=QUESTION, stream=True))

    assert all(type(chunk).__name__ == "ChatCompletionResponseStreamChunk" for chunk in chunks)
    kinds = [chunk.event.event_type for chunk in chunks]
    assert kinds == ["start", *["progress"] * (len(kinds) - 2), "complete"]
    assert "".join(chunk.event.delta for chunk in chunks) == whole.completion_message.content
    assert chunks[-1].event.stop_reason == "end_of_turn"


def test_completion_out_of_tokens_says_so(tiny: LlamaStackClient) -> None:
    sampling = {"strategy": "greedy", "max_tokens": 3}

    whole = tiny.inference.completion(model_id="tiny-llama", content="Hitchpost is", sampling_params=sampling)
    chunks = list(
        tiny.inference.completion(model_id="tiny-llama", content="Hitchpost is", sampling_params=sampling, stream=True)
    )

    assert whole.stop_reason == "out_of_tokens"
    assert "".join(chunk.delta for chunk in chunks) == whole.content
    assert chunks[-1].stop_reason == "out_of_tokens"


def test_embeddings_are_one_vector_per_text(tiny: LlamaStackClient) -> None:
    answer = tiny.inference.embeddings(model_id="all-MiniLM-L6-v2", contents=["one", "another", "one"])

    first, second, third = answer.embeddings
    assert [len(first), len(second)] == [384, 384]
    assert first == pytest.approx(third, abs=1e-5)
    assert first != pytest.approx(second, abs=1e-2)


def test_embedding_model_says_what_its_vectors_are(tiny: LlamaStackClient) -> None:
    model = tiny.models.retrieve(identifier="all-MiniLM-L6-v2")

    assert (model.metadata["model_type"], model.metadata["embedding_dimension"]) == ("embedding", 384)


def test_tool_call_arrives_whole_and_streamed(scripted: LlamaStackClient) -> None:
    asked = {"model_id": "scripted", "messages": [{"role": "user", "content": "weather?"}], "tools": WEATHER}

    whole = scripted.inference.chat_completion(**asked).completion_message
    chunks = list(scripted.inference.chat_completion(**asked, stream=True))

    assert (whole.content, whole.tool_calls[0].tool_name, whole.tool_calls[0].arguments) == (
        "",
        "get_weather",
        {"city": "Oslo"},
    )
    deltas = [chunk.event.delta for chunk in chunks if chunk.event.event_type == "progress"]
    assert deltas[0].parse_status == "started"
    assert deltas[-1].parse_status == "success"
    assert deltas[-1].content.arguments == {"city": "Oslo"}


def test_models_are_registered_found_listed_and_unregistered(scripted: LlamaStackClient) -> None:
    registered = scripted.models.register(model_id="mine", provider_id="scripted", provider_model_id="scripted-two")

    assert isinstance(registered, Model)
    assert scripted.models.retrieve(identifier="mine") == registered
    assert "mine" in [model.identifier for model in scripted.models.list()]
    answer = scripted.inference.chat_completion(model_id="mine", messages=QUESTION)
    assert (
        isinstance(answer, InferenceChatCompletionResponse)
        or answer.completion_message.content == QUESTION[0]["content"]
    )
    scripted.models.unregister(model_id="mine")
    assert scripted.models.retrieve(identifier="mine") is None


def test_model_that_the_provider_refuses_is_not_kept(scripted: LlamaStackClient) -> None:
    with pytest.raises(llama_stack_client.BadRequestError, match="scripted-two"):
        scripted.models.register(model_id="other", provider_id="scripted", provider_model_id="nobody-serves-this")

    assert scripted.models.retrieve(identifier="other") is None


def test_unknown_model_is_a_400(scripted: LlamaStackClient) -> None:
    with pytest.raises(llama_stack_client.BadRequestError, match="not served by"):
        scripted.inference.chat_completion(model_id="nobody", messages=QUESTION)


def test_unknown_model_while_streaming_is_one_error_event(scripted: LlamaStackClient) -> None:
    chunks = list(scripted.inference.chat_completion(model_id="nobody", messages=QUESTION, stream=True))

    assert len(chunks) == 1
    assert chunks[0].error["message"].startswith("400: Invalid value: ")


def test_stream_that_the_backend_cuts_ends_in_an_error_event(scripted: LlamaStackClient) -> None:
    messages = [{"role": "user", "content": "break"}]

    chunks = list(scripted.inference.chat_completion(model_id="scripted", messages=messages, stream=True))

    assert "broke off" in chunks[-1].error["message"]
    assert scripted.inference.chat_completion(model_id="scripted", messages=QUESTION).completion_message.content


def test_host_is_inspected(scripted: LlamaStackClient) -> None:
    assert scripted.inspect.health().status == "OK"
    assert scripted.providers.list()["inference"][0].provider_type == "inline::scripted"
    routes = scripted.routes.list()["inference"]
    assert "/alpha/inference/chat-completion" in [route.route for route in routes]
