"""The provider types and the preset of the embedded memory, as data."""

from collections.abc import Sequence
from importlib.util import find_spec

from hitchpost.api import Api, Capability
from hitchpost.plugin import Preset, ProviderSpec

CAPABILITIES = frozenset(
    {
        Capability.documents,
        Capability.hybrid_query,
        Capability.keyvalue_bank,
        Capability.keyword_bank,
        Capability.metadata_filter,
        Capability.vector_bank,
    }
)


def memory_specs() -> Sequence[ProviderSpec]:
    """One provider under two names: its own, and the one that run configs of llama-stack have."""
    return [
        _spec("inline::sqlite", "MemoryConfig", "Memory banks in SQLite files, searched in this process."),
        _spec("inline::faiss", "FaissMemoryConfig", "As inline::sqlite, with large banks searched through faiss."),
    ]


def memory_presets() -> Sequence[Preset]:
    """The preset `sqlite`, where what it needs is installed."""
    if find_spec("numpy") is None:
        return []
    return [Preset(name="sqlite", api=Api.memory, provider_id="sqlite", provider_type="inline::sqlite")]


def _spec(provider_type: str, config: str, description: str) -> ProviderSpec:
    return ProviderSpec(
        api=Api.memory,
        provider_type=provider_type,
        config=f"hitchpost_meta_reference.memory.config:{config}",
        factory="hitchpost_meta_reference.memory.provider:EmbeddedMemory",
        requires_modules=("numpy",),
        uses=(Api.inference, Api.models),
        state="local",
        capabilities=CAPABILITIES,
        description=description,
        extra="hitchpost-meta-reference[memory]",
    )


__all__ = ["CAPABILITIES", "memory_presets", "memory_specs"]
