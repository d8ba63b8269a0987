"""Inference and its models through the SDK; one test module for each kind of call."""

from importlib.metadata import version
from typing import Any

import llama_stack_client
import pytest
from llama_stack_client import LlamaStackClient
from llama_stack_client.types import BatchCompletion, BatchInferenceChatCompletionResponse, EmbeddingsResponse
from llama_stack_client.types.inference_chat_completion_response import (
    ChatCompletionResponse,
    ChatCompletionResponseStreamChunk,
)
from llama_stack_client.types.inference_completion_response import CompletionResponseStreamChunk

from tests.sdk.decoded import all_whole, whole

WEATHER = [{"tool_name": "get_weather", "description": "of a city", "parameters": {"city": {"param_type": "string"}}}]


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_release_is_one_that_speaks_the_native_surface() -> None:
    assert version("llama-stack-client") in {"0.0.53", "0.0.57", "0.0.58"}


# --- whole answers ---


def test_chat_answers_a_completion_message(client: LlamaStackClient) -> None:
    answer = whole(
        client.inference.chat_completion(model_id="scripted", messages=user("hello there")), ChatCompletionResponse
    )

    message = answer.completion_message
    assert (message.role, message.content, message.stop_reason) == ("assistant", "hello there", "end_of_turn")
    assert (message.tool_calls, answer.logprobs) == ([], None)


def test_completion_has_log_probabilities_per_token(client: LlamaStackClient) -> None:
    # The first type that the SDK knows for this answer is `CompletionResponse`.
    answer = client.inference.completion(model_id="scripted", content="hello there", logprobs={"top_k": 1})

    answer.model_validate(answer.to_dict())
    assert (answer.content, answer.stop_reason) == ("hello there", "end_of_turn")
    assert ["".join(token.logprobs_by_token) for token in answer.logprobs or []] == ["hello", " there"]


def test_embeddings_answer_a_vector_for_each_content(client: LlamaStackClient) -> None:
    answer = whole(client.inference.embeddings(model_id="odd/m", contents=["abc", ["de", "f"]]), EmbeddingsResponse)

    assert answer.embeddings == [[3.0, -0.5], [4.0, -0.5]]


def test_call_of_a_tool_has_its_arguments_and_deeper_ones_as_text(client: LlamaStackClient) -> None:
    tools: list[Any] = [{"tool_name": "brave_search"}]

    answer = whole(
        client.inference.chat_completion(model_id="scripted", messages=user("news"), tools=tools),
        ChatCompletionResponse,
    )

    [call] = answer.completion_message.tool_calls
    assert call.tool_name == "brave_search"
    assert call.arguments == {"query": "news", "since": {"year": 2024, "days": "[1, [2]]"}}


@pytest.mark.parametrize("image", ["data:image/png;base64,AA==", {"uri": "data:image/png;base64,AA=="}])
def test_image_is_understood_in_both_forms(image: Any, client: LlamaStackClient) -> None:
    messages: list[Any] = [{"role": "user", "content": ["look", {"image": image}]}]

    with pytest.raises(llama_stack_client.InternalServerError, match="does not support vision"):
        client.inference.chat_completion(model_id="scripted", messages=messages)


# --- streams ---


def test_streamed_chat_goes_from_start_to_complete(client: LlamaStackClient) -> None:
    chunks = all_whole(
        client.inference.chat_completion(model_id="scripted", messages=user("hello there"), stream=True),
        ChatCompletionResponseStreamChunk,
    )

    assert [chunk.event.event_type for chunk in chunks] == ["start", "progress", "progress", "complete"]
    assert "".join(str(chunk.event.delta) for chunk in chunks) == "hello there"
    assert chunks[-1].event.stop_reason == "end_of_turn"


def test_streamed_completion_says_at_its_end_why_it_ended(client: LlamaStackClient) -> None:
    sampling: Any = {"strategy": "greedy", "max_tokens": 2}

    chunks = all_whole(
        client.inference.completion(model_id="scripted", content="a b c d", sampling_params=sampling, stream=True),
        CompletionResponseStreamChunk,
    )

    assert "".join(chunk.delta for chunk in chunks) == "a b"
    assert [chunk.stop_reason for chunk in chunks if chunk.stop_reason] == ["out_of_tokens"]


def test_tool_call_is_the_same_whole_and_streamed(client: LlamaStackClient) -> None:
    tools: Any = WEATHER
    answer = client.inference.chat_completion(model_id="scripted", messages=user("weather"), tools=tools)
    [called] = answer.completion_message.tool_calls

    chunks = all_whole(
        client.inference.chat_completion(model_id="scripted", messages=user("weather"), tools=tools, stream=True),
        ChatCompletionResponseStreamChunk,
    )

    deltas: list[Any] = [chunk.event.delta for chunk in chunks if chunk.event.event_type == "progress"]
    streamed = deltas[-1].content
    assert [delta.parse_status for delta in (deltas[0], deltas[-1])] == ["started", "success"]
    assert (called.tool_name, called.arguments) == ("get_weather", {"city": "Oslo"})
    assert (streamed.tool_name, streamed.arguments) == (called.tool_name, called.arguments)


def test_stream_that_the_backend_cuts_ends_in_an_error(client: LlamaStackClient) -> None:
    chunks: list[Any] = list(client.inference.chat_completion(model_id="scripted", messages=user("break"), stream=True))

    all_whole(chunks[:-1], ChatCompletionResponseStreamChunk)
    assert "broke off" in chunks[-1].error["message"]


# --- batches ---


def test_batch_of_chats_answers_one_message_each(client: LlamaStackClient) -> None:
    answer = whole(
        client.batch_inference.chat_completion(model="scripted", messages_batch=[user("one"), user("two")]),
        BatchInferenceChatCompletionResponse,
    )

    assert [message.content for message in answer.completion_message_batch] == ["one", "two"]


def test_batch_of_completions_answers_one_message_each(client: LlamaStackClient) -> None:
    answer = whole(client.batch_inference.completion(model="scripted", content_batch=["one", "two"]), BatchCompletion)

    assert [message.content for message in answer.completion_message_batch] == ["one", "two"]


# --- refusals ---


def test_unknown_model_is_a_400_that_names_it(client: LlamaStackClient) -> None:
    with pytest.raises(llama_stack_client.BadRequestError, match="`nobody` not served by"):
        client.inference.chat_completion(model_id="nobody", messages=user("hello"))


def test_unknown_model_of_a_stream_is_its_one_event(client: LlamaStackClient) -> None:
    chunks: list[Any] = list(client.inference.chat_completion(model_id="nobody", messages=user("hi"), stream=True))

    assert [chunk.error["message"][:35] for chunk in chunks] == ["400: Invalid value: Model `nobody` "]


def test_provider_data_comes_per_client_or_per_call_and_is_refused_when_malformed(client: LlamaStackClient) -> None:
    with LlamaStackClient(base_url=client.base_url, provider_data={"key": "k"}, max_retries=0, timeout=30) as other:
        other.inference.chat_completion(model_id="scripted", messages=user("hi"))
    client.inference.chat_completion(
        model_id="scripted", messages=user("hi"), x_llama_stack_provider_data='{"key": "k"}'
    )

    with pytest.raises(llama_stack_client.BadRequestError, match="ProviderData is not JSON"):
        client.inference.chat_completion(model_id="scripted", messages=user("hi"), x_llama_stack_provider_data="{")
