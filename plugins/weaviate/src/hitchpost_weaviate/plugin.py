"""What the entry point `weaviate` names: the provider type as data, nothing heavy is imported."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider type of this distribution."""
    return [
        ProviderSpec(
            api=Api.memory,
            provider_type="remote::weaviate",
            config="hitchpost_weaviate.config:WeaviateConfig",
            factory="hitchpost_weaviate.provider:WeaviateMemory",
            requires_modules=("weaviate",),
            uses=(Api.inference, Api.models),
            provider_data="hitchpost_weaviate.config:WeaviateProviderData",
            state="shared",
            capabilities=frozenset(
                {
                    Capability.documents,
                    Capability.hybrid_query,
                    Capability.keyvalue_bank,
                    Capability.keyword_bank,
                    Capability.metadata_filter,
                    Capability.vector_bank,
                }
            ),
            description="Memory banks on a Weaviate server: vectors, keywords, hybrid queries, and documents by their ids.",
            extra="hitchpost-weaviate",
        )
    ]
