"""A plugin whose inference provider makes vectors of words, so that texts are alike as far as they share words."""

from collections.abc import Sequence

from pydantic import BaseModel

from hitchpost import hookimpl
from hitchpost.api import Api, Capability, EmbeddingsRequest, EmbeddingsResponse, RequestContext, content_text
from hitchpost.plugin import InferenceProvider, ProviderSpec
from tests.meta_reference_memory.banks import vector_of


class TestVectorsConfig(BaseModel):
    """Nothing can be set."""


class TestVectors(InferenceProvider[TestVectorsConfig]):
    """Serves any model for vectors."""

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """A vector per text."""
        return EmbeddingsResponse([vector_of(content_text(one)) for one in request.contents])


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider type of this file."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="inline::test-vectors",
            config="word_vectors:TestVectorsConfig",
            factory="word_vectors:TestVectors",
            capabilities=frozenset({Capability.embeddings}),
        )
    ]
