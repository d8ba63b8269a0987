"""What the entry point `remote_ollama` names: the provider type as data, nothing heavy is imported."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider type of this distribution."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="remote::ollama",
            config="hitchpost_remote_ollama.config:OllamaConfig",
            factory="hitchpost_remote_ollama.provider:OllamaInference",
            capabilities=frozenset(
                {
                    Capability.chat,
                    Capability.completion,
                    Capability.embeddings,
                    Capability.json_schema,
                    Capability.logprobs,
                    Capability.parallel_tool_calls,
                    Capability.penalties,
                    Capability.seed,
                    Capability.stop,
                    Capability.tools,
                    Capability.vision,
                }
            ),
            description="The models of an Ollama server: chat, completion and embeddings.",
            extra="hitchpost-remote-ollama",
        )
    ]
