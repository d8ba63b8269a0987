"""YAML text as data, with the line that each part stands on."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from hitchpost.config.placeholders import join_path
from hitchpost.errors import ConfigError

MERGE_TAG = "tag:yaml.org,2002:merge"
MAX_VALUES = 100_000
"""How many values a run config may hold, with its aliases written out: a few lines of them can stand for billions."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """What a YAML text holds."""

    data: Any
    lines: Mapping[str, int]
    """By YAML path, counted from 1; for a part that came by an alias, the line of what the alias stands for."""


def read_yaml(text: str, name: str) -> YamlDocument:
    """Parse a text; `name` stands for it in messages.

    Raises:
        ConfigError: it is no YAML, or says something twice; the message names the place and quotes nothing, which may be a secret.
    """
    try:
        return _UniqueKeyLoader(text).read()
    except RecursionError as error:
        raise ConfigError(f"{name} is nested too deeply") from error
    except Exception as error:
        # PyYAML's own text quotes the line, which may hold a key; and a bad date or number comes out as a bare ValueError.
        raise ConfigError(f"{name} is not YAML: {_place_and_problem(error)}") from error


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML forbids a key twice in one mapping, but PyYAML silently takes the last."""

    def read(self) -> YamlDocument:
        """The document as mappings, lists and scalars."""
        node = self.get_single_node()
        if node is None:
            return YamlDocument(None, {})
        _count_values(node, {})
        data = self.construct_document(node)
        lines: dict[str, int] = {}
        self._find_lines(node, "", lines)
        return YamlDocument(data, lines)

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

    def _find_lines(self, node: yaml.Node, path: str, lines: dict[str, int]) -> None:
        steps: list[tuple[object, yaml.Node, yaml.Node]] = []
        if isinstance(node, yaml.SequenceNode):
            steps = [(index, child, child) for index, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            steps = [(self.construct_object(key, deep=True), key, child) for key, child in node.value]
        for step, place, child in steps:
            below = join_path(path, step)
            lines[below] = place.start_mark.line + 1
            self._find_lines(child, below, lines)


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


__all__ = ["MAX_VALUES", "YamlDocument", "read_yaml"]
