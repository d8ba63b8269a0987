"""The runtime twin of the import contracts, as imports inside functions escape every linter: what a fresh interpreter has loaded."""

import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp", "boto3", "charset_normalizer", "docx", "fairscale", "httptools", "jinja2", "llguidance", "lxml",
    "numpy", "psycopg", "psycopg_pool", "pypdf", "redis", "safetensors", "sentencepiece", "tiktoken", "tokenizers",
    "torch", "transformers", "weaviate",
}  # fmt: skip


def modules_after(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after `code`."""
    report = "import atexit, sys; atexit.register(lambda: print('\\nMODULES', *sys.modules))\n"
    result = subprocess.run([sys.executable, "-c", report + code], capture_output=True, text=True, check=True)
    return set(result.stdout.rpartition("\nMODULES ")[2].split())


@pytest.mark.parametrize(
    "module",
    ["hitchpost", "hitchpost.ingest", "hitchpost.plugin", "hitchpost.remote", "hitchpost.store", "hitchpost.cli.main"],
)
def test_import_loads_no_heavy_library(module: str) -> None:
    assert not HEAVY & modules_after(f"import {module}"), "import it where it is first used, inside the function"


@pytest.mark.parametrize("command", ["--help", "--version", "plugins", "providers"])
def test_command_loads_no_heavy_library(command: str) -> None:
    loaded = modules_after(f"import sys; sys.argv[1:] = [{command!r}]\nfrom hitchpost.cli.main import main; main()")

    assert "hitchpost.cli.main" in loaded
    assert not HEAVY & loaded, "import it where it is first used, inside the function"
