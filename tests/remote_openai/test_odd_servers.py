"""The provider in front of servers that leave out, keep or rename what OpenAI's own does not; each habit was seen in a real server."""

from collections.abc import Callable
from typing import Any

import pytest

from hitchpost.api import (
    CompletionRequest,
    EmbeddingsRequest,
    Finish,
    FinishReason,
    LogProbConfig,
    SamplingParams,
    TextDelta,
)
from hitchpost.errors import BadBackendAnswerError, UnsupportedError
from tests.remote_openai.conftest import context

Start = Callable[..., Any]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("personality", ["openai", "transformers"])
async def test_stop_string_is_not_in_the_text(behind: Start, personality: str, stream: bool) -> None:
    served = await behind("openai", personality)
    params = {"stop": ["e tw"]}

    if stream:
        events = await served.stream("one two three", sampling_params=params)
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        [reason] = [event.reason for event in events if isinstance(event, Finish)]
    else:
        answer = await served.chat("one two three", sampling_params=params)
        text, reason = answer.choices[0].text, answer.choices[0].finish_reason

    assert (text, reason) == ("You said: on", FinishReason.stop)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("personality", ["vllm", "llamacpp", "transformers"])
async def test_text_begins_with_the_prompt_where_it_is_to_be_repeated(
    behind: Start, personality: str, stream: bool
) -> None:
    served = await behind("vllm", personality)
    params = SamplingParams(stop=["two"], max_tokens=2, n=2 if personality != "transformers" else 1)
    asked = CompletionRequest(model_id="m", content="one two", sampling_params=params, echo=True, stream=stream)

    if stream:
        events = [event async for event in served.provider.stream_completion(asked, context())]
        texts = [
            "".join(event.text for event in events if isinstance(event, TextDelta) and event.choice == choice)
            for choice in range(params.n)
        ]
    else:
        texts = [choice.text for choice in (await served.provider.completion(asked, context())).choices]

    assert texts == ["one twoand so"] * params.n


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("personality", ["vllm", "llamacpp"])
async def test_log_probabilities_of_a_completion_are_read(behind: Start, personality: str, stream: bool) -> None:
    served = await behind("openai", personality)
    asked = CompletionRequest(model_id="m", content="one", logprobs=LogProbConfig(top_k=2), stream=stream)

    if stream:
        events = [event async for event in served.provider.stream_completion(asked, context())]
        tokens = [token for event in events if isinstance(event, TextDelta) for token in event.logprobs or ()]
    else:
        tokens = (await served.provider.completion(asked, context())).choices[0].logprobs

    assert [token.token for token in tokens] == ["and", " so", " on:", " one"]
    assert all(len(token.top) == 2 for token in tokens)


async def test_missing_answers_are_told(behind: Start) -> None:
    served = await behind("openai", "transformers")

    with pytest.raises(BadBackendAnswerError, match="gave 1 of 3 answers"):
        await served.chat(sampling_params={"n": 3})


async def test_route_that_the_server_lacks_is_unsupported(behind: Start) -> None:
    served = await behind("openai", "transformers")

    with pytest.raises(UnsupportedError, match="doesn't serve embeddings"):
        await served.provider.embeddings(EmbeddingsRequest(model_id="e", contents=["a"]), context())


async def test_image_for_a_model_that_can_not_see_is_unsupported(behind: Start) -> None:
    served = await behind("openai", "llamacpp")
    served.fake.sees_images = False
    image = {"role": "user", "content": {"image": {"uri": "data:image/png;base64,AA"}}}

    with pytest.raises(UnsupportedError, match="image input is not supported"):
        await served.chat(messages=[image])


async def test_penalty_of_repetitions_is_sent_under_each_name(behind: Start) -> None:
    served = await behind("openai", "llamacpp")

    await served.chat(sampling_params={"repetition_penalty": 1.5})

    assert served.fake.asked[0].items() >= {"repetition_penalty": 1.5, "repeat_penalty": 1.5}.items()
