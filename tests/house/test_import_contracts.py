"""The contracts of .importlinter hold, and each of them bites: a wrong import in a copy of the sources breaks it by name."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house.sources import ROOT

LAYERS = "The core's packages import one way"
LIGHT_CORE = "The core imports no backend's library and no plugin"
PUBLIC_SURFACE = "Plugins, and providers in the core, import what is public to plugins"
STRANGERS = "No plugin imports another"


@pytest.fixture
def copied_sources(tmp_path: Path) -> Path:
    for package in (ROOT / "core/src", *ROOT.glob("plugins/*/src")):
        shutil.copytree(
            package, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    return tmp_path


@pytest.fixture
def broken_contracts(copied_sources: Path) -> Callable[[], tuple[list[str], str]]:
    """Runs import-linter on the copy; answers the names of the broken contracts and the whole report."""

    def lint() -> tuple[list[str], str]:
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
        result = subprocess.run(
            [*command, "--config", str(ROOT / ".importlinter"), "--no-cache"],
            cwd=copied_sources,
            env={**os.environ, "PYTHONPATH": str(copied_sources), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        report = result.stdout + result.stderr
        broken = [line.removesuffix(" BROKEN") for line in report.splitlines() if line.endswith(" BROKEN")]
        assert bool(broken) == bool(result.returncode), report
        return broken, report

    return lint


def test_sources_keep_every_contract(broken_contracts: Callable[[], tuple[list[str], str]]) -> None:
    broken, report = broken_contracts()

    assert broken == [], report
    assert "4 kept" in report


@pytest.mark.parametrize(
    ("module", "wrong_import", "contracts"),
    [
        pytest.param("hitchpost/errors.py", "import hitchpost.api", [LAYERS], id="a lower layer imports a higher one"),
        pytest.param("hitchpost/store/keys.py", "import hitchpost.llama", [LAYERS], id="one imports its neighbour"),
        pytest.param(
            "hitchpost/routing/late.py",
            "def late():\n    import hitchpost.host",
            [LAYERS],
            id="and late, in a function",
        ),
        pytest.param("hitchpost/host/app.py", "import torch", [LIGHT_CORE], id="the core imports a library"),
        pytest.param(
            "hitchpost/stack/plan.py", "import hitchpost_tiny_llama", [LIGHT_CORE], id="the core imports a plugin"
        ),
        pytest.param(
            "hitchpost_tiny_llama/bad.py", "import hitchpost.stack", [PUBLIC_SURFACE], id="a plugin imports the stack"
        ),
        pytest.param(
            "hitchpost/scripted/bad.py", "import hitchpost.config", [PUBLIC_SURFACE], id="a provider in the core does"
        ),
        pytest.param(
            "hitchpost_tiny_llama/bad.py",
            "import hitchpost_meta_reference",
            [STRANGERS],
            id="a plugin imports a plugin",
        ),
    ],
)
def test_wrong_import_breaks_its_contract(
    module: str,
    wrong_import: str,
    contracts: list[str],
    copied_sources: Path,
    broken_contracts: Callable[[], tuple[list[str], str]],
) -> None:
    with (copied_sources / module).open("a") as file:
        file.write(f"\n{wrong_import}\n")

    broken, report = broken_contracts()

    assert broken == contracts, report
