"""What tests of more than one area stand on."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _log_levels_as_before() -> Iterator[None]:
    """A command that is called in this process sets up the log; the next test must not notice."""
    loggers = [logging.getLogger(name) for name in (None, "hitchpost")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


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
