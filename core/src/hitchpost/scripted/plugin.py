"""What the entry point `scripted` names: one provider type, no preset."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider type `inline::scripted`."""
    return [
        ProviderSpec(
            api=Api.inference,
            provider_type="inline::scripted",
            config="hitchpost.scripted.script:ScriptedConfig",
            factory="hitchpost.scripted.provider:ScriptedInference",
            capabilities=frozenset(
                {
                    Capability.chat,
                    Capability.completion,
                    Capability.json_schema,
                    Capability.logprobs,
                    Capability.n,
                    Capability.parallel_tool_calls,
                    Capability.seed,
                    Capability.stop,
                    Capability.tool_choice,
                    Capability.tools,
                }
            ),
            description="Answers by a script of patterns, at a set pace and with set faults; for tests and demonstrations.",
        )
    ]
