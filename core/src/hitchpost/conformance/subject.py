"""What is under test: from an author's class to the provider type, the plugin that declares it and the distribution it came from."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from importlib_metadata import entry_points
from pydantic import BaseModel

from hitchpost.api import Api
from hitchpost.conformance.check import CheckFailed
from hitchpost.errors import NotFoundError
from hitchpost.plugin import ProviderSpec
from hitchpost.plugin.catalog import build_catalog
from hitchpost.plugin.declarations import load_import_string, load_model
from hitchpost.plugin.discovery import (
    ENTRY_POINT_GROUP,
    PluginReport,
    Plugins,
    PluginSelection,
    PluginState,
    discover_plugins,
)
from hitchpost.plugin.foreign import describe

T = TypeVar("T")


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

    def import_type(self) -> tuple[type[BaseModel], Callable[..., Any]]:
        """The config model and the factory, imported as the host does it; so is the model of provider data.

        Raises:
            BackendUnavailableError: a module that it requires is not installed.
            CheckFailed: what an import string names isn't there, or is something else.
        """
        self.spec.check_installed()
        config = _loaded("config", load_model, self.spec.config)
        if self.spec.provider_data is not None:
            _loaded("provider_data", load_model, self.spec.provider_data)
        factory = _loaded("factory", load_import_string, self.spec.factory)
        if not callable(factory):
            raise CheckFailed(f"factory {self.spec.factory!r} is a {type(factory).__name__} and can't be called")
        return config, factory

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


def _loaded(field: str, load: Callable[[str], T], import_string: str) -> T:
    try:
        return load(import_string)
    except Exception as error:
        raise CheckFailed(f"{field} {import_string!r} can't be loaded: {describe(error)}") from error


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
