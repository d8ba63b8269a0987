"""What is under test: from an author's class to the provider type, the plugin that declares it and the distribution it came from."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from importlib_metadata import entry_points

from hitchpost.api import Api
from hitchpost.conformance.check import CheckFailed
from hitchpost.errors import NotFoundError
from hitchpost.plugin import ProviderSpec
from hitchpost.plugin.catalog import build_catalog
from hitchpost.plugin.discovery import (
    ENTRY_POINT_GROUP,
    PluginReport,
    Plugins,
    PluginSelection,
    PluginState,
    discover_plugins,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A provider type as the installed plugins declare it, or as the author handed it over."""

    spec: ProviderSpec
    plugins: Plugins
    distribution: str = ""
    version: str = ""
    plugin_module: str = ""
    """The module that its entry point or path names; empty where a `ProviderSpec` was handed over."""
    warnings: Sequence[str] = ()
    """What discovery says against its plugin."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages whose code counts as the provider's own."""
        first, *rest = self.spec.factory.partition(":")[0].split(".")
        return (".".join([first, *rest[:1]]) if first == "hitchpost" else first,)

    def identity(self) -> dict[str, str]:
        """What a report says of it."""
        return {
            "api": self.spec.api.value,
            "provider_type": self.spec.provider_type,
            "distribution": self.distribution,
            "version": self.version,
        }


def find_subject(provider_type: str | ProviderSpec, api: Api, paths: Sequence[Path]) -> Subject:
    """The provider type that an author's class names.

    Args:
        provider_type: its name, or its declaration, where no plugin is to be loaded for it.
        api: the API that it serves.
        paths: plugins to load that are single files.

    Raises:
        CheckFailed: no plugin that can be loaded declares it; the message says what each plugin said.
    """
    plugins = discover_plugins(PluginSelection(paths=paths))
    if isinstance(provider_type, ProviderSpec):
        home = provider_type.factory.partition(".")[0]
        report = PluginReport("conformance", home, provider_specs=(provider_type,))
        others = [_without(other, provider_type) for other in plugins.reports]
        return Subject(provider_type, Plugins(plugins.manager, [*others, report]), home)
    try:
        found = build_catalog(plugins.reports).get(api, provider_type)
    except NotFoundError as error:
        failed = [
            f"plugin {report.name}: {report.reason}" for report in plugins.reports if report.state is PluginState.failed
        ]
        raise CheckFailed("; ".join([error.message, *failed])) from error
    report = found.plugin
    return Subject(found.spec, plugins, report.distribution, report.version, _module_of(report), tuple(report.warnings))


def _without(report: PluginReport, spec: ProviderSpec) -> PluginReport:
    """A plugin less the provider type that the author hands over, as two declarations of one type would be refused."""
    report.provider_specs = tuple(
        other for other in report.provider_specs if (other.api, other.provider_type) != (spec.api, spec.provider_type)
    )
    return report


def _module_of(report: PluginReport) -> str:
    for point in entry_points(group=ENTRY_POINT_GROUP, name=report.name):
        if point.dist is not None and point.dist.name == report.distribution:
            return str(point.module)
    return report.name if report.name in sys.modules else ""


__all__ = ["Subject", "find_subject"]
