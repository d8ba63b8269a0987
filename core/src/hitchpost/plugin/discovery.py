"""From entry points and files to plugins: each is loaded by itself, and what goes wrong is written down instead of raised."""

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
from importlib_metadata import EntryPoint, entry_points

from hitchpost import PLUGIN_API
from hitchpost.errors import PluginError, PluginStage
from hitchpost.plugin import hookspecs
from hitchpost.plugin.declarations import CommandSpec, Preset, ProviderSpec
from hitchpost.plugin.manager import HookManager

ENTRY_POINT_GROUP = "hitchpost"
PLUGINS_VARIABLE = "HITCHPOST_PLUGINS"
"""Environment variable: names of the only plugins to load, separated by commas."""


class PluginState(StrEnum):
    """What became of a plugin; `denied`: installed, but the run config or the environment keeps it out."""

    loaded = "loaded"
    failed = "failed"
    denied = "denied"


@dataclass(slots=True)
class PluginReport:
    """A plugin that was found, what it offers, and why it can't be used when it can't."""

    name: str
    distribution: str
    version: str = ""
    state: PluginState = PluginState.loaded
    reason: str = ""
    stage: PluginStage | None = None
    warnings: list[str] = field(default_factory=list)
    provider_specs: Sequence[ProviderSpec] = ()
    presets: Sequence[Preset] = ()
    commands: Sequence[CommandSpec] = ()


@dataclass(frozen=True, slots=True)
class PluginSelection:
    """Which plugins to load: `allow` (None: all) less `deny`, by plugin or distribution name, and files to load as plugins."""

    allow: Collection[str] | None = None
    deny: Collection[str] = ()
    paths: Sequence[Path] = ()

    def denial(self, report: PluginReport) -> str | None:
        """Why a plugin may not be loaded, or None when it may."""
        names = {report.name, report.distribution}
        only = os.environ.get(PLUGINS_VARIABLE)
        if only is not None and not names & {name.strip() for name in only.split(",")}:
            return f"not named in {PLUGINS_VARIABLE}"
        if self.allow is not None and not names & set(self.allow):
            return "not in plugins.allow of the run config"
        if names & set(self.deny):
            return "in plugins.deny of the run config"
        return None


@dataclass(frozen=True, slots=True)
class Plugins:
    """Everything that discovery found, and the manager that holds the hooks."""

    manager: HookManager
    reports: Sequence[PluginReport]


def discover_plugins(selection: PluginSelection | None = None) -> Plugins:
    """Load every installed plugin of the entry-point group `hitchpost` and every file of `selection.paths`.

    Never raises because of a plugin, whatever it does while it is imported or asked; its report has the reason.
    """
    selection = selection or PluginSelection()
    manager = HookManager()
    reports = [
        *(_load(_report_of(entry_point), entry_point.load, manager, selection) for entry_point in _entry_points()),
        *(_load(_report_of_path(path), partial(_import_file, path), manager, selection) for path in selection.paths),
    ]  # fmt: skip
    return Plugins(manager, reports)


def _entry_points() -> Iterable[EntryPoint]:
    found = {
        (point.name, point.value, _distribution_of(point)): point for point in entry_points(group=ENTRY_POINT_GROUP)
    }
    return [found[key] for key in sorted(found)]


def _distribution_of(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else "unknown"


def _report_of(entry_point: EntryPoint) -> PluginReport:
    version = entry_point.dist.version if entry_point.dist is not None else ""
    return PluginReport(entry_point.name, _distribution_of(entry_point), version)


def _report_of_path(path: Path) -> PluginReport:
    return PluginReport(path.stem, str(path))


def _load(
    report: PluginReport, import_plugin: Callable[[], Any], manager: HookManager, selection: PluginSelection
) -> PluginReport:
    denial = selection.denial(report)
    if denial is not None:
        report.state, report.reason = PluginState.denied, denial
        return report
    try:
        plugin = _attempt(report, "import", import_plugin)
        _check_contract(report, plugin)
        _register(report, plugin, manager)
        _ask(report, plugin)
    except PluginError as error:
        report.state, report.reason, report.stage = PluginState.failed, error.message, error.stage
        if manager.has_plugin(report.name) and error.stage != "register":
            manager.unregister(name=report.name)
        report.provider_specs = report.presets = report.commands = ()
    return report


def _attempt(report: PluginReport, stage: PluginStage, step: Callable[[], Any]) -> Any:
    try:
        return step()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything, SystemExit included, and must not end the host
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise PluginError(message, distribution=report.distribution, stage=stage) from error


def _import_file(path: Path) -> ModuleType:
    if path.stem in sys.modules:
        raise ImportError(
            f"{path} would be imported as {path.stem!r}, but a module of that name exists already; rename the file"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _check_contract(report: PluginReport, plugin: Any) -> None:
    wanted = getattr(plugin, "HITCHPOST_PLUGIN_API", 1)
    if not isinstance(wanted, int) or wanted > PLUGIN_API:
        message = (
            f"written for plugin contract {wanted!r}, but this Hitchpost speaks contract {PLUGIN_API}; "
            f"upgrade hitchpost or install an older {report.distribution}"
        )
        raise PluginError(message, distribution=report.distribution, stage="validate")


def _register(report: PluginReport, plugin: Any, manager: HookManager) -> None:
    if manager.has_plugin(report.name):
        message = f"another plugin is called {report.name!r}; rename the entry point of one of them"
        raise PluginError(message, distribution=report.distribution, stage="register")
    try:
        manager.register(plugin, report.name)
    except (pluggy.PluginValidationError, ValueError) as error:
        if manager.has_plugin(report.name):
            manager.unregister(name=report.name)
        raise PluginError(" ".join(str(error).split()), distribution=report.distribution, stage="register") from error
    unmarked = [
        name
        for name in hookspecs.PACKAGE_HOOKS
        if inspect.isroutine(getattr(plugin, name, None)) and manager.parse_hookimpl_opts(plugin, name) is None
    ]
    report.warnings += [
        f"function {name} has a hook's name but lacks the marker @hookimpl; it is ignored" for name in unmarked
    ]
    if not any(manager.parse_hookimpl_opts(plugin, name) for name in hookspecs.PACKAGE_HOOKS):
        report.warnings.append(
            "contributes nothing: no function is marked as one of " + ", ".join(hookspecs.PACKAGE_HOOKS)
        )


def _ask(report: PluginReport, plugin: Any) -> None:
    marker = f"{ENTRY_POINT_GROUP}_impl"
    for hook, wanted in (("provider_specs", ProviderSpec), ("presets", Preset), ("commands", CommandSpec)):
        function = getattr(plugin, hook, None)
        if function is None or not hasattr(function, marker):
            continue
        answer = _attempt(report, "validate", function)
        if inspect.isawaitable(answer):
            answer.close() if inspect.iscoroutine(answer) else None
            message = f"hook {hook} is a coroutine function; package hooks are plain functions that return data"
            raise PluginError(message, distribution=report.distribution, stage="validate")
        if not isinstance(answer, (list, tuple)) or not all(isinstance(item, wanted) for item in answer):
            message = f"hook {hook} returned {_describe(answer)} in place of a list of {wanted.__name__}"
            raise PluginError(message, distribution=report.distribution, stage="validate")
        setattr(report, hook, tuple(answer))


def _describe(answer: Any) -> str:
    if isinstance(answer, (list, tuple)):
        return "a list with " + ", ".join(sorted({type(item).__name__ for item in answer}))
    return type(answer).__name__


__all__ = [
    "ENTRY_POINT_GROUP",
    "PLUGINS_VARIABLE",
    "PluginReport",
    "PluginSelection",
    "PluginState",
    "Plugins",
    "discover_plugins",
]
