"""The newest `openai` SDK against a host that runs the real engine on the model in the wheel."""

import asyncio
from array import array
from base64 import b64decode
from collections.abc import Iterator

import openai
import pytest

from tests.processes import HostProcess

MODEL = "tiny-llama"
EMBEDDING_MODEL = "all-MiniLM-L6-v2"
QUESTION = [{"role": "user", "content": "What is Hitchpost?"}]


@pytest.fixture
def client(tiny_host: HostProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=tiny_host.url + "/v1", api_key="unused", max_retries=0, timeout=60) as client:
        yield client


def test_chat_answers_a_whole_sentence_and_ends_its_turn(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)

    choice = answer.choices[0]
    assert "Hitchpost" in choice.message.content
    assert choice.message.content.endswith(".")
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 2


def test_streamed_chat_spells_the_whole_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)

    with client.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_completion_continues_a_text(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="Hitchpost is", max_tokens=8, temperature=0)

    assert answer.choices[0].text
    assert answer.usage.completion_tokens <= 8


def test_completion_of_two_prompts_numbers_the_choices(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=MODEL, prompt=["Hitchpost is", "A provider"], max_tokens=4, temperature=0, n=2
    )

    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]


def test_several_choices_with_a_seed_come_again(client: openai.OpenAI) -> None:
    asked = {"model": MODEL, "messages": QUESTION, "n": 3, "seed": 7, "temperature": 1.5, "max_tokens": 20}

    first, second = client.chat.completions.create(**asked), client.chat.completions.create(**asked)

    texts = [choice.message.content for choice in first.choices]
    assert len(texts) == 3
    assert texts == [choice.message.content for choice in second.choices]


def test_log_probabilities_belong_to_the_tokens_of_the_text(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, logprobs=True, top_logprobs=3
    )

    tokens = answer.choices[0].logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == answer.choices[0].message.content
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)


def test_stop_text_is_not_in_the_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0).choices[0].message.content
    stop = whole[8:14]

    cut = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, stop=stop).choices[0]

    assert cut.message.content == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"


def test_models_are_listed_and_found_by_id(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]

    assert MODEL in listed
    assert client.models.retrieve(MODEL).object == "model"


def test_unknown_model_is_a_404_that_names_the_registered_ones(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="nobody", messages=QUESTION)

    assert MODEL in str(refused.value)
    assert refused.value.request_id


def test_unknown_model_is_a_404_when_streamed_too(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=QUESTION, stream=True)


def test_embeddings_arrive_as_numbers_and_as_base64(client: openai.OpenAI) -> None:
    texts = ["A cat sleeps on the sofa.", "The kitten naps on the couch.", "Interest rates rose again."]

    decoded = client.embeddings.create(model=EMBEDDING_MODEL, input=texts)
    floats = client.embeddings.create(model=EMBEDDING_MODEL, input=texts, encoding_format="float")
    packed = client.embeddings.create(model=EMBEDDING_MODEL, input=texts, encoding_format="base64")

    vectors = [one.embedding for one in floats.data]
    assert [len(vector) for vector in vectors] == [384, 384, 384]
    assert [one.embedding for one in decoded.data] == vectors
    assert [list(array("f", b64decode(one.embedding))) for one in packed.data] == vectors
    assert cosine(vectors[0], vectors[1]) > 0.5 > cosine(vectors[0], vectors[2])
    assert floats.usage.total_tokens == floats.usage.prompt_tokens > 15


def cosine(one: list[float], other: list[float]) -> float:
    """Of vectors of length 1."""
    return sum(left * right for left, right in zip(one, other, strict=True))


def test_llama_makes_vectors_too(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input="What is Hitchpost?")

    vector = answer.data[0].embedding
    assert cosine(vector, vector) == pytest.approx(1, abs=1e-5)


def test_shorter_vectors_are_unsupported_and_name_the_field(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=EMBEDDING_MODEL, input="text", dimensions=64)

    assert (refused.value.code, refused.value.param) == ("unsupported", "dimensions")


def test_chat_with_an_embedding_model_is_unsupported_and_not_retried(tiny_host: HostProcess) -> None:
    with (
        openai.OpenAI(base_url=tiny_host.url + "/v1", api_key="unused", max_retries=5) as client,
        pytest.raises(openai.BadRequestError) as refused,
    ):
        client.chat.completions.create(model=EMBEDDING_MODEL, messages=QUESTION)

    assert refused.value.code == "unsupported"


def test_json_schema_is_unsupported_and_names_the_field(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        )

    assert (refused.value.code, refused.value.param) == ("unsupported", "response_format")


async def test_32_streams_at_once_all_end_and_agree(tiny_host: HostProcess) -> None:
    async with openai.AsyncOpenAI(
        base_url=tiny_host.url + "/v1", api_key="unused", max_retries=0, timeout=120
    ) as client:

        async def ask() -> str:
            stream = await client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        answers = await asyncio.gather(*(ask() for _ in range(32)))

    assert set(answers) == {answers[0]}
    assert answers[0].endswith(".")
