"""llama.cpp's server behind a real host: the surfaces of OpenAI and llama-stack, with the clients that people use."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pytest
from llama_stack_client import LlamaStackClient

from tests.processes import HostProcess, wait_until
from tests.real_servers.servers import CONTEXT_TOKENS, LlamaCppServer, host_before, state_of

QUESTION: Any = [{"role": "user", "content": "What is Hitchpost?"}]
ANSWER = "Hitchpost is a host for Llama models: every backend is a plugin, and one server stands in front of them all."
# The last ids are the special tokens: without them an answer ends only where its bound is.
NEVER_END = {str(token): -100 for token in range(2040, 2048)}
ENDLESS: Any = {"model": "tiny", "messages": QUESTION, "logit_bias": NEVER_END, "max_tokens": 4000}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "boolean"}, "why": {"enum": ["a", "b"]}},
    "required": ["answer", "why"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def llama_cpp() -> Iterator[LlamaCppServer]:
    with LlamaCppServer() as server:
        yield server


@pytest.fixture(scope="module")
def front(llama_cpp: LlamaCppServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with host_before(tmp_path_factory.mktemp("front"), "remote::openai", llama_cpp.url, model_id="tiny") as host:
        yield host


def test_model_is_discovered_with_its_context(native: LlamaStackClient) -> None:
    listed = {model.identifier: model for model in native.models.list()}

    assert listed["tiny"].provider_resource_id == "tiny"
    assert listed["tiny"].metadata["context_length"] == CONTEXT_TOKENS


def test_chat_whole(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="tiny", messages=QUESTION, temperature=0)

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (ANSWER, "stop")
    assert answer.usage.prompt_tokens == 14
    assert answer.usage.completion_tokens == 25
    assert answer.usage.prompt_tokens_details.cached_tokens <= 13


def test_chat_streamed(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.create(
        model="tiny", messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in told) == ANSWER
    assert len([choice for choice in told if choice.delta.content]) > 10
    assert told[-1].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 25


@pytest.mark.parametrize("stream", [False, True])
def test_native_chat(native: LlamaStackClient, stream: bool) -> None:
    sampling = {"strategy": "greedy", "max_tokens": 4}

    answer = native.inference.chat_completion(
        model_id="tiny", messages=QUESTION, sampling_params=sampling, stream=stream
    )

    if stream:
        events = [chunk.event for chunk in answer]
        text, reason = "".join(event.delta for event in events), events[-1].stop_reason
    else:
        text, reason = answer.completion_message.content, answer.completion_message.stop_reason
    assert (text, reason) == ("Hitchpost is a host", "out_of_tokens")


@pytest.mark.parametrize("stream", [False, True])
def test_native_completion_with_log_probabilities(native: LlamaStackClient, stream: bool) -> None:
    asked: Any = {"sampling_params": {"strategy": "greedy", "max_tokens": 3}, "logprobs": {"top_k": 2}}

    answer = native.inference.completion(model_id="tiny", content="Hitchpost is", stream=stream, **asked)

    chunks = list(answer) if stream else [answer]
    text = "".join(chunk.delta if stream else chunk.content for chunk in chunks)
    tops = [top.logprobs_by_token for chunk in chunks for top in chunk.logprobs or ()]
    assert text == "".join(max(top, key=top.__getitem__) for top in tops)
    assert [len(top) for top in tops] == [2, 2, 2]
    assert chunks[-1].stop_reason == "out_of_tokens"


@pytest.mark.parametrize("stream", [False, True])
def test_chat_with_log_probabilities(sdk: openai.OpenAI, stream: bool) -> None:
    answer = sdk.chat.completions.create(
        model="tiny", messages=QUESTION, temperature=0, max_tokens=2, logprobs=True, top_logprobs=2, stream=stream
    )

    choices = [chunk.choices[0] for chunk in answer if chunk.choices] if stream else [answer.choices[0]]
    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content]
    assert [token.token for token in tokens] == ["Hitchpost", " is"]
    assert all(len(token.top_logprobs) == 2 for token in tokens)
    assert all(token.top_logprobs[0].logprob == token.logprob <= 0 for token in tokens)
    assert bytes(tokens[0].bytes) == b"Hitchpost"


def test_answer_keeps_to_a_json_schema(sdk: openai.OpenAI, native: LlamaStackClient) -> None:
    openai_form: Any = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": SCHEMA, "strict": True}}
    native_form: Any = {"type": "json_schema", "json_schema": SCHEMA}
    one = sdk.chat.completions.create(model="tiny", messages=QUESTION, temperature=0, response_format=openai_form)
    other = native.inference.chat_completion(model_id="tiny", messages=QUESTION, response_format=native_form)

    for text in (one.choices[0].message.content, other.completion_message.content):
        jsonschema.validate(json.loads(text), SCHEMA)


@pytest.mark.parametrize("stream", [False, True])
def test_stop_string_is_not_in_the_answer(sdk: openai.OpenAI, stream: bool) -> None:
    answer = sdk.chat.completions.create(
        model="tiny", messages=QUESTION, temperature=0, stop=["for Llama"], stream=stream
    )

    if stream:
        choices = [chunk.choices[0] for chunk in answer if chunk.choices]
        text, reason = "".join(choice.delta.content or "" for choice in choices), choices[-1].finish_reason
    else:
        text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert (text, reason) == ("Hitchpost is a host ", "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_prompt_that_the_server_does_not_repeat_is_repeated(sdk: openai.OpenAI, stream: bool) -> None:
    answer = sdk.completions.create(
        model="tiny", prompt="Hitchpost is", echo=True, max_tokens=3, temperature=0, stream=stream
    )

    text = "".join(chunk.choices[0].text for chunk in answer) if stream else answer.choices[0].text
    assert text == "Hitchpost is for developers who"


def test_several_answers_at_once_and_the_same_seed_again(sdk: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": QUESTION, "temperature": 2, "seed": 7, "max_tokens": 12, "n": 2}

    first, second = (sdk.chat.completions.create(**asked) for _ in range(2))

    assert [choice.index for choice in first.choices] == [0, 1]
    assert [choice.message.content for choice in first.choices] == [choice.message.content for choice in second.choices]


def test_fields_of_open_servers_have_an_effect(native: LlamaStackClient) -> None:
    said = [
        native.inference.chat_completion(
            model_id="tiny",
            messages=QUESTION,
            sampling_params={"strategy": "greedy", "max_tokens": 20, "repetition_penalty": penalty},
        ).completion_message.content
        for penalty in (1.0, 3.0)
    ]

    assert said[0] != said[1]


def test_conversation_with_tools_and_their_results_is_understood(native: LlamaStackClient, sdk: openai.OpenAI) -> None:
    tool: Any = {"tool_name": "get_weather", "parameters": {"city": {"param_type": "string", "required": True}}}
    call: Any = {"call_id": "c1", "tool_name": "get_weather", "arguments": {"city": "Oslo"}}
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        *QUESTION,
        {"role": "assistant", "content": "", "stop_reason": "end_of_message", "tool_calls": [call]},
        {"role": "ipython", "call_id": "c1", "tool_name": "get_weather", "content": "rain"},
    ]
    plain = sdk.chat.completions.create(model="tiny", messages=QUESTION, max_tokens=1)

    answer = sdk.chat.completions.create(
        model="tiny",
        max_tokens=5,
        tools=[{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
        messages=[
            *messages[:2],
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
    )
    natively = native.inference.chat_completion(
        model_id="tiny", messages=messages, tools=[tool], sampling_params={"strategy": "greedy", "max_tokens": 5}
    )

    assert answer.usage.prompt_tokens > plain.usage.prompt_tokens + 50
    assert answer.choices[0].message.content
    assert natively.completion_message.content


def test_embeddings(sdk: openai.OpenAI, native: LlamaStackClient) -> None:
    answer = sdk.embeddings.create(model="tiny", input=["a horse", "a post"])
    natively = native.inference.embeddings(model_id="tiny", contents=["a horse", "a post"])

    assert [len(item.embedding) for item in answer.data] == [192, 192]
    assert answer.usage.prompt_tokens > 0
    assert natively.embeddings[1] == pytest.approx(answer.data[1].embedding, abs=1e-6)
    assert answer.data[0].embedding != answer.data[1].embedding


@pytest.mark.parametrize("stream", [False, True])
def test_prompt_that_is_too_long_is_refused_with_the_servers_words(sdk: openai.OpenAI, stream: bool) -> None:
    long: Any = [{"role": "user", "content": "word " * CONTEXT_TOKENS}]

    with pytest.raises(openai.BadRequestError, match="exceeds the available context size"):
        sdk.chat.completions.create(model="tiny", messages=long, stream=stream)


def test_image_for_a_model_that_can_not_see_is_refused(sdk: openai.OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}

    with pytest.raises(openai.BadRequestError, match="image input is not supported"):
        sdk.chat.completions.create(model="tiny", messages=[{"role": "user", "content": [image]}])


def test_model_that_is_not_there_is_refused(sdk: openai.OpenAI, native: LlamaStackClient) -> None:
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.create(model="huge", messages=QUESTION)
    with pytest.raises(Exception, match="it lists tiny"):
        native.models.register(model_id="huge", provider_id="behind", provider_model_id="huge")


def test_server_stops_when_the_client_leaves_a_stream(llama_cpp: LlamaCppServer, sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.create(**ENDLESS, stream=True) as answer:
        next(answer)
        assert llama_cpp.busy() == 1

    wait_until(lambda: llama_cpp.busy() == 0, "the server is idle", 2)


def test_host_lets_go_of_a_whole_answer_when_the_client_leaves(front: HostProcess) -> None:
    # The server itself goes on to the end of an answer that it doesn't stream.
    with (
        openai.OpenAI(base_url=f"{front.url}/v1", api_key="unused", max_retries=0, timeout=0.2) as hasty,
        pytest.raises(openai.APITimeoutError),
    ):
        hasty.chat.completions.create(**{**ENDLESS, "max_tokens": 2000})

    wait_until(lambda: front.metric("hitchpost_gate_running") == 0, "no request runs", 2)


def test_server_that_dies_in_mid_stream_is_told_and_serves_again_when_it_is_back(
    front: HostProcess, llama_cpp: LlamaCppServer, sdk: openai.OpenAI
) -> None:
    asked: Any = {"model": "tiny", "messages": QUESTION, "temperature": 0}
    with sdk.chat.completions.create(**ENDLESS, stream=True) as stream:
        next(stream)
        llama_cpp.kill()
        with pytest.raises(openai.APIError, match="broke in the middle of an answer"):
            list(stream)
    wait_until(lambda: state_of(front) == "degraded", "the host knows that the server has gone", 20)
    with pytest.raises(openai.InternalServerError, match="can't be reached") as refused:
        sdk.chat.completions.create(**asked)

    llama_cpp.start()

    assert refused.value.status_code == 503
    assert sdk.chat.completions.create(**asked).choices[0].message.content == ANSWER
    wait_until(lambda: state_of(front) == "ready", "the host knows that the server is back", 20)
