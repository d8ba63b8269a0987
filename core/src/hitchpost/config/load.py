"""From a YAML file to a run config, with every problem found at once and each at its YAML path."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from hitchpost.api import RegisterModelRequest
from hitchpost.config.placeholders import fill_placeholders, join_path
from hitchpost.config.run_config import OBSOLETE_KEYS, RunConfig
from hitchpost.errors import ConfigError

MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class LoadedRunConfig:
    """A run config and what is to be said about it: notes are for the operator's eyes, none of them stops a start."""

    config: RunConfig
    notes: Sequence[str]


MAX_VALUES = 100_000
"""How many values a run config may hold, with its aliases written out: a few lines of them can stand for billions."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML forbids a key twice in one mapping, but PyYAML silently takes the last."""

    def read(self) -> Any:
        """The document as mappings, lists and scalars."""
        node = self.get_single_node()
        if node is None:
            return None
        _count_values(node, {})
        return self.construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE_TAG:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_run_config(path: Path, environ: Mapping[str, str]) -> LoadedRunConfig:
    """Read, fill and validate a run config.

    Raises:
        ConfigError: the file can't be read, or what it says can't be; `problems` lists everything that was found.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"run config {path} can't be read: {reason}") from error
    try:
        data = _UniqueKeyLoader(text).read()
    except RecursionError as error:
        raise ConfigError(f"run config {path} is nested too deeply") from error
    except Exception as error:
        # PyYAML's own text quotes the line, which may hold a key; and a bad date or number comes out as a bare ValueError.
        raise ConfigError(f"run config {path} is not YAML: {_place_and_problem(error)}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"run config {path} is not a mapping; it needs at least the key `providers` or `presets`")
    loaded = parse_run_config(data, environ, name=str(path))
    config = loaded.config
    plugins = config.plugins.model_copy(update={"paths": [path.parent / file for file in config.plugins.paths]})
    image_name = config.image_name or path.stem
    return LoadedRunConfig(config.model_copy(update={"plugins": plugins, "image_name": image_name}), loaded.notes)


def parse_run_config(data: dict[str, Any], environ: Mapping[str, str], *, name: str) -> LoadedRunConfig:
    """Fill and validate what a YAML file holds; `name` stands for it in messages.

    Raises:
        ConfigError: with every problem found.
    """
    old = [key for key in ("routing_table", "api_providers", "provider_map") if key in data]
    if old:
        raise ConfigError(
            f"run config {name} has an older form (it has the key {old[0]}); write it as version '2', with `providers`"
        )
    notes = [f"{key}: means nothing to Hitchpost and is ignored" for key in OBSOLETE_KEYS if data.get(key)]
    known = set(RunConfig.model_fields)
    notes += [f"{key}: unknown key, ignored" for key in data if key not in known and key not in OBSOLETE_KEYS]
    problems: list[str] = []
    filled = fill_placeholders({key: value for key, value in data.items() if key in known}, environ, problems)
    try:
        config = RunConfig.model_validate({key: value for key, value in filled.items() if value is not None})
    except ValidationError as error:
        unset = {problem.partition(": ")[0] for problem in problems}
        problems += [line for line in validation_problems(error) if line.partition(": ")[0] not in unset]
    if problems:
        raise ConfigError(
            f"run config {name} has {len(problems)} problem{'s' if len(problems) > 1 else ''}", problems=tuple(problems)
        )
    for key in ("shields", "memory_banks", "metadata_store"):
        if getattr(config, key):
            notes.append(f"{key}: not served by this version of Hitchpost; ignored")
    return LoadedRunConfig(config, notes + _unknown_model_keys(filled.get("models")))


def _unknown_model_keys(models: Any) -> list[str]:
    # The type is that of the register request, which ignores what it doesn't know; a human who mistyped is to hear of it.
    return [
        f"models[{index}].{key}: unknown key, ignored"
        for index, entry in enumerate(models or [])
        for key in entry
        if key not in RegisterModelRequest.model_fields
    ]


def _count_values(node: yaml.Node, counts: dict[int, int]) -> int:
    """How many values a node holds, its aliases written out; refused where it holds too many, or itself."""
    known = counts.get(id(node))
    if known is not None:
        if known < 0:
            raise yaml.MarkedYAMLError(problem="an alias stands for what it is in", problem_mark=node.start_mark)
        return known
    counts[id(node)] = -1
    children: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
    counts[id(node)] = count = 1 + sum(_count_values(child, counts) for child in children)
    if count > MAX_VALUES:
        problem = f"it holds more than {MAX_VALUES} values with its aliases written out"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    return count


def _place_and_problem(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error) if isinstance(error, yaml.YAMLError) else "a date, number or tag can't be read"
    mark = error.problem_mark or error.context_mark
    what = " ".join((error.problem or error.context or "unknown problem").split())
    return what if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {what}"


def validation_problems(error: ValidationError, path: str = "") -> list[str]:
    """Each problem that pydantic found, as `path: what is wrong`, without the values, which may be secrets."""
    lines = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        where = path
        for step in detail["loc"]:
            where = join_path(where, step)
        message = "unknown key" if detail["type"] == "extra_forbidden" else detail["msg"]
        lines.append(f"{where or 'config'}: {message[:1].lower()}{message[1:]}")
    return lines


def validate_as(model: type[BaseModel], data: Mapping[str, Any], path: str, problems: list[str]) -> BaseModel | None:
    """`data` as an instance of `model`, or None with lines added to `problems`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems += validation_problems(error, path)
        return None


__all__ = ["LoadedRunConfig", "load_run_config", "parse_run_config", "validate_as", "validation_problems"]
