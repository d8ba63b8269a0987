"""From entry points and files to plugins: each is loaded by itself, and what goes wrong is written down instead of raised."""

import importlib.util
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from importlib_metadata import EntryPoint, distributions, entry_points

from hitchpost import PLUGIN_API
from hitchpost.errors import PluginError, PluginStage
from hitchpost.plugin import hookspecs
from hitchpost.plugin.declarations import CommandSpec, Preset, ProviderSpec
from hitchpost.plugin.foreign import describe
from hitchpost.plugin.manager import HookManager

ENTRY_POINT_GROUP = "hitchpost"
PLUGINS_VARIABLE = "HITCHPOST_PLUGINS"
"""Environment variable: names of the only plugins to load, separated by commas."""

log = logging.getLogger("hitchpost.plugin")


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
    """Which plugins to load: `allow` (None: all) less `deny`, by plugin or distribution name, and files to load as plugins.

    Names are compared as package indexes do: `Acme_Llm` is `acme-llm`.
    """

    allow: Collection[str] | None = None
    deny: Collection[str] = ()
    paths: Sequence[Path] = ()
    named_by: str = "the run config"
    """What names the paths, for messages."""

    def denial(self, report: PluginReport) -> str | None:
        """Why a plugin may not be loaded, or None when it may."""
        only = os.environ.get(PLUGINS_VARIABLE)
        if only is not None and not is_named(report, only.split(",")):
            return f"not named in {PLUGINS_VARIABLE}"
        if self.allow is not None and not is_named(report, self.allow):
            return "not in plugins.allow of the run config"
        if is_named(report, self.deny):
            return "in plugins.deny of the run config"
        return None


def is_named(report: PluginReport, names: Iterable[str]) -> bool:
    """Whether one of `names` is the plugin's or its distribution's."""
    return bool({_normalized(report.name), _normalized(report.distribution)} & {_normalized(name) for name in names})


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


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
        *(_load(_report_of_path(path), partial(_import_file, path, selection.named_by), manager, selection) for path in selection.paths),
    ]  # fmt: skip
    return Plugins(manager, reports)


def _entry_points() -> Iterable[EntryPoint]:
    try:
        points = list(entry_points(group=ENTRY_POINT_GROUP))
    except Exception as error:  # noqa: BLE001 - one broken distribution, perhaps none of ours, must not hide the others
        log.warning("an installed distribution has entry points that can't be read: %s", describe(error))
        points = list(_readable_entry_points())
    found = {(point.name, point.value, _report_of(point).distribution): point for point in points}
    return [found[key] for key in sorted(found)]


def _readable_entry_points() -> Iterator[EntryPoint]:
    for distribution in distributions():
        try:
            yield from distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("%s is left out: %s", distribution.locate_file(""), describe(error))


def _report_of(entry_point: EntryPoint) -> PluginReport:
    try:
        assert entry_point.dist is not None
        return PluginReport(entry_point.name, entry_point.dist.name or "unknown", entry_point.dist.version or "")
    except Exception as error:  # noqa: BLE001 - a half-removed distribution has entry points, but no metadata
        return PluginReport(entry_point.name, "unknown", warnings=[f"its metadata can't be read: {describe(error)}"])


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
        _attempt(report, "validate", partial(_check_contract, report, plugin))
        _attempt(report, "register", partial(_register, report, plugin, manager))
        try:
            _attempt(report, "validate", partial(_ask, report, manager))
        except PluginError:
            manager.unregister(name=report.name)
            raise
    except PluginError as error:
        report.state, report.reason, report.stage = PluginState.failed, error.message, error.stage
        report.provider_specs = report.presets = report.commands = ()
    return report


def _attempt(report: PluginReport, stage: PluginStage, step: Callable[[], Any]) -> Any:
    try:
        return step()
    except (PluginError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin may raise anything, SystemExit included, and must not end the host
        raise _refusal(report, stage, describe(error)) from error


def _is_found_elsewhere(path: Path) -> bool:
    """Whether `import stem` would find another module; in the current folder it finds the file itself."""
    found = importlib.util.find_spec(path.stem)
    return found is not None and (found.origin is None or Path(found.origin).resolve() != path.resolve())


def _import_file(path: Path, named_by: str) -> ModuleType:
    if not path.stem.isidentifier():
        raise ImportError(
            f"{path} can't be imported under the name {path.stem!r}; rename the file as modules are named"
        )
    if not path.is_file():
        message = f"there is no file {path}; correct or remove it under plugins.paths of {named_by}"
        raise PluginError(message, distribution=str(path), stage="import")
    if _is_loaded_from(path):
        return sys.modules[path.stem]
    if path.stem in sys.modules or _is_found_elsewhere(path):
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


def _is_loaded_from(path: Path) -> bool:
    file = getattr(sys.modules.get(path.stem), "__file__", None)
    return file is not None and Path(file).resolve() == path.resolve()


def _check_contract(report: PluginReport, plugin: Any) -> None:
    wanted = getattr(plugin, "HITCHPOST_PLUGIN_API", 1)
    if not isinstance(wanted, int) or wanted > PLUGIN_API:
        message = (
            f"written for plugin contract {wanted!r}, but this Hitchpost speaks contract {PLUGIN_API}; "
            f"upgrade hitchpost or install an older {report.distribution}"
        )
        raise _refusal(report, "validate", message)


def _register(report: PluginReport, plugin: Any, manager: HookManager) -> None:
    for name, other in manager.list_name_plugin():
        if name == report.name:
            raise _refusal(
                report, "register", f"another plugin is called {name!r}; rename the entry point of one of them"
            )
        if other is plugin or other == plugin:
            message = f"it is the same object as plugin {name!r}, or equal to it; load one of the two"
            raise _refusal(report, "register", message)
    try:
        manager.register(plugin, report.name)
    except BaseException:
        if manager.has_plugin(report.name):
            manager.unregister(name=report.name)
        raise
    hooks = ", ".join(hookspecs.PACKAGE_HOOKS)
    marked = [name for name in dir(plugin) if manager.parse_hookimpl_opts(plugin, name) is not None]
    report.warnings += [
        f"function {name} has a hook's name but lacks the marker @hookimpl; it is ignored"
        for name in hookspecs.PACKAGE_HOOKS
        if name not in marked and inspect.isroutine(getattr(plugin, name, None))
    ]
    report.warnings += [
        f"function {name} is marked as a hook, but there is no package hook of that name; there are {hooks}"
        for name in marked
        if name not in hookspecs.PACKAGE_HOOKS
    ]
    if not set(marked) & set(hookspecs.PACKAGE_HOOKS):
        report.warnings.append(f"contributes nothing: no function is marked as one of {hooks}")


def _refusal(report: PluginReport, stage: PluginStage, message: str) -> PluginError:
    return PluginError(message, distribution=report.distribution, stage=stage)


def _ask(report: PluginReport, manager: HookManager) -> None:
    for hook, wanted in (("provider_specs", ProviderSpec), ("presets", Preset), ("commands", CommandSpec)):
        function = manager.find_hook(hook, report.name)
        if function is None:
            continue
        answer = function()
        if inspect.iscoroutine(answer):
            answer.close()
            message = f"hook {hook} is a coroutine function; package hooks are plain functions that return data"
            raise _refusal(report, "validate", message)
        if not isinstance(answer, (list, tuple)) or not all(isinstance(item, wanted) for item in answer):
            message = f"hook {hook} returned {_describe(answer)} in place of a list of {wanted.__name__}"
            raise _refusal(report, "validate", message)
        setattr(report, hook, tuple(answer))


def _describe(answer: Any) -> str:
    if isinstance(answer, list | tuple):
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
    "is_named",
]
