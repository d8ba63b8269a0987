"""How the outside gets in: what a provider package imports to declare and implement provider types.

A plugin is what an entry point of the group `hitchpost` names, usually a module:

    # pyproject.toml
    [project.entry-points.hitchpost]
    acme = "hitchpost_acme.plugin"

    # hitchpost_acme/plugin.py
    from hitchpost import hookimpl
    from hitchpost.plugin import ProviderSpec

    @hookimpl
    def provider_specs():
        return [ProviderSpec(api="inference", provider_type="remote::acme",
                             config="hitchpost_acme.config:AcmeConfig", factory="hitchpost_acme.provider:AcmeInference")]

`hitchpost.plugin.hookspecs` documents every hook. The names below are the public contract; the other modules of this package are the host's.
"""

from hitchpost.api.config_path import ConfigPath
from hitchpost.plugin.collect import chat_of, collect_chat, collect_completion, completion_of
from hitchpost.plugin.declarations import CommandSpec, Preset, ProviderSpec
from hitchpost.plugin.provider import (
    AgentsProvider,
    InferenceProvider,
    MemoryProvider,
    Metric,
    Provider,
    ProviderDeps,
    SafetyProvider,
    TelemetryProvider,
)

__all__ = [
    "AgentsProvider",
    "CommandSpec",
    "ConfigPath",
    "InferenceProvider",
    "MemoryProvider",
    "Metric",
    "Preset",
    "Provider",
    "ProviderDeps",
    "ProviderSpec",
    "SafetyProvider",
    "TelemetryProvider",
    "chat_of",
    "collect_chat",
    "collect_completion",
    "completion_of",
]
