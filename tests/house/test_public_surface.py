"""What docs/plugins.md calls public is what there is, and what the tools and templates go by."""

import ast
import configparser
import importlib
import re
from pathlib import Path

import pytest

from tests.house.sources import ROOT

CORE = ROOT / "core/src/hitchpost"
TEMPLATES = CORE / "scaffold/templates/provider"
PUBLIC = re.findall(r"^\| `(hitchpost[\w.]*)` \|", (ROOT / "docs/plugins.md").read_text("utf-8"), re.MULTILINE)
PROVIDERS = {"hitchpost.scripted", "hitchpost.telemetry"}
"""Provider types of the core's own, which nobody imports."""
TEMPLATE_FILES = sorted(TEMPLATES.rglob("*.py.template"))


def test_every_package_of_the_core_is_public_or_closed_to_plugins() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    closed = set(contracts["importlinter:contract:public-surface"]["forbidden_modules"].split())
    there = {
        f"hitchpost.{path.stem}" for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    packages = there - {"hitchpost.__init__", "hitchpost.__main__"}

    assert packages == (set(PUBLIC) - {"hitchpost"}) | closed | PROVIDERS, "list it in docs/plugins.md or .importlinter"
    assert not closed & set(PUBLIC)


@pytest.mark.parametrize("module", PUBLIC)
def test_public_module_lists_its_names_and_has_them(module: str) -> None:
    loaded = importlib.import_module(module)

    assert loaded.__all__
    assert not [name for name in loaded.__all__ if not hasattr(loaded, name)]


@pytest.mark.parametrize("template", TEMPLATE_FILES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_template_imports_only_what_is_public(template: Path) -> None:
    tree = ast.parse(re.sub(r"\$\{?\w+\}?", "filled", template.read_text(encoding="utf-8")))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "hitchpost" in str(node.module)]

    private = [
        f"{node.module}.{alias.name}"
        for node in imports
        for alias in node.names
        if node.module not in PUBLIC or alias.name not in importlib.import_module(node.module).__all__
    ]

    assert not private
