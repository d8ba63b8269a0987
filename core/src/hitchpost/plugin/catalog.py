"""The provider types that the loaded plugins offer, by API and name."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hitchpost.api import Api
from hitchpost.errors import NotFoundError
from hitchpost.plugin.declarations import ProviderSpec
from hitchpost.plugin.discovery import PluginReport, PluginState

KNOWN_ELSEWHERE = {
    (Api.inference, "inline::meta-reference"): "hitchpost-meta-reference[inference]",
    (Api.inference, "inline::meta-reference-quantized"): "hitchpost-meta-reference[inference]",
    (Api.inference, "remote::bedrock"): "hitchpost-bedrock",
    (Api.inference, "remote::fireworks"): "hitchpost-remote-openai",
    (Api.inference, "remote::hf::endpoint"): "hitchpost-remote-tgi",
    (Api.inference, "remote::hf::serverless"): "hitchpost-remote-tgi",
    (Api.inference, "remote::ollama"): "hitchpost-remote-ollama",
    (Api.inference, "remote::openai"): "hitchpost-remote-openai",
    (Api.inference, "remote::tgi"): "hitchpost-remote-tgi",
    (Api.inference, "remote::together"): "hitchpost-remote-openai",
    (Api.inference, "remote::vllm"): "hitchpost-remote-openai",
    (Api.safety, "inline::code-scanner"): "hitchpost-meta-reference[safety]",
    (Api.safety, "inline::llama-guard"): "hitchpost-meta-reference[safety]",
    (Api.safety, "inline::prompt-guard"): "hitchpost-meta-reference[safety]",
    (Api.safety, "inline::rules"): "hitchpost-meta-reference[safety]",
    (Api.safety, "remote::bedrock"): "hitchpost-bedrock",
    (Api.memory, "inline::faiss"): "hitchpost-meta-reference[memory]",
    (Api.memory, "inline::sqlite"): "hitchpost-meta-reference[memory]",
    (Api.memory, "remote::weaviate"): "hitchpost-weaviate",
    (Api.agents, "inline::meta-reference"): "hitchpost-meta-reference[agents]",
}
"""Provider types of our own packages, and what to install for them."""

_LOCAL_MEMORY = "use inline::faiss or inline::sqlite on one machine, remote::weaviate beyond it"
_NO_RELAY = "there is no pass-through to another server"
_SKELETON = "it was a skeleton that served nothing; remove it"

NOT_OURS = {
    (Api.inference, "inline::vllm"): "run vLLM as a server of its own and use remote::vllm",
    (Api.inference, "inline::photogen"): "no provider makes images",
    (
        Api.inference,
        "remote::databricks",
    ): "use remote::openai with the address that the serving endpoint has for OpenAI clients",
    (Api.inference, "remote"): f"{_NO_RELAY}; use remote::openai where the other one speaks OpenAI's dialect",
    (Api.inference, "remote::sample"): _SKELETON,
    (Api.safety, "inline::meta-reference"): "use inline::llama-guard, inline::prompt-guard or inline::code-scanner",
    (Api.safety, "remote::together"): "use inline::llama-guard with a guard model that remote::together serves",
    (Api.safety, "remote"): f"{_NO_RELAY}; use inline::llama-guard",
    (Api.safety, "remote::sample"): _SKELETON,
    (Api.memory, "inline::chroma"): _LOCAL_MEMORY,
    (Api.memory, "inline::meta-reference"): "use inline::faiss, its later name",
    (Api.memory, "remote::chromadb"): _LOCAL_MEMORY,
    (Api.memory, "remote::pgvector"): _LOCAL_MEMORY,
    (Api.memory, "remote::qdrant"): _LOCAL_MEMORY,
    (Api.memory, "remote"): f"{_NO_RELAY}; {_LOCAL_MEMORY}",
    (Api.memory, "remote::sample"): _SKELETON,
    (Api.agents, "remote"): f"{_NO_RELAY}; use inline::meta-reference",
    (Api.agents, "remote::sample"): _SKELETON,
    (Api.telemetry, "remote::opentelemetry-jaeger"): "use inline::meta-reference",
    (Api.telemetry, "remote"): f"{_NO_RELAY}; use inline::meta-reference",
    (Api.telemetry, "remote::sample"): _SKELETON,
}
"""Provider types of published run configs that no package of ours has, and what to do instead."""


@dataclass(frozen=True, slots=True)
class ProviderType:
    """A provider type and the plugin that declares it."""

    spec: ProviderSpec
    plugin: PluginReport


@dataclass(frozen=True, slots=True)
class Catalog:
    """Provider types by `(api, provider_type)`; a type that two distributions declare is in neither's name."""

    types: dict[tuple[Api, str], ProviderType] = field(default_factory=dict)
    conflicts: dict[tuple[Api, str], Sequence[str]] = field(default_factory=dict)
    """Declared more than once, with the names of the distributions."""
    failed: Sequence[str] = ()
    """Names of the plugins that could not be loaded, and might offer more."""

    def get(self, api: Api, provider_type: str) -> ProviderType:
        """The provider type.

        Raises:
            NotFoundError: nobody offers it, or two do; the message says what to do.
        """
        found = self.types.get((api, provider_type))
        if found is not None:
            return found
        conflict = self.conflicts.get((api, provider_type))
        if conflict is not None:
            message = (
                f"provider type {provider_type} of {api.value} is declared by {' and '.join(conflict)}; "
                f"uninstall one of them or name it in plugins.deny"
            )
            raise NotFoundError(message)
        instead = NOT_OURS.get((api, provider_type))
        if instead is not None:
            raise NotFoundError(f"Hitchpost has no provider type {provider_type} for {api.value}; {instead}")
        install = KNOWN_ELSEWHERE.get((api, provider_type))
        hint = (
            f"install it with: pip install '{install}'" if install else f"installed for {api.value}: {self._names(api)}"
        )
        if self.failed:
            hint += f"; failed to load, `hitchpost plugins` says why: {', '.join(self.failed)}"
        raise NotFoundError(f"no installed plugin offers provider type {provider_type} for {api.value}; {hint}")

    def of_api(self, api: Api) -> Iterator[ProviderType]:
        """The provider types of an API, by name."""
        return (self.types[key] for key in sorted(self.types) if key[0] is api)

    def offers(self, api: Api) -> str:
        """What could serve an API, for a message: the installed provider types, and what to install for the others."""
        installed = [entry.spec.provider_type for entry in self.of_api(api)]
        others = [
            f"{name} (pip install '{package}')"
            for (of, name), package in KNOWN_ELSEWHERE.items()
            if of is api and name not in installed
        ]
        return ", ".join((*installed, *others)) or "none"

    def _names(self, api: Api) -> str:
        return ", ".join(entry.spec.provider_type for entry in self.of_api(api)) or "none"


def build_catalog(reports: Iterable[PluginReport]) -> Catalog:
    """Collect the provider types of all loaded plugins; duplicates are written into the reports of both."""
    found = list(reports)
    catalog = Catalog(failed=[one.name for one in found if one.state is PluginState.failed])
    declared: dict[tuple[Api, str], list[PluginReport]] = {}
    for report in found:
        for spec in report.provider_specs:
            key = (spec.api, spec.provider_type)
            declared.setdefault(key, []).append(report)
            catalog.types[key] = ProviderType(spec, report)
    for key, owners in declared.items():
        if len(owners) > 1:
            del catalog.types[key]
            names = tuple(f"{owner.distribution} (plugin {owner.name})" for owner in owners)
            catalog.conflicts[key] = names
            for owner in owners:
                owner.warnings.append(
                    f"provider type {key[1]} of {key[0].value} is declared by {' and '.join(names)}; neither is used"
                )
    return catalog


__all__ = ["Catalog", "ProviderType", "build_catalog"]
