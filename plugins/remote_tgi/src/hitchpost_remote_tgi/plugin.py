"""What the entry point `remote_tgi` names: provider types as data, nothing heavy is imported."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec

CAPABILITIES = frozenset(
    {
        Capability.chat,
        Capability.completion,
        Capability.grammar,
        Capability.json_schema,
        Capability.logprobs,
        Capability.parallel_tool_calls,
        Capability.seed,
        Capability.stop,
        Capability.tool_choice,
        Capability.tools,
        Capability.vision,
    }
)
_TYPES = (
    ("remote::tgi", "TgiConfig", "own_server", "A text-generation-inference server."),
    ("remote::hf::serverless", "ServerlessConfig", "serverless", "A model of Hugging Face's serverless inference."),
    ("remote::hf::endpoint", "EndpointConfig", "endpoint", "A Hugging Face Inference Endpoint, woken when it sleeps."),
)


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider types of this distribution."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type=provider_type,
            config=f"hitchpost_remote_tgi.config:{config}",
            factory=f"hitchpost_remote_tgi.provider:{factory}",
            capabilities=CAPABILITIES,
            description=description,
        )
        for provider_type, config, factory, description in _TYPES
    ]
