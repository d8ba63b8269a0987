"""`transformers serve` behind a real host: a server that refuses what it doesn't know, ignores much, and leaves stop strings in its text."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from llama_stack_client import LlamaStackClient

from tests.processes import HostProcess, wait_until
from tests.real_servers.servers import TransformersServer, host_before, state_of

QUESTION: Any = [{"role": "user", "content": "What is Hitchpost?"}]
ANSWER = "Hitchpost is a host for Llama models: every backend is a plugin, and one server stands in front of them all."
# The last ids are the special tokens: without them an answer ends only where its bound is.
ENDLESS: Any = {
    "model": "org-tiny",
    "messages": QUESTION,
    "logit_bias": {str(token): -100 for token in range(2040, 2048)},
    "max_tokens": 1500,
}


@pytest.fixture(scope="module")
def transformers() -> Iterator[TransformersServer]:
    with TransformersServer() as server:
        yield server


@pytest.fixture(scope="module")
def front(transformers: TransformersServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    names = {"model_id": "org-tiny", "provider_model_id": transformers.model}
    with host_before(tmp_path_factory.mktemp("front"), "remote::vllm", transformers.url, **names) as host:
        yield host


def test_model_is_discovered(native: LlamaStackClient) -> None:
    listed = {model.identifier: model for model in native.models.list()}

    assert listed["org-tiny"].provider_resource_id == "org/tiny"
    assert listed["org-tiny"].provider_id == "behind"


def test_chat_whole(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="org-tiny", messages=QUESTION, temperature=0)

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (ANSWER, "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (14, 25)


def test_chat_streamed(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.create(
        model="org-tiny", messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in told) == ANSWER
    assert told[-1].finish_reason == "stop"
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (14, 25)


@pytest.mark.parametrize("stream", [False, True])
def test_native_completion_out_of_tokens(native: LlamaStackClient, stream: bool) -> None:
    answer = native.inference.completion(
        model_id="org-tiny",
        content="Hitchpost is",
        sampling_params={"strategy": "greedy", "max_tokens": 3},
        stream=stream,
    )

    chunks = list(answer) if stream else [answer]
    assert "".join(chunk.delta if stream else chunk.content for chunk in chunks) == " for developers who"
    assert chunks[-1].stop_reason == "out_of_tokens"


def test_native_chat_with_a_system_message_and_interleaved_content(native: LlamaStackClient) -> None:
    answer = native.inference.chat_completion(
        model_id="org-tiny",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": ["What is", "Hitchpost?"]},
        ],
        sampling_params={"strategy": "greedy"},
    )

    assert "Hitchpost" in str(answer.completion_message.content)
    assert answer.completion_message.stop_reason == "end_of_turn"


@pytest.mark.parametrize("stream", [False, True])
def test_stop_string_that_the_server_leaves_is_cut_off(sdk: openai.OpenAI, stream: bool) -> None:
    answer = sdk.chat.completions.create(
        model="org-tiny", messages=QUESTION, temperature=0, stop=["st for"], stream=stream
    )

    if stream:
        choices = [chunk.choices[0] for chunk in answer if chunk.choices]
        text, reason = "".join(choice.delta.content or "" for choice in choices), choices[-1].finish_reason
    else:
        text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert (text, reason) == ("Hitchpost is a ho", "stop")


def test_same_seed_gives_the_same_answer(sdk: openai.OpenAI) -> None:
    asked: Any = {"model": "org-tiny", "messages": QUESTION, "temperature": 1.5, "seed": 7, "max_tokens": 8}

    first, second = (sdk.chat.completions.create(**asked).choices[0].message.content for _ in range(2))

    assert first == second


@pytest.mark.parametrize("stream", [False, True])
def test_answers_that_the_server_does_not_give_are_missed(sdk: openai.OpenAI, stream: bool) -> None:
    def ask() -> list[Any]:
        return list(sdk.chat.completions.create(model="org-tiny", messages=QUESTION, n=2, max_tokens=2, stream=stream))

    with pytest.raises(openai.APIError, match="gave 1 of 2 answers"):
        ask()


def test_field_that_the_server_does_not_know_is_refused_with_its_words(native: LlamaStackClient) -> None:
    with pytest.raises(Exception, match=r"Unexpected fields in the request.*top_k"):
        native.inference.chat_completion(
            model_id="org-tiny", messages=QUESTION, sampling_params={"strategy": "top_k", "top_k": 5}
        )


def test_embeddings_are_refused_as_something_that_the_server_has_not(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="doesn't serve embeddings"):
        sdk.embeddings.create(model="org-tiny", input="a")


def test_model_that_is_not_there_is_refused_with_those_there_are(native: LlamaStackClient) -> None:
    with pytest.raises(Exception, match="it lists org/tiny"):
        native.models.register(model_id="huge", provider_id="behind", provider_model_id="org/huge")


def test_server_stops_when_the_client_leaves_a_stream(sdk: openai.OpenAI, transformers: TransformersServer) -> None:
    with sdk.chat.completions.create(**ENDLESS, stream=True) as answer:
        next(answer)

    wait_until(transformers.rests, "the server rests", 3)


def test_server_that_dies_in_mid_stream_is_told_and_serves_again_when_it_is_back(
    front: HostProcess, transformers: TransformersServer, sdk: openai.OpenAI
) -> None:
    with sdk.chat.completions.create(**ENDLESS, stream=True) as stream:
        next(stream)
        transformers.kill()
        with pytest.raises(openai.APIError, match="broke in the middle of an answer"):
            list(stream)
    wait_until(lambda: state_of(front) == "degraded", "the host knows that the server has gone", 20)

    transformers.start()

    answer = sdk.chat.completions.create(model="org-tiny", messages=QUESTION, temperature=0)
    assert answer.choices[0].message.content == ANSWER
    wait_until(lambda: state_of(front) == "ready", "the host knows that the server is back", 20)
