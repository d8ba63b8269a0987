"""From a YAML file to a run config, with every problem found at once and each at its YAML path."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hitchpost.api import RegisterMemoryBankRequest, RegisterModelRequest, RegisterShieldRequest
from hitchpost.api.config_path import config_context
from hitchpost.config.document import read_yaml
from hitchpost.config.placeholders import Filling, fill_placeholders, join_path, outer_paths
from hitchpost.config.published_types import FOREIGN_APIS
from hitchpost.config.readable import readable_model
from hitchpost.config.run_config import OBSOLETE_KEYS, RunConfig
from hitchpost.config.upgrade import Change, Upgraded, upgrade_run_config
from hitchpost.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LoadedRunConfig:
    """A run config, what is wrong with it, and what else is to be said about it."""

    config: RunConfig
    """Where there are problems: what could be read, see `readable_model`."""
    name: str = "run config"
    """Stands for the file in messages."""
    problems: Sequence[str] = ()
    """Each as `path: what is wrong`."""
    notes: Sequence[str] = ()
    """For the operator's eyes, of the same form; none of them stops a start."""
    changes: Sequence[Change] = ()
    """What was changed to read a file of an older form."""
    fillings: Mapping[str, Filling] = field(default_factory=dict)
    """By YAML path, where the strings that held placeholders came from."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Line of each YAML path of the file."""
    upgraded: Upgraded = field(default_factory=lambda: Upgraded({}))
    folder: Path | None = None
    """Where the file lies, if it is one: what paths are relative to."""

    def find_line(self, path: str) -> int | None:
        """The line of a part of the config, or of the innermost part around it that the file has."""
        return self._line(self.upgraded.given_path(path))

    def located(self, remark: str) -> str:
        """A problem or note with its line beside its path."""
        path, colon, what = remark.partition(": ")
        line = self.find_line(path) if colon else None
        return remark if line is None else f"{path} (line {line}): {what}"

    def located_change(self, change: Change) -> str:
        """The same for a change, whose path is the file's own."""
        line = self._line(change.path)
        return str(change) if line is None else f"{change.path} (line {line}): {change.what}"

    def _line(self, path: str) -> int | None:
        return next((self.lines[outer] for outer in outer_paths(path) if outer in self.lines), None)

    def check(self, further: Sequence[str] = ()) -> None:
        """Refuse a config with problems.

        Args:
            further: what else was found wrong with it.

        Raises:
            ConfigError: there are problems; it lists them all.
        """
        problems = [*self.problems, *(problem for problem in further if problem not in self.problems)]
        if problems:
            problems.sort(key=lambda problem: self.find_line(problem.partition(": ")[0]) or 0)
            raise error_of(self.name, list(map(self.located, problems)))


def load_run_config(path: Path, environ: Mapping[str, str]) -> LoadedRunConfig:
    """Read, upgrade, fill and validate a run config.

    Raises:
        ConfigError: the file can't be read, or what it says can't be; `problems` lists everything that was found.
    """
    loaded = read_run_config(path, environ)
    loaded.check()
    return loaded


def read_run_config(path: Path, environ: Mapping[str, str]) -> LoadedRunConfig:
    """The same, with the problems in the answer, so that further ones can be found before all are reported.

    Raises:
        ConfigError: the file can't be read, is no YAML or no mapping; or its section `plugins` is wrong, which decides whose code is loaded.
    """
    name = f"run config {path}"
    document = read_yaml(read_text(path), name)
    if not isinstance(document.data, dict):
        raise ConfigError(f"{name} is not a mapping; it needs at least the key `providers` or `presets`")
    loaded = replace(_read(document.data, environ, name, path.parent), lines=document.lines)
    if is_wrong("plugins", loaded.problems):
        loaded.check()
    config = loaded.config
    plugins = config.plugins.model_copy(update={"paths": [path.parent / file for file in config.plugins.paths]})
    image_name = config.image_name or _name_by_place(path)
    return replace(loaded, config=config.model_copy(update={"plugins": plugins, "image_name": image_name}))


def read_text(path: Path) -> str:
    """The text of a run config file.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"run config {path} can't be read: {reason}") from error


def parse_run_config(data: Mapping[Any, Any], environ: Mapping[str, str], *, name: str) -> LoadedRunConfig:
    """Upgrade, fill and validate what a YAML file holds; `name` stands for it in messages.

    Raises:
        ConfigError: with every problem found.
    """
    loaded = _read(data, environ, f"run config {name}")
    loaded.check()
    return loaded


def _read(
    given: Mapping[Any, Any], environ: Mapping[str, str], name: str, folder: Path | None = None
) -> LoadedRunConfig:
    upgraded = upgrade_run_config(given)
    notes: list[str] = []
    problems = list(upgraded.problems)
    fillings: dict[str, Filling] = {}
    known = _known_parts(upgraded.data, notes)
    filled = fill_placeholders(known, environ, problems, fillings=fillings)
    present = {key: value for key, value in filled.items() if value is not None}
    try:
        config = RunConfig.model_validate(present, context=config_context(folder))
    except ValidationError as error:
        problems += [line for line in validation_problems(error, data=present) if not is_reported(line, problems)]
        config = readable_model(RunConfig, present)
    for section, kind in _RESOURCES.items():
        notes += _unknown_keys(section, kind, present.get(section))
    return LoadedRunConfig(config, name, problems, notes, upgraded.changes, fillings, upgraded=upgraded, folder=folder)


_RESOURCES: Mapping[str, type[BaseModel]] = {
    "models": RegisterModelRequest,
    "shields": RegisterShieldRequest,
    "memory_banks": RegisterMemoryBankRequest,
}


def _known_parts(data: Mapping[Any, Any], notes: list[str]) -> dict[Any, Any]:
    """What means something here; `notes` say what doesn't."""
    notes += [f"{key}: means nothing to Hitchpost and is ignored" for key in OBSOLETE_KEYS if data.get(key)]
    known = set(RunConfig.model_fields)
    notes += [f"{key}: unknown key, ignored" for key in data if key not in known and key not in OBSOLETE_KEYS]
    parts = {key: value for key, value in data.items() if key in known}
    providers = parts.get("providers")
    if isinstance(providers, dict):
        foreign = [api for api in FOREIGN_APIS if api in providers]
        notes += [f"providers.{api}: Hitchpost has no API of this name; its providers are ignored" for api in foreign]
        parts["providers"] = {api: entries for api, entries in providers.items() if api not in foreign}
    return parts


def _unknown_keys(section: str, kind: type[BaseModel], entries: Any) -> list[str]:
    # The types are those of register requests, which ignore what they don't know; a human who mistyped is to hear of it.
    return [
        f"{section}[{index}].{key}: unknown key, ignored"
        for index, entry in enumerate(entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        for key in entry
        if key not in kind.model_fields
    ]


def error_of(name: str, problems: Sequence[str]) -> ConfigError:
    """What says that a config, called `name`, has these problems."""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return ConfigError(f"{name} has {count}", problems=tuple(problems))


def is_wrong(path: str, problems: Sequence[str]) -> bool:
    """Whether one of the problems is at a YAML path or below it."""
    return any(problem.startswith((f"{path}:", f"{path}.", f"{path}[")) for problem in problems)


def is_reported(problem: str, problems: Sequence[str]) -> bool:
    """Whether one of the problems has the YAML path of this one."""
    path = f"{problem.partition(': ')[0]}: "
    return any(other.startswith(path) for other in problems)


def validation_problems(error: ValidationError, path: str = "", data: Any = None) -> list[str]:
    """Each problem that pydantic found, as `path: what is wrong`, without the values, which may be secrets.

    Args:
        path: YAML path of what was validated.
        data: what was validated; steps that it doesn't have, such as the members of a union, are left out of the paths.
    """
    lines = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        where, value = path, data
        for step in detail["loc"]:
            is_there = step in value if isinstance(value, dict) else isinstance(value, list) and isinstance(step, int)
            if is_there or data is None or (detail["type"] == "missing" and step == detail["loc"][-1]):
                where = join_path(where, step)
                value = value[step] if is_there else None
        message = "unknown key" if detail["type"] == "extra_forbidden" else detail["msg"].removeprefix("Value error, ")
        lines.append(f"{where or 'config'}: {message[:1].lower()}{message[1:]}")
    return lines


def validate_as(
    model: type[BaseModel], data: Mapping[str, Any], path: str, problems: list[str], folder: Path | None = None
) -> BaseModel | None:
    """`data`, from a run config in `folder`, as an instance of `model`, or None with lines added to `problems`."""
    try:
        return model.model_validate(data, context=config_context(folder))
    except ValidationError as error:
        problems += validation_problems(error, path, data)
        return None


def _name_by_place(path: Path) -> str:
    """Most files are called `run.yaml`, and two of them must not share what their hosts remember."""
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    return f"{path.stem}-{place}"


__all__ = [
    "LoadedRunConfig",
    "error_of",
    "is_reported",
    "is_wrong",
    "load_run_config",
    "parse_run_config",
    "read_run_config",
    "read_text",
    "validate_as",
    "validation_problems",
]
