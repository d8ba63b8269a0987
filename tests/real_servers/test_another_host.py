"""A host with a real engine behind another host: what both surfaces can say survives both ways."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from llama_stack_client import APIStatusError, LlamaStackClient

from tests.processes import HostProcess, children_of, is_alive, wait_until
from tests.real_servers.servers import host_before, state_of

QUESTION: Any = [{"role": "user", "content": "What is Hitchpost?"}]
# The last ids are the special tokens: without them an answer ends only where its bound is.
ENDLESS: Any = {
    "model": "far",
    "messages": QUESTION,
    "logit_bias": {str(token): -100 for token in range(2040, 2048)},
    "max_tokens": 1500,
}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A host without a run config, which serves `tiny-llama`."""
    with HostProcess(tmp_path_factory.mktemp("behind")) as host:
        yield host


@pytest.fixture(scope="module")
def front(behind: HostProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    names = {"model_id": "far", "provider_model_id": "tiny-llama"}
    with host_before(tmp_path_factory.mktemp("front"), "remote::openai", behind.url, **names) as host:
        yield host


@pytest.fixture
def direct(behind: HostProcess) -> Iterator[openai.OpenAI]:
    """It calls the host behind."""
    with openai.OpenAI(base_url=f"{behind.url}/v1", api_key="unused", max_retries=0, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": 0},
        {"temperature": 0, "stop": ["every"]},
        {"temperature": 0, "max_tokens": 5, "logprobs": True, "top_logprobs": 3},
        {"temperature": 1.5, "seed": 7, "n": 3, "max_tokens": 8},
        {"temperature": 1, "top_p": 0.5, "seed": 3, "frequency_penalty": 0.5, "presence_penalty": 0.5},
    ],
    ids=["plain", "stop", "log probabilities", "several", "penalties"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_chat_is_what_the_host_behind_answers(
    sdk: openai.OpenAI, direct: openai.OpenAI, asked: Any, stream: bool
) -> None:
    near, far = (
        answered(client.chat.completions.create(model=model, messages=QUESTION, stream=stream, **asked))
        for client, model in ((direct, "tiny-llama"), (sdk, "far"))
    )

    assert far == near


def answered(answer: Any) -> list[Any]:
    """What was said, of each choice; of pieces, together."""
    if hasattr(answer, "choices"):
        return [
            (choice.message.content, choice.finish_reason, choice.logprobs and choice.logprobs.model_dump())
            for choice in answer.choices
        ]
    said: dict[int, list[Any]] = {}
    for chunk in answer:
        for choice in chunk.choices:
            text = said.setdefault(choice.index, ["", None, []])
            text[0] += choice.delta.content or ""
            text[1] = choice.finish_reason or text[1]
            text[2] += [token.model_dump() for token in choice.logprobs.content] if choice.logprobs else []
    return [said[index] for index in sorted(said)]


@pytest.mark.parametrize("stream", [False, True])
def test_native_completion_with_log_probabilities(native: LlamaStackClient, stream: bool) -> None:
    asked: Any = {"sampling_params": {"strategy": "greedy", "max_tokens": 3}, "logprobs": {"top_k": 2}}

    answer = native.inference.completion(model_id="far", content="Hitchpost is", stream=stream, **asked)

    chunks = list(answer) if stream else [answer]
    tops = [top.logprobs_by_token for chunk in chunks for top in chunk.logprobs or ()]
    assert "".join(chunk.delta if stream else chunk.content for chunk in chunks) == "".join(
        max(top, key=top.__getitem__) for top in tops
    )
    assert len(tops) == 3
    assert chunks[-1].stop_reason == "out_of_tokens"


def test_what_the_host_behind_does_not_support_the_front_does_not_either(native: LlamaStackClient) -> None:
    with pytest.raises(APIStatusError, match="does not support json_schema") as refused:
        native.inference.chat_completion(
            model_id="far",
            messages=QUESTION,
            response_format={"type": "json_schema", "json_schema": {"type": "object"}},
        )

    assert refused.value.status_code == 501


def test_usage_is_that_of_the_host_behind(sdk: openai.OpenAI, direct: openai.OpenAI) -> None:
    near, far = (
        client.chat.completions.create(model=model, messages=QUESTION, max_tokens=4).usage
        for client, model in ((direct, "tiny-llama"), (sdk, "far"))
    )

    assert (far.prompt_tokens, far.completion_tokens) == (near.prompt_tokens, near.completion_tokens)


def test_prompt_that_is_too_long_is_refused_with_the_words_of_the_host_behind(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="tokens"):
        sdk.chat.completions.create(model="far", messages=[{"role": "user", "content": "word " * 3000}])


@pytest.mark.parametrize("stream", [False, True])
def test_engine_behind_stops_when_the_client_leaves(front: HostProcess, behind: HostProcess, stream: bool) -> None:
    def is_busy() -> bool:
        return behind.metric("hitchpost_provider_choices_running") > 0

    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="unused", max_retries=0, timeout=0.5) as hasty:
        if stream:
            with hasty.chat.completions.create(**ENDLESS, stream=True) as answer:
                next(answer)
                wait_until(is_busy, "the engine works", 5)
        else:
            with pytest.raises(openai.APITimeoutError):
                hasty.chat.completions.create(**ENDLESS)

    wait_until(lambda: not is_busy(), "the engine is idle", 5)


def test_host_behind_that_is_killed_in_mid_stream_is_told_and_serves_again_when_it_is_back(
    front: HostProcess, behind: HostProcess, sdk: openai.OpenAI
) -> None:
    before = sdk.chat.completions.create(model="far", messages=QUESTION, temperature=0)
    with sdk.chat.completions.create(**ENDLESS, stream=True) as stream:
        next(stream)
        engines = children_of(behind.process.pid)
        behind.process.kill()
        with pytest.raises(openai.APIError, match="broke in the middle of an answer"):
            list(stream)
    behind.process.wait()
    wait_until(lambda: state_of(front) == "degraded", "the front knows that the host behind has gone", 20)

    wait_until(lambda: not any(map(is_alive, engines)), "the engine has ended too")
    behind.__enter__()
    after = sdk.chat.completions.create(model="far", messages=QUESTION, temperature=0)

    assert after.choices[0].message.content == before.choices[0].message.content
    wait_until(lambda: state_of(front) == "ready", "the front knows that the host behind is back", 20)
