"""`${env.NAME}` in the strings of a run config.

| form | value |
|---|---|
| `${env.NAME}` | the variable; an error where it is unset |
| `${env.NAME:default}`, `${env.NAME:=default}` | the variable, else `default`, which may be empty and can't contain `}` |
| `${env.NAME:+value}` | `value` where the variable is set, else nothing |

An empty variable counts as unset. A name is made of capitals, digits and underscores; anything else stays as it is. A `~` that begins a
substituted value is the home directory. Keys aren't substituted.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNSET = "is not set and has no default"
"""Ends the problem of a placeholder whose variable is missing."""

_PLACEHOLDER = re.compile(r"\$\{env\.(?P<name>[A-Z0-9_]+)(?:(?P<operator>:[=+]?)(?P<operand>[^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Filling:
    """Where a filled string came from."""

    variables: tuple[str, ...] = ()
    """Environment variables that it was taken from."""
    defaults: tuple[str, ...] = ()
    """Variables that weren't set, so that the placeholder's default stands."""


def fill_placeholders(
    data: Any,
    environ: Mapping[str, str],
    problems: list[str],
    path: str = "",
    fillings: dict[str, Filling] | None = None,
) -> Any:
    """A copy of parsed YAML with its placeholders filled.

    Args:
        data: what a YAML file holds: mappings, lists and scalars.
        environ: the environment variables.
        problems: gets a line for every variable that is missing, with its YAML path.
        path: YAML path of `data`.
        fillings: gets an entry for every string that held a placeholder, by its YAML path.
    """
    if isinstance(data, dict):
        return {
            key: fill_placeholders(value, environ, problems, join_path(path, key), fillings)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [
            fill_placeholders(value, environ, problems, join_path(path, index), fillings)
            for index, value in enumerate(data)
        ]
    if isinstance(data, str) and "${env." in data:
        text, filling = _fill_string(data, environ, problems, path)
        if fillings is not None and filling != Filling():
            fillings[path] = filling
        return text
    return data


def _fill_string(text: str, environ: Mapping[str, str], problems: list[str], path: str) -> tuple[str, Filling]:
    variables: list[str] = []
    defaults: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        value = environ.get(match["name"], "")
        operand = match["operand"]
        (variables if value else defaults).append(match["name"])
        if match["operator"] == ":+":
            value = operand if value else ""
        elif not value:
            if operand is None:
                problems.append(f"{path}: environment variable {match['name']} {UNSET}")
                return ""
            value = operand
        return os.path.expanduser(value) if value.startswith("~") else value

    return _PLACEHOLDER.sub(value_of, text), Filling(tuple(variables), tuple(defaults))


def join_path(path: str, key: object) -> str:
    """A YAML path with one step more: `providers.inference[0].config`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


def outer_paths(path: str) -> list[str]:
    """A YAML path and those of what it is in, the innermost first."""
    ends = [match.start() for match in re.finditer(r"[.\[]", path)]
    return [path, *(path[:end] for end in reversed(ends))]


__all__ = ["UNSET", "Filling", "fill_placeholders", "join_path", "outer_paths"]
