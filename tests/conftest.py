"""What tests of more than one area stand on."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def broken_plugins_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH that has every distribution of `tests/plugins` installed: one good, the others broken on purpose."""
    folder = tmp_path_factory.mktemp("broken-plugins")
    distributions = [str(path.parent) for path in Path(__file__).parent.glob("plugins/*/pyproject.toml")]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(folder), *distributions],
        check=True,
    )
    return folder


@pytest.fixture(scope="session")
def broken_plugins_env(broken_plugins_path: Path) -> dict[str, str]:
    """Variables with which a process finds the distributions of `tests/plugins`."""
    return {"PYTHONPATH": str(broken_plugins_path)}
