"""What the entry point `remote_openai` names: the provider types as data, nothing heavy is imported."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec

_CAPABILITIES = frozenset(
    {
        Capability.chat,
        Capability.completion,
        Capability.embeddings,
        Capability.json_schema,
        Capability.logit_bias,
        Capability.logprobs,
        Capability.n,
        Capability.parallel_tool_calls,
        Capability.penalties,
        Capability.seed,
        Capability.stop,
        Capability.tool_choice,
        Capability.tools,
        Capability.vision,
    }
)
"""What the form can say. A server that can't do one of it refuses by itself, and a model's metadata may narrow it."""

_TYPES = (
    ("openai", "OpenAI", "OpenAI, and whatever speaks its form: SGLang, llama.cpp, LM Studio, another Hitchpost."),
    ("vllm", "Vllm", "The models of a vLLM server."),
    ("together", "Together", "The models of the hosted service Together."),
    ("fireworks", "Fireworks", "The models of the hosted service Fireworks."),
)


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider types of this distribution, which differ in their configs only."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type=f"remote::{name}",
            config=f"hitchpost_remote_openai.config:{prefix}Config",
            factory="hitchpost_remote_openai.provider:OpenAIInference",
            provider_data=f"hitchpost_remote_openai.config:{prefix}Keys",
            capabilities=_CAPABILITIES,
            description=description,
            extra="hitchpost-remote-openai",
        )
        for name, prefix, description in _TYPES
    ]
