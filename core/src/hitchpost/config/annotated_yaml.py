"""YAML with a remark behind each value."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from hitchpost.config.placeholders import join_path


def annotated_yaml(data: Any, remark: Callable[[str], str]) -> str:
    """`data` as YAML, one value a line.

    Args:
        data: mappings, lists and scalars.
        remark: what to write behind the value at a YAML path; empty for nothing.
    """
    lines = []
    for text, path in _lines(data, ""):
        said = remark(path) if path is not None else ""
        lines.append(f"{text}  # {said}" if said else text)
    return "".join(f"{line}\n" for line in lines)


def _lines(value: Any, path: str) -> Iterator[tuple[str, str | None]]:
    """Lines without the indentation that they get from outside; with the path of the value that ends there, if one does."""
    if isinstance(value, dict) and value:
        for key, member in value.items():
            below = join_path(path, key)
            if isinstance(member, dict | list) and member:
                yield f"{_scalar(key)}:", None
                indent = "  " if isinstance(member, dict) else ""
                yield from ((indent + text, at) for text, at in _lines(member, below))
            else:
                yield f"{_scalar(key)}: {_scalar(member)}", below
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            for number, (text, at) in enumerate(_lines(item, join_path(path, index))):
                yield ("  " if number else "- ") + text, at
    else:
        yield _scalar(value), path


def _scalar(value: Any) -> str:
    is_plain = not isinstance(value, str) or (value.isprintable() and len(value) < 120)
    text: str = yaml.safe_dump(
        value, default_flow_style=True, default_style=None if is_plain else '"', width=math.inf, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


__all__ = ["annotated_yaml"]
