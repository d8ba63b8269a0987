"""The provider types that the loaded plugins offer, by API and name."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hitchpost.api import Api
from hitchpost.errors import NotFoundError
from hitchpost.plugin.declarations import ProviderSpec
from hitchpost.plugin.discovery import PluginReport

KNOWN_ELSEWHERE = {
    (Api.inference, "inline::meta-reference"): "hitchpost-meta-reference[inference]",
}
"""Provider types of our own packages, and what to install for them."""


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
        install = KNOWN_ELSEWHERE.get((api, provider_type))
        hint = (
            f"install it with: pip install '{install}'" if install else f"installed for {api.value}: {self._names(api)}"
        )
        raise NotFoundError(f"no installed plugin offers provider type {provider_type} for {api.value}; {hint}")

    def of_api(self, api: Api) -> Iterator[ProviderType]:
        """The provider types of an API, by name."""
        return (self.types[key] for key in sorted(self.types) if key[0] is api)

    def _names(self, api: Api) -> str:
        return ", ".join(entry.spec.provider_type for entry in self.of_api(api)) or "none"


def build_catalog(reports: Iterable[PluginReport]) -> Catalog:
    """Collect the provider types of all loaded plugins; duplicates are written into the reports of both."""
    catalog = Catalog()
    declared: dict[tuple[Api, str], list[PluginReport]] = {}
    for report in reports:
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
