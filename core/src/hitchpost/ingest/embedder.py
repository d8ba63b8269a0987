"""Vectors for the chunks and queries of a bank, from the model that the bank names."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from hitchpost.api import EmbeddingsRequest, GetModelRequest, Inference, Model, Models, RequestContext
from hitchpost.errors import (
    BadBackendAnswerError,
    BadRequestError,
    HitchpostError,
    NotFoundError,
    UnsupportedError,
    quoted,
)

MAX_BATCH_TEXTS = 64
MAX_BATCH_CHARACTERS = 256 * 1024
PROBE = "dimension"
PARAM = "embedding_model"

Purpose = Literal["document", "query"]


class BankEmbedder:
    """Makes the vectors of one bank through the inference router.

    Models that were trained with a different prefix before queries and before documents name them in their metadata, as `query_prefix` and
    `document_prefix`.

    Args:
        inference, models: the routers that a provider is handed as `deps.inference` and `deps.models`; None where the stack has none.
        embedding_model: identifier of the model.
    """

    def __init__(self, inference: Inference | None, models: Models | None, embedding_model: str) -> None:
        self._inference = inference
        self._models = models
        self._model_id = embedding_model

    async def dimension(self, context: RequestContext) -> int:
        """Numbers in each vector, as one text shows; where the model can't be asked now, what its metadata say under `embedding_dimension`.

        Raises:
            BadRequestError: no such model is registered, it is none that makes vectors, or its metadata say another number.
            HitchpostError: the model's provider can't be asked, and the metadata say nothing.
        """
        declared = _declared_dimension(await self._find_model(context))
        try:
            shown = len((await self._vectors([PROBE], context))[0])
        except HitchpostError as error:
            if declared is None or isinstance(error, BadRequestError):
                raise
            return declared
        if declared not in (None, shown):
            message = (
                f"{self._name} makes vectors of {shown} numbers, and its metadata say embedding_dimension {declared}"
            )
            raise BadRequestError(f"{message}; register the model with {shown}", param=PARAM)
        return shown

    async def embed(
        self, texts: Sequence[str], context: RequestContext, *, purpose: Purpose = "document"
    ) -> list[list[float]]:
        """One vector per text, in their order; many texts are sent in several requests, one after the other.

        Raises:
            BadRequestError: as for `dimension`.
            BadBackendAnswerError: the model answered another number of vectors, vectors of different length or not of the length that its
                metadata say, or what is no finite number.
        """
        if not texts:
            return []
        model = await self._find_model(context)
        prefix = str(model.metadata.get(f"{purpose}_prefix", "")) if model else ""
        vectors: list[list[float]] = []
        for batch in _batches(texts):
            vectors += await self._vectors([prefix + text for text in batch], context)
        expected = _declared_dimension(model) or len(vectors[0])
        for vector in vectors:
            if len(vector) != expected:
                message = f"{self._name} answered a vector of {len(vector)} numbers where {expected} were expected"
                raise BadBackendAnswerError(message)
        return vectors

    async def _find_model(self, context: RequestContext) -> Model | None:
        """The model as it is registered; None where the router knows it by another name, if at all."""
        if self._models is None:
            return None
        model = await self._models.get_model(GetModelRequest(identifier=self._model_id), context)
        if model is not None and model.metadata.get("model_type", "embedding") != "embedding":
            raise BadRequestError(f"{self._name} is registered as a model that makes no vectors", param=PARAM)
        return model

    async def _vectors(self, texts: list[str], context: RequestContext) -> list[list[float]]:
        if self._inference is None:
            message = (
                f"{self._name} can't be asked: the stack has no inference provider; add one that serves an embedding model"
                " to the run config, under providers.inference"
            )
            raise BadRequestError(message, param=PARAM)
        request = EmbeddingsRequest(model_id=self._model_id, contents=list(texts))
        try:
            vectors = (await self._inference.embeddings(request, context)).embeddings
        except NotFoundError as error:
            raise BadRequestError(f"the bank's embedding model is unknown: {error.message}", param=PARAM) from error
        except UnsupportedError as error:
            raise BadRequestError(f"{self._name} makes no vectors: {error.message}", param=PARAM) from error
        if len(vectors) != len(texts):
            raise BadBackendAnswerError(f"{self._name} answered {len(vectors)} vectors for {len(texts)} texts")
        if not all(vector and all(map(math.isfinite, vector)) for vector in vectors):
            raise BadBackendAnswerError(
                f"{self._name} answered a vector that is empty or holds what is no finite number"
            )
        return vectors

    @property
    def _name(self) -> str:
        return f"the embedding model {quoted(self._model_id)}"


def _declared_dimension(model: Model | None) -> int | None:
    declared = model.metadata.get("embedding_dimension") if model else None
    is_number = isinstance(declared, int) and not isinstance(declared, bool) and declared > 0
    return declared if is_number else None


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == MAX_BATCH_TEXTS or characters + len(text) > MAX_BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    yield batch


__all__ = ["BankEmbedder"]
