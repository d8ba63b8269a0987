"""What the entry point `scripted` names: one provider type for each of four APIs, no preset."""

from collections.abc import Sequence

from hitchpost import hookimpl
from hitchpost.api import Api, Capability
from hitchpost.plugin import ProviderSpec


@hookimpl
def provider_specs() -> Sequence[ProviderSpec]:
    """The provider type `inline::scripted`, for inference, safety, memory and agents."""
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
        ),
        ProviderSpec(
            api=Api.safety,
            provider_type="inline::scripted",
            config="hitchpost.scripted.safety:ScriptedSafetyConfig",
            factory="hitchpost.scripted.safety:ScriptedSafety",
            description="Shields that find what a script of patterns says, with set faults; for tests and demonstrations.",
        ),
        ProviderSpec(
            api=Api.memory,
            provider_type="inline::scripted",
            config="hitchpost.scripted.memory.provider:ScriptedMemoryConfig",
            factory="hitchpost.scripted.memory.provider:ScriptedMemory",
            capabilities=frozenset(
                {
                    Capability.documents,
                    Capability.keyvalue_bank,
                    Capability.keyword_bank,
                    Capability.metadata_filter,
                    Capability.vector_bank,
                }
            ),
            description="Banks in memory, searched by words that a query and a text share; for tests and demonstrations.",
        ),
        ProviderSpec(
            api=Api.agents,
            provider_type="inline::scripted",
            config="hitchpost.scripted.agents.provider:ScriptedAgentsConfig",
            factory="hitchpost.scripted.agents.provider:ScriptedAgents",
            needs=(Api.inference,),
            uses=(Api.safety, Api.memory, Api.memory_banks),
            description="Agents in memory whose builtin tools answer by a table; for tests and demonstrations.",
        ),
    ]
