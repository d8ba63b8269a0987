"""`llama-stack-client` 0.0.53, the release of the wire format that the native surface speaks, against a real host."""

from collections.abc import Iterator
from importlib.metadata import version

import llama_stack_client
import pytest
from llama_stack_client import LlamaStackClient

from tests.processes import HostProcess

RUN_CONFIG = """
version: '2'
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models: [scripted, scripted-two]
      script:
      - {when: weather, tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}
      - {when: break, text: one two three, fault: {kind: cut, after_events: 2}}
      - {echo: true}
"""
WEATHER = [{"tool_name": "get_weather", "description": "of a city", "parameters": {"city": {"param_type": "string"}}}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaStackClient]:
    with (
        HostProcess(tmp_path_factory.mktemp("host"), RUN_CONFIG) as host,
        LlamaStackClient(base_url=host.url, max_retries=0, timeout=30) as client,
    ):
        yield client


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_this_is_the_release_that_is_meant() -> None:
    assert version("llama-stack-client") == "0.0.53"


def test_chat_answers_a_completion_message(client: LlamaStackClient) -> None:
    message = client.inference.chat_completion(model_id="scripted", messages=user("hello there")).completion_message

    assert (message.role, message.content, message.stop_reason) == ("assistant", "hello there", "end_of_turn")


def test_streamed_chat_goes_from_start_to_complete(client: LlamaStackClient) -> None:
    chunks = list(client.inference.chat_completion(model_id="scripted", messages=user("hello there"), stream=True))

    assert [chunk.event.event_type for chunk in chunks] == ["start", "progress", "progress", "complete"]
    assert "".join(chunk.event.delta for chunk in chunks) == "hello there"
    assert chunks[-1].event.stop_reason == "end_of_turn"


def test_completion_has_log_probabilities_per_token(client: LlamaStackClient) -> None:
    answer = client.inference.completion(model_id="scripted", content="hello there", logprobs={"top_k": 1})

    assert answer.content == "hello there"
    assert ["".join(token.logprobs_by_token) for token in answer.logprobs or []] == ["hello", " there"]


def test_streamed_completion_says_at_its_end_why_it_ended(client: LlamaStackClient) -> None:
    sampling = {"strategy": "greedy", "max_tokens": 2}

    chunks = list(
        client.inference.completion(model_id="scripted", content="a b c d", sampling_params=sampling, stream=True)
    )

    assert "".join(chunk.delta for chunk in chunks) == "a b"
    assert [chunk.stop_reason for chunk in chunks if chunk.stop_reason] == ["out_of_tokens"]


def test_tool_call_is_the_same_whole_and_streamed(client: LlamaStackClient) -> None:
    [whole] = client.inference.chat_completion(
        model_id="scripted", messages=user("weather"), tools=WEATHER
    ).completion_message.tool_calls

    chunks = list(
        client.inference.chat_completion(model_id="scripted", messages=user("weather"), tools=WEATHER, stream=True)
    )

    deltas = [chunk.event.delta for chunk in chunks if chunk.event.event_type == "progress"]
    streamed = deltas[-1].content
    assert [delta.parse_status for delta in (deltas[0], deltas[-1])] == ["started", "success"]
    assert (whole.tool_name, whole.arguments) == ("get_weather", {"city": "Oslo"})
    assert (streamed.tool_name, streamed.arguments) == (whole.tool_name, whole.arguments)


def test_models_are_registered_found_listed_and_unregistered(client: LlamaStackClient) -> None:
    registered = client.models.register(model_id="mine", provider_id="scripted", provider_model_id="scripted-two")

    assert client.models.retrieve(identifier="mine") == registered
    assert "mine" in [model.identifier for model in client.models.list()]
    client.models.unregister(model_id="mine")
    assert client.models.retrieve(identifier="mine") is None


def test_unknown_model_is_a_400_that_names_it(client: LlamaStackClient) -> None:
    with pytest.raises(llama_stack_client.BadRequestError, match="`nobody` not served by"):
        client.inference.chat_completion(model_id="nobody", messages=user("hello"))


def test_stream_that_the_backend_cuts_ends_in_an_error(client: LlamaStackClient) -> None:
    chunks = list(client.inference.chat_completion(model_id="scripted", messages=user("break"), stream=True))

    assert "broke off" in chunks[-1].error["message"]


def test_host_is_inspected(client: LlamaStackClient) -> None:
    assert client.inspect.health().status == "OK"
    assert [provider.provider_id for provider in client.providers.list()["inference"]] == ["scripted"]
    assert "/alpha/inference/completion" in [route.route for route in client.routes.list()["inference"]]
