"""Vectors through a real engine process: MiniLM as sentence-transformers computes it, and a Llama's mean."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from hitchpost.api import CompletionRequest, EmbeddingsRequest, Model, RequestContext
from hitchpost.errors import BackendUnavailableError, BadRequestError, UnsupportedError
from hitchpost.plugin import ProviderDeps
from hitchpost_meta_reference.engine.tokenizer import load_tokenizer
from hitchpost_meta_reference.inference.config import MetaReferenceInferenceConfig
from hitchpost_meta_reference.inference.provider import MetaReferenceInference
from hitchpost_meta_reference.inference.vectors import MAX_TEXTS
from tests.meta_reference.minilm import (
    DIMENSION,
    MAX_TOKENS,
    Recorded,
    largest_difference,
    minilm_folder,
    recorded_vectors,
)
from tests.meta_reference.parrot import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTEXT = RequestContext(request_id="test")
CLOSE = 1e-5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def minilm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MetaReferenceInference]:
    """A provider that serves the installed MiniLM."""
    config = MetaReferenceInferenceConfig(model="all-MiniLM-L6-v2", checkpoint_dir=minilm_folder(), device="cpu")
    state = tmp_path_factory.getbasetemp() / "minilm"
    provider = MetaReferenceInference(
        config, ProviderDeps(provider_id="minilm", state_dir=state, log=logging.getLogger("test"))
    )
    await provider.start()
    yield provider
    await provider.stop()


def request(*texts: str, **fields: object) -> EmbeddingsRequest:
    return EmbeddingsRequest.model_validate({"model_id": "all-MiniLM-L6-v2", "contents": texts, **fields})


async def vectors(provider: MetaReferenceInference, *texts: str) -> list[list[float]]:
    return (await provider.embeddings(request(*texts), CONTEXT)).embeddings


@pytest.mark.parametrize("recorded", recorded_vectors(), ids=lambda recorded: recorded.name)
async def test_vector_is_that_of_sentence_transformers(recorded: Recorded, minilm: MetaReferenceInference) -> None:
    [vector] = await vectors(minilm, recorded.text)

    assert largest_difference(vector, recorded.vector) < CLOSE


async def test_texts_of_one_request_have_their_own_vectors_in_their_order(minilm: MetaReferenceInference) -> None:
    recorded = recorded_vectors()

    batch = await vectors(minilm, *(one.text for one in recorded))

    assert largest_difference(batch, [one.vector for one in recorded]) < CLOSE


async def test_vectors_are_those_of_transformers_with_the_same_weights(minilm: MetaReferenceInference) -> None:
    from torch import inference_mode
    from transformers import AutoTokenizer, BertModel

    texts = [f"{'The river is wide. ' * (number % 7)}Question {number}?" for number in range(60)]
    tokenizer, model = AutoTokenizer.from_pretrained(minilm_folder()), BertModel.from_pretrained(minilm_folder()).eval()
    with inference_mode():
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        mask = inputs["attention_mask"].unsqueeze(-1)
        means = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
        expected = (means / means.norm(dim=-1, keepdim=True)).numpy()

    assert largest_difference(await vectors(minilm, *texts), expected) < CLOSE


async def test_vectors_have_length_one(minilm: MetaReferenceInference) -> None:
    made = await vectors(minilm, "one", "a second text", "")

    assert np.linalg.norm(made, axis=1) == pytest.approx([1, 1, 1], abs=1e-6)


async def test_metadata_says_what_the_vectors_are(minilm: MetaReferenceInference) -> None:
    [model] = await minilm.list_models()

    assert model.metadata == {
        "model_type": "embedding",
        "embedding_dimension": DIMENSION,
        "context_length": MAX_TOKENS,
        "capabilities": ["embeddings"],
    }


async def test_usage_counts_the_tokens_up_to_the_limit(minilm: MetaReferenceInference) -> None:
    answer = await minilm.embeddings(request("hello world", "word " * 1000), CONTEXT)

    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4 + MAX_TOKENS, 0)


async def test_no_texts_have_no_vectors(minilm: MetaReferenceInference) -> None:
    assert await vectors(minilm) == []


async def test_own_dimension_may_be_asked_for(minilm: MetaReferenceInference) -> None:
    answer = await minilm.embeddings(request("text", dimensions=DIMENSION), CONTEXT)

    assert len(answer.embeddings[0]) == DIMENSION


@pytest.mark.parametrize(
    ("asked", "error", "param"),
    [
        pytest.param(request("text", dimensions=8), UnsupportedError, "dimensions", id="another dimension"),
        pytest.param(request(*["x"] * (MAX_TEXTS + 1)), BadRequestError, "contents", id="too many texts"),
        pytest.param(request("\ud800"), BadRequestError, None, id="half a surrogate pair"),
    ],
)
async def test_request_is_refused(
    asked: EmbeddingsRequest, error: type[Exception], param: str | None, minilm: MetaReferenceInference
) -> None:
    with pytest.raises(error) as refused:
        await minilm.embeddings(asked, CONTEXT)

    assert getattr(refused.value, "param", None) == param


async def test_model_for_vectors_makes_no_text(minilm: MetaReferenceInference) -> None:
    with pytest.raises(UnsupportedError, match="vectors, not text"):
        await minilm.completion(CompletionRequest(model_id="all-MiniLM-L6-v2", content="Once"), CONTEXT)


async def test_one_text_does_not_wait_for_another_callers_thousands(minilm: MetaReferenceInference) -> None:
    many = asyncio.create_task(vectors(minilm, *[f"text number {number}" for number in range(MAX_TEXTS)]))
    await until(lambda: figure(minilm, "texts_waiting") > 0, "the many are waiting")

    await vectors(minilm, "one")

    assert not many.done()
    many.cancel()
    await asyncio.wait([many])


async def test_request_that_is_cancelled_leaves_nothing_waiting(minilm: MetaReferenceInference) -> None:
    many = asyncio.create_task(vectors(minilm, *[f"text number {number}" for number in range(MAX_TEXTS)]))
    await until(lambda: figure(minilm, "texts_waiting") > 0, "the many are waiting")

    many.cancel()
    await asyncio.wait([many])

    await until(lambda: figure(minilm, "texts_waiting") == 0, "nothing waits")


async def test_llamas_vector_is_the_mean_of_its_last_hidden_states(
    provider: MetaReferenceInference, tiny_checkpoint: Path
) -> None:
    from torch import inference_mode, tensor
    from transformers import LlamaModel

    texts = ["hello there", "a", "", "many words, and many more of them"]
    model = LlamaModel.from_pretrained(tiny_checkpoint).eval()
    tokenizer = load_tokenizer(tiny_checkpoint)
    expected = []
    for text in texts:
        with inference_mode():
            mean = model(tensor([[tokenizer.bos_id, *tokenizer.encode_text(text)]])).last_hidden_state[0].mean(0)
        expected.append((mean / mean.norm()).numpy())

    assert largest_difference(await vectors(provider, *texts), expected) < CLOSE


async def test_llama_says_how_long_its_vectors_are(provider: MetaReferenceInference) -> None:
    [model] = await provider.list_models()

    assert (model.metadata["model_type"], model.metadata["embedding_dimension"]) == ("llm", 64)


async def test_llama_may_be_registered_once_more_as_an_embedding_model(provider: MetaReferenceInference) -> None:
    asked = Model(identifier="tiny-vectors", provider_resource_id="tiny", metadata={"model_type": "embedding"})

    model = await provider.register_model(asked, None)

    assert (model.metadata["model_type"], model.metadata["embedding_dimension"]) == ("embedding", 64)


async def test_registration_with_another_dimension_than_the_models_is_refused(minilm: MetaReferenceInference) -> None:
    [served] = await minilm.list_models()
    wrong = served.copy_with(identifier="mine", metadata={"model_type": "embedding", "embedding_dimension": 100})

    with pytest.raises(
        BadRequestError, match=rf"embedding_dimension is 100, and .* have {DIMENSION} numbers"
    ) as refused:
        await minilm.register_model(wrong, None)

    assert refused.value.param == "metadata.embedding_dimension"


async def test_engine_that_dies_fails_its_request_and_is_started_again(minilm: MetaReferenceInference) -> None:
    many = asyncio.create_task(vectors(minilm, *[f"text number {number}" for number in range(MAX_TEXTS)]))
    await until(lambda: figure(minilm, "texts_waiting") > 0, "the many are waiting")
    pid = minilm._engine.pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)

    with pytest.raises(BackendUnavailableError, match="the answer is lost"):
        await many
    assert largest_difference(await vectors(minilm, recorded_vectors()[0].text), [recorded_vectors()[0].vector]) < CLOSE


def figure(provider: MetaReferenceInference, name: str) -> float:
    [value] = [metric.value for metric in provider.metrics() if metric.name == name]
    return value
