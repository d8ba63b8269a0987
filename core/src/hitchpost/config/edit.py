"""Changing a YAML text without losing its comments, by ruamel.yaml, which the extra `configure` installs."""

from collections.abc import Mapping
from copy import deepcopy
from io import StringIO
from typing import Any

import yaml

from hitchpost.config.document import read_yaml
from hitchpost.config.placeholders import join_path
from hitchpost.errors import ConfigError

INSTALL = "pip install 'hitchpost[configure]'"
_ID_KEYS = ("provider_id", "model_id", "shield_id", "memory_bank_id")


def plain_yaml(data: Mapping[Any, Any]) -> str:
    """The data as YAML, without any comment."""
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=140)


def edited_yaml(text: str, data: Mapping[Any, Any], moved: Mapping[str, str] | None = None) -> str | None:
    """The text changed so that it holds `data`, with the comments of what stays; None where that can't be done.

    Args:
        text: YAML that `read_yaml` reads.
        data: what it is to hold.
        moved: YAML paths in `data` of what stands elsewhere in the text, and where.

    Raises:
        ConfigError: ruamel.yaml isn't installed.
    """
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
        from ruamel.yaml.representer import RoundTripRepresenter
        from ruamel.yaml.util import load_yaml_guess_indent
    except ImportError as error:
        raise ConfigError(f"keeping the comments of a file needs ruamel.yaml; install it with: {INSTALL}") from error

    class Representer(RoundTripRepresenter):  # type: ignore[misc]
        """Writes `null`, since a key with nothing behind it looks like a mistake."""

    Representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    round_trip = YAML()
    round_trip.Representer = Representer
    round_trip.preserve_quotes = True
    round_trip.width = 4096
    try:
        _, indent, offset = load_yaml_guess_indent(text)
        round_trip.indent(mapping=2, sequence=indent or 2, offset=offset or 0)
        document = round_trip.load(text)
        editor = _Editor(document, moved or {})
        editor.change_mapping(document, data, "")
        written = StringIO()
        round_trip.dump(document, written)
        result = written.getvalue()
        return result if read_yaml(result, "what was written").data == data else None
    except (YAMLError, ConfigError, AttributeError, KeyError, TypeError, ValueError, NotImplementedError):
        # ruamel reads YAML 1.2 and fails in its own ways on what only 1.1 allows; the caller has the plain form.
        return None


def has_fewer_aliases(old: str, new: str) -> bool:
    """Whether aliases of a YAML text are gone from another one, which holds what they stand for in their place."""
    return _count_aliases(new) < _count_aliases(old)


def _count_aliases(text: str) -> int:
    return sum(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader))


class _Editor:
    def __init__(self, document: Any, moved: Mapping[str, str]) -> None:
        self._moved = moved
        nodes = _nodes(document, "") if moved else {}
        self._sources = {now: deepcopy(nodes[given]) for now, given in moved.items() if given in nodes}

    def change_mapping(self, node: Any, new: Mapping[Any, Any], path: str) -> None:
        for key in [key for key in node if key not in new]:
            del node[key]
        for position, (key, value) in enumerate(new.items()):
            below = join_path(path, key)
            if key in node:
                changed = self._changed(node[key], value, below)
                # What a merge key brings stays with it.
                if changed is not node[key]:
                    node[key] = changed
            else:
                node.insert(position, key, self._made(value, below))

    def _changed(self, node: Any, new: Any, path: str) -> Any:
        if type(node) is bool or type(new) is bool:
            return node if node is new else new
        if node == new and not isinstance(new, dict | list):
            return node
        if isinstance(node, dict) and isinstance(new, dict):
            self.change_mapping(node, new, path)
            return node
        if isinstance(node, list) and isinstance(new, list):
            self._change_list(node, new, path)
            return node
        return self._made(new, path)

    def _change_list(self, node: Any, new: list[Any], path: str) -> None:
        partners = _partners(node, new)
        for index in reversed(range(len(node))):
            if index not in partners.values():
                del node[index]
        for index, value in enumerate(new):
            below = join_path(path, index)
            if index in partners:
                node[index] = self._changed(node[index], value, below)
            else:
                node.insert(index, self._made(value, below))

    def _made(self, value: Any, path: str) -> Any:
        source = self._sources.get(path)
        if isinstance(value, dict) and isinstance(source, dict):
            self.change_mapping(source, value, path)
            return source
        if isinstance(value, dict):
            from ruamel.yaml.comments import CommentedMap

            return CommentedMap({key: self._made(member, join_path(path, key)) for key, member in value.items()})
        if isinstance(value, list):
            return [self._made(item, join_path(path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and _is_no_text_in_yaml_1_1(value):
            from ruamel.yaml.scalarstring import DoubleQuotedScalarString

            return DoubleQuotedScalarString(value)
        return value


def _is_no_text_in_yaml_1_1(value: str) -> bool:
    """Whether a text such as `on` or `1_000` would be read as something else by PyYAML, which ruamel doesn't know."""
    try:
        return not isinstance(yaml.safe_load(value), str)
    except (yaml.YAMLError, ValueError):
        return False


def _partners(old: list[Any], new: list[Any]) -> dict[int, int]:
    """For entries of the new list, their place in the old one; both grow."""
    partners: dict[int, int] = {}
    start = 0
    for index, value in enumerate(new):
        found = next((place for place in range(start, len(old)) if _is_same(old[place], value)), None)
        if found is not None:
            partners[index] = found
            start = found + 1
    return partners


def _is_same(old: Any, new: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return next((old[key] == new.get(key) for key in _ID_KEYS if key in old), old == new)
    return bool(old == new)


def _nodes(node: Any, path: str) -> dict[str, Any]:
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = {path: node}
    for step, child in steps:
        found |= _nodes(child, join_path(path, step))
    return found


__all__ = ["INSTALL", "edited_yaml", "has_fewer_aliases", "plain_yaml"]
