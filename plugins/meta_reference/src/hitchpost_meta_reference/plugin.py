"""What the entry point `meta_reference` names: provider types and presets as data, nothing heavy is imported."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.plugin import Preset, ProviderSpec
from hitchpost_meta_reference.inference.declarations import inference_presets, inference_spec
from hitchpost_meta_reference.memory.declarations import memory_presets, memory_specs


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider types of this distribution."""
    return [inference_spec(), *memory_specs()]


@hookimpl
def presets() -> Sequence[Preset]:
    """`minilm`, where its checkpoint is installed, and `sqlite`."""
    return [*inference_presets(), *memory_presets()]
