"""What the entry point `meta_reference` names: provider types as data, nothing heavy is imported."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider types of this distribution."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="inline::meta-reference",
            config="hitchpost_meta_reference.inference.config:MetaReferenceInferenceConfig",
            factory="hitchpost_meta_reference.inference.provider:MetaReferenceInference",
            requires_modules=("jinja2", "numpy", "safetensors", "tokenizers", "torch"),
            capabilities=frozenset(
                {
                    Capability.chat,
                    Capability.completion,
                    Capability.logit_bias,
                    Capability.logprobs,
                    Capability.n,
                    Capability.parallel_tool_calls,
                    Capability.penalties,
                    Capability.seed,
                    Capability.stop,
                    Capability.tools,
                }
            ),
            description="Llama models in PyTorch, on CUDA or CPU, each in an engine process of its own.",
            extra="hitchpost-meta-reference[inference]",
        )
    ]
