"""A plugin with an inference provider whose vectors have a place for each word, so that texts are alike as far as they share words."""

import math
import re
import zlib
from collections.abc import Sequence

from pydantic import BaseModel

from hitchpost import hookimpl
from hitchpost.api import Api, Capability, EmbeddingsRequest, EmbeddingsResponse, Model, RequestContext, content_text
from hitchpost.plugin import InferenceProvider, ProviderSpec

DIMENSION = 256


class WordVectorsConfig(BaseModel):
    """Nothing can be set."""


class WordVectors(InferenceProvider[WordVectorsConfig]):
    """Serves one model for vectors, and a smaller one."""

    async def list_models(self) -> Sequence[Model]:
        """What it serves."""
        return [
            Model(provider_resource_id=name, metadata={"model_type": "embedding", "embedding_dimension": dimension})
            for name, dimension in (("all-MiniLM-L6-v2", DIMENSION), ("small", 32))
        ]

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """A unit vector per text."""
        name = request.model_id if context.resource is None else context.resource.provider_resource_id
        dimension = 32 if name == "small" else DIMENSION
        return EmbeddingsResponse([word_vector(content_text(one), dimension) for one in request.contents])


def word_vector(text: str, dimension: int = DIMENSION) -> list[float]:
    """A unit vector; that of a text without words points along the first axis."""
    vector = [0.0] * dimension
    for word in re.findall(r"\w+", text.lower()):
        vector[zlib.crc32(word.encode()) % dimension] += 1.0
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else [1.0, *vector[1:]]


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider type of this file."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="inline::word-vectors",
            config="word_vectors:WordVectorsConfig",
            factory="word_vectors:WordVectors",
            capabilities=frozenset({Capability.embeddings}),
        )
    ]
