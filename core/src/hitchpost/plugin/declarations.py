"""What a plugin declares, as data: provider types, presets and commands.

Import strings have the form `package.module:attribute`; what they name is imported when it is needed and not before.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.machinery import PathFinder
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel

from hitchpost.api import PROVIDABLE, Api, Capability, RegisterRequest
from hitchpost.errors import BackendUnavailableError

_IMPORT_STRING = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_PROVIDER_TYPE = re.compile(r"(inline|remote)(::[a-z0-9][a-z0-9_-]*)+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

State = Literal["none", "local", "shared"]

NameT = TypeVar("NameT", bound=StrEnum)


def _names(values: Iterable[Any], kind: type[NameT], what: str) -> tuple[NameT, ...]:
    """`values` as members of an enumeration; a single text is a mistake for a list of one."""
    if isinstance(values, str):
        raise ValueError(f"{what} is the text {values!r}; write a list")
    try:
        return tuple(kind(value) for value in values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: {error}; there are: {', '.join(kind)}") from error


def _providable(api: Any) -> Api:
    [name] = _names([api], Api, "api")
    if name not in PROVIDABLE:
        raise ValueError(
            f"api {name.value!r} is provided by the host itself; a provider implements one of {', '.join(PROVIDABLE)}"
        )
    return name


def _check(value: str, pattern: re.Pattern[str], what: str, example: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{what} {value!r} is not of the form {example!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """A provider type: one implementation of one API.

    Raises:
        ValueError: a field is not of its form; the message names it.
    """

    api: Api
    provider_type: str
    """`inline::name` for what runs in this process's care, `remote::name` for an adapter of a server."""
    config: str
    """Import string of the pydantic model that a provider's `config` is validated by."""
    factory: str
    """Import string of what makes the provider: called as `factory(config, deps)`, synchronous, without I/O; usually the provider class."""
    requires_modules: Sequence[str] = ()
    """Modules that must be there for a provider to be built; looked for, never imported, by the host."""
    needs: Sequence[Api] = ()
    """APIs that the provider calls; they are handed over as routers in `deps`."""
    uses: Sequence[Api] = ()
    """The same for APIs that may be absent; `deps` then has None."""
    provider_data: str | None = None
    """Import string of the pydantic model of what callers may send per request, if anything."""
    state: State = "none"
    """Where what a provider remembers lives: nowhere, on this machine, or where several hosts see it."""
    capabilities: frozenset[Capability] = frozenset()
    """What the type can do at most; a model's `metadata.capabilities` may narrow it."""
    description: str = ""
    extra: str | None = None
    """What to `pip install` when a module is missing."""
    deprecated: str | None = None
    """Why not to use this type any more."""
    replaced_by: str | None = None
    """The provider type to use instead."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "api", _providable(self.api))
        _check(self.provider_type, _PROVIDER_TYPE, "provider_type", "inline::name")
        for name in ("config", "factory"):
            _check(getattr(self, name), _IMPORT_STRING, name, "package.module:attribute")
        if self.provider_data is not None:
            _check(self.provider_data, _IMPORT_STRING, "provider_data", "package.module:attribute")
        if self.state not in get_args(State):
            raise ValueError(f"state {self.state!r} is none of {', '.join(get_args(State))}")
        if isinstance(self.requires_modules, str):
            raise ValueError(f"requires_modules is the text {self.requires_modules!r}; write a list")
        object.__setattr__(self, "requires_modules", tuple(self.requires_modules))
        object.__setattr__(self, "needs", _names(self.needs, Api, "needs"))
        object.__setattr__(self, "uses", _names(self.uses, Api, "uses"))
        object.__setattr__(self, "capabilities", frozenset(_names(self.capabilities, Capability, "capabilities")))

    def missing_modules(self) -> list[str]:
        """Those of `requires_modules` that aren't installed."""
        return [name for name in self.requires_modules if not _is_installed(name)]

    def check_installed(self) -> None:
        """Raises BackendUnavailableError, with what to install, where a required module is missing."""
        missing = self.missing_modules()
        if missing:
            hint = f"; install it with: pip install '{self.extra}'" if self.extra else ""
            message = f"provider type {self.provider_type} needs {', '.join(missing)}, which is not installed{hint}"
            raise BackendUnavailableError(message, is_permanent=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A ready-made provider with its resources; see `hitchpost.plugin.hookspecs.presets`."""

    name: str
    api: Api
    provider_id: str
    provider_type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    resources: Sequence[RegisterRequest] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "api", _providable(self.api))
        _check(self.name, _NAME, "preset name", "tiny-llama")
        _check(self.provider_id, _NAME, "provider_id", "tiny-llama")
        _check(self.provider_type, _PROVIDER_TYPE, "provider_type", "inline::name")
        if not isinstance(self.config, Mapping):
            raise TypeError(f"preset {self.name}: config is {type(self.config).__name__}, not a mapping")
        object.__setattr__(self, "resources", tuple(self.resources))
        for resource in self.resources:
            if not isinstance(resource, RegisterRequest):
                kinds = ", ".join(kind.__name__ for kind in get_args(RegisterRequest))
                raise TypeError(f"preset {self.name}: resources hold {type(resource).__name__}, none of {kinds}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A command of the program `hitchpost`."""

    name: str
    target: str
    """Import string of a `click.Command`."""
    help: str
    parent: str = ""
    """The group that it belongs to, such as `models`; empty for the top."""

    def __post_init__(self) -> None:
        _check(self.name, _NAME, "command name", "pull")
        _check(self.target, _IMPORT_STRING, "target", "package.module:attribute")


def load_import_string(import_string: str) -> Any:
    """The object that `package.module:attribute` names.

    Raises:
        ImportError: the module can't be imported.
        AttributeError: the module lacks the attribute.
    """
    module_name, _, attributes = import_string.partition(":")
    target: Any = importlib.import_module(module_name)
    for attribute in attributes.split("."):
        target = getattr(target, attribute)
    return target


def load_model(import_string: str) -> type[BaseModel]:
    """The pydantic model that `package.module:Class` names.

    Raises:
        TypeError: it names something else; or as `load_import_string`.
    """
    found = load_import_string(import_string)
    if not isinstance(found, type) or not issubclass(found, BaseModel):
        raise TypeError(f"{import_string} is no pydantic model")
    return found


def _is_installed(module_name: str) -> bool:
    """Looks for a module without importing it or the packages that it is in."""
    first, *others = module_name.split(".")
    if first in sys.modules and not others:
        return True
    try:
        spec = importlib.util.find_spec(first)
        for end in range(1, len(others) + 1):
            where = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(".".join((first, *others[:end])), where) if where else None
    except (ImportError, ValueError):
        return False
    return spec is not None


__all__ = ["CommandSpec", "Preset", "ProviderSpec", "load_import_string", "load_model"]
