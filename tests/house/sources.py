"""The repository's Python files, parsed once for all house rules."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON_FILES = sorted(
    path
    for folder in ("core", "plugins", "tests", "bench", "docs", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if not {".venv", ".tox", "build", "dist"} & set(path.parts)
)
SOURCE_FILES = [path for path in PYTHON_FILES if "src" in path.relative_to(ROOT).parts[:3]]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def nodes(*kinds: type[ast.AST]) -> list[tuple[str, ast.AST]]:
    """Every node of these kinds in the sources, each with its place as `path:line`."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path in SOURCE_FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, kinds)
    ]
