"""Texts into the bodies that the embedding models of Bedrock read, and their answers into vectors. Pure; a row per family."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hitchpost.api import EmbeddingsRequest, ImageMedia, content_items, content_text
from hitchpost.errors import BadBackendAnswerError, BadRequestError, UnsupportedError
from hitchpost_bedrock.inference.config import ModelSettings
from hitchpost_bedrock.inference.model_names import base_of

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EmbeddingFamily:
    """Models that are asked alike.

    Args:
        prefix: of their ids.
        texts_per_call: how many one call takes.
        dimensions: lengths of vectors that can be asked for; empty: only its own.
        default_dimension: of its vectors when none is asked for.
        body: what is sent, of some texts, the asked dimension and the model's settings.
        vectors: those in an answer.
        tokens: how many the texts of a call had, where the answer says it.
    """

    prefix: str
    texts_per_call: int
    dimensions: tuple[int, ...]
    default_dimension: int
    body: Callable[[Sequence[str], int | None, ModelSettings], Body]
    vectors: Callable[[Mapping[str, Any]], Any]
    tokens: Callable[[Mapping[str, Any]], Any] = lambda answer: answer.get("inputTextTokenCount")


def _titan_v1(texts: Sequence[str], dimension: int | None, settings: ModelSettings) -> Body:
    return {"inputText": texts[0]}


def _titan_v2(texts: Sequence[str], dimension: int | None, settings: ModelSettings) -> Body:
    return {"inputText": texts[0]} if dimension is None else {"inputText": texts[0], "dimensions": dimension}


def _cohere(texts: Sequence[str], dimension: int | None, settings: ModelSettings) -> Body:
    # Too long a text is refused, as it is by the other families.
    body = {"texts": list(texts), "input_type": settings.input_type, "truncate": "NONE", "embedding_types": ["float"]}
    return body if dimension is None else {**body, "output_dimension": dimension}


def _nova(texts: Sequence[str], dimension: int | None, settings: ModelSettings) -> Body:
    params: Body = {
        "embeddingPurpose": "GENERIC_INDEX",
        "text": {"truncationMode": "NONE", "value": texts[0]},
    }
    if dimension is not None:
        params["embeddingDimension"] = dimension
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}


def _cohere_vectors(answer: Mapping[str, Any]) -> Any:
    vectors = answer.get("embeddings")
    return vectors.get("float") if isinstance(vectors, dict) else vectors


def _nova_vectors(answer: Mapping[str, Any]) -> Any:
    return [one["embedding"] for one in answer["embeddings"]]


def _titan_vectors(answer: Mapping[str, Any]) -> Any:
    return [answer.get("embedding")]


_NOVA_DIMENSIONS = (256, 384, 1024, 3072)
FAMILIES = (
    EmbeddingFamily("amazon.titan-embed-text-v2", 1, (256, 512, 1024), 1024, _titan_v2, _titan_vectors),
    EmbeddingFamily("amazon.titan-embed-", 1, (), 1536, _titan_v1, _titan_vectors),
    EmbeddingFamily("cohere.embed-v4", 96, (256, 512, 1024, 1536), 1536, _cohere, _cohere_vectors),
    EmbeddingFamily("cohere.embed-", 96, (), 1024, _cohere, _cohere_vectors),
    EmbeddingFamily("amazon.nova-", 1, _NOVA_DIMENSIONS, 3072, _nova, _nova_vectors),
)


def find_family(model: str) -> EmbeddingFamily | None:
    """The family of an embedding model by its id."""
    base = base_of(model)
    return next((family for family in FAMILIES if base.startswith(family.prefix) and "embed" in base), None)


def get_family(model: str) -> EmbeddingFamily:
    """As `find_family`; raises UnsupportedError where the model makes no vectors that can be asked for."""
    family = find_family(model)
    if family is None:
        raise UnsupportedError(
            "this model of Bedrock makes no vectors; Titan, Cohere and Nova have some", param="model"
        )
    return family


def embedding_bodies(request: EmbeddingsRequest, family: EmbeddingFamily, settings: ModelSettings) -> list[Body]:
    """What is sent, a body for each call.

    Raises:
        BadRequestError: a text is empty.
        UnsupportedError: an image, or a dimension that the model doesn't have.
    """
    texts = [content_text(content) for content in request.contents]
    for number, content in enumerate(request.contents):
        if any(isinstance(item, ImageMedia) for item in content_items(content)):
            raise UnsupportedError("images are not embedded through Bedrock", param=f"contents.{number}")
        if not texts[number].strip():
            raise BadRequestError("Bedrock embeds no empty text", param=f"contents.{number}")
    if request.dimensions not in (None, *(family.dimensions or (family.default_dimension,))):
        known = ", ".join(map(str, family.dimensions or (family.default_dimension,)))
        raise UnsupportedError(f"this model's vectors have {known} numbers", param="dimensions")
    asked = request.dimensions if family.dimensions else None
    size = family.texts_per_call
    return [family.body(texts[start : start + size], asked, settings) for start in range(0, len(texts), size)]


def vectors_of(answer: Mapping[str, Any], family: EmbeddingFamily, expected: int) -> list[list[float]]:
    """The vectors in an answer.

    Raises:
        BadBackendAnswerError: they are not so many as expected, or no vectors.
    """
    try:
        vectors = family.vectors(answer)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadBackendAnswerError("an embedding model of Bedrock answered without vectors") from error
    if not isinstance(vectors, list) or len(vectors) != expected or not all(map(_is_vector, vectors)):
        raise BadBackendAnswerError(f"an embedding model of Bedrock did not answer {expected} vectors")
    return vectors


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(number) in (int, float) for number in value)


__all__ = ["FAMILIES", "EmbeddingFamily", "embedding_bodies", "find_family", "get_family", "vectors_of"]
