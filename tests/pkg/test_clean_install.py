"""The wheels in environments that hold what they declare and nothing else."""

import pytest

from tests.pkg.conftest import Environment

MAX_PACKAGES = 22

IMPORT_EVERYTHING = """
import importlib, pkgutil, hitchpost
parsers = tuple(f"hitchpost.ingest.parsing.{name}" for name in ("docx", "html", "pdf"))
remote = tuple(f"hitchpost.remote.{name}" for name in ("connection", "pool", "transport"))
of_extras = ("hitchpost.conformance.", "hitchpost.store.postgres", "hitchpost.store.redis", *parsers, *remote)
for module in pkgutil.walk_packages(hitchpost.__path__, "hitchpost."):
    if not module.name.startswith(of_extras):
        importlib.import_module(module.name)
print(hitchpost.__file__)
"""


def test_core_resolves_to_at_most_22_packages(core_alone: Environment) -> None:
    count = "from importlib.metadata import distributions; print(*sorted(d.name for d in distributions()), sep='\\n')"

    packages = core_alone.run("python", "-c", count).split()

    assert "hitchpost" in packages
    assert len(packages) <= MAX_PACKAGES, packages


def test_every_module_of_the_core_imports_with_its_declared_dependencies(core_alone: Environment) -> None:
    place = core_alone.run("python", "-W", "error", "-c", IMPORT_EVERYTHING)

    assert place.startswith(str(core_alone.folder))


def test_core_alone_has_its_command(core_alone: Environment) -> None:
    assert core_alone.run("hitchpost", "--version").strip().endswith("0.1.0")
    assert "Usage: hitchpost" in core_alone.run("hitchpost", "--help")


def test_core_alone_lists_its_own_provider(core_alone: Environment) -> None:
    assert "inline::scripted" in core_alone.run("hitchpost", "providers")


def test_run_with_nothing_installed_says_what_to_install(core_alone: Environment) -> None:
    said = core_alone.run("hitchpost", "run", expect=2)

    assert "hitchpost-tiny-llama" in said


@pytest.mark.parametrize(
    "plugin", ["bedrock", "meta_reference", "remote_ollama", "remote_openai", "remote_tgi", "tiny_llama", "weaviate"]
)
def test_plugin_is_discovered_without_its_libraries(plugin: str, core_with_plugins: Environment) -> None:
    lines = [line for line in core_with_plugins.run("hitchpost", "plugins").splitlines() if plugin in line.split()]

    assert len(lines) == 1
    assert "loaded" in lines[0]


def test_provider_type_without_its_libraries_says_what_to_install(core_with_plugins: Environment) -> None:
    assert "hitchpost-meta-reference[inference]" in core_with_plugins.run("hitchpost", "providers")
