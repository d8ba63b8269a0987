"""A bank's vectors come from the model it names, in bounded batches, and are checked."""

import math
from typing import Any

import pytest

from hitchpost.api import EmbeddingsRequest, EmbeddingsResponse, GetModelRequest, Model, RequestContext, content_text
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    NotFoundError,
    UnsupportedError,
)
from hitchpost.ingest import BankEmbedder

CONTEXT = RequestContext(request_id="r")


class Registered:
    """The registry of models, with one model."""

    def __init__(self, **metadata: Any) -> None:
        self._model = Model(identifier="small", provider_resource_id="small", provider_id="p", metadata=metadata)

    async def get_model(self, request: GetModelRequest, context: RequestContext) -> Model | None:
        return self._model if request.identifier == "small" else None


class Counting:
    """An inference router whose vectors hold the lengths of the texts; keeps what it was asked."""

    def __init__(
        self, dimension: int = 3, error: Exception | None = None, answer: list[list[float]] | None = None
    ) -> None:
        self.asked: list[list[str]] = []
        self._dimension, self._error, self._answer = dimension, error, answer

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        assert (request.model_id, context) == ("small", CONTEXT)
        self.asked.append([content_text(content) for content in request.contents])
        if self._error is not None:
            raise self._error
        vectors = [[float(len(text))] * self._dimension for text in self.asked[-1]]
        return EmbeddingsResponse(self._answer if self._answer is not None else vectors)


def embedder(inference: Counting | None, models: Registered | None) -> BankEmbedder:
    return BankEmbedder(inference, models, "small")  # type: ignore[arg-type]


async def test_declared_dimension_is_believed_while_the_model_cannot_be_asked() -> None:
    away = Counting(error=BackendUnavailableError("the server is away"))

    assert await embedder(away, Registered(embedding_dimension=384)).dimension(CONTEXT) == 384


async def test_declared_dimension_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(BadRequestError, match="vectors of 3 numbers, and its metadata say embedding_dimension 4"):
        await embedder(Counting(dimension=3), Registered(embedding_dimension=4)).dimension(CONTEXT)


@pytest.mark.parametrize(
    "declared", [{}, {"embedding_dimension": "384"}, {"embedding_dimension": True}, {"embedding_dimension": 0}]
)
async def test_dimension_that_is_not_declared_is_found_by_one_text(declared: dict[str, Any]) -> None:
    inference = Counting(dimension=5)

    assert await embedder(inference, Registered(**declared)).dimension(CONTEXT) == 5
    assert len(inference.asked) == len(inference.asked[0]) == 1


async def test_texts_are_embedded_in_their_order_and_in_bounded_batches() -> None:
    inference = Counting()
    texts = ["x" * (number + 1) for number in range(150)]

    vectors = await embedder(inference, Registered()).embed(texts, CONTEXT)

    assert vectors == [[float(len(text))] * 3 for text in texts]
    assert [len(batch) for batch in inference.asked] == [64, 64, 22]


async def test_long_texts_make_small_batches() -> None:
    inference = Counting()

    await embedder(inference, Registered()).embed(["x" * 100_000] * 5, CONTEXT)

    assert [len(batch) for batch in inference.asked] == [2, 2, 1]


async def test_no_texts_ask_nobody() -> None:
    assert await embedder(None, None).embed([], CONTEXT) == []


@pytest.mark.parametrize(("purpose", "sent"), [("query", "query: text"), ("document", "passage: text")])
async def test_prefixes_of_the_model_go_before_the_texts(purpose: Any, sent: str) -> None:
    inference = Counting()
    models = Registered(query_prefix="query: ", document_prefix="passage: ")

    await embedder(inference, models).embed(["text"], CONTEXT, purpose=purpose)

    assert inference.asked == [[sent]]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]],
        [[1.0, 2.0], [1.0]],
        [[], []],
        [[1.0, math.nan], [1.0, 2.0]],
        [[1.0, math.inf], [1.0, 2.0]],
    ],
    ids=["none", "too-many", "lengths", "empty", "nan", "infinity"],
)
async def test_answer_that_is_no_matrix_of_numbers_is_refused(answer: list[list[float]]) -> None:
    with pytest.raises(BadBackendAnswerError, match="'small' answered"):
        await embedder(Counting(answer=answer), Registered()).embed(["a", "b"], CONTEXT)


async def test_vectors_of_another_dimension_than_declared_are_refused() -> None:
    with pytest.raises(BadBackendAnswerError, match="3 numbers where 4 were expected"):
        await embedder(Counting(), Registered(embedding_dimension=4)).embed(["a"], CONTEXT)


async def test_model_that_makes_no_vectors_is_refused() -> None:
    with pytest.raises(BadRequestError, match="makes no vectors"):
        await embedder(Counting(), Registered(model_type="llm")).dimension(CONTEXT)


@pytest.mark.parametrize("error", [NotFoundError("model 'small' is not registered"), UnsupportedError("no embeddings")])
async def test_model_that_the_router_refuses_is_the_banks_mistake(error: Exception) -> None:
    with pytest.raises(BadRequestError, match=str(error)) as refused:
        await embedder(Counting(error=error), None).dimension(CONTEXT)

    assert refused.value.param == "embedding_model"


async def test_stack_without_inference_says_what_to_add() -> None:
    with pytest.raises(BadRequestError, match=r"add one .* under providers\.inference"):
        await embedder(None, Registered()).embed(["a"], CONTEXT)
