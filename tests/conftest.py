"""What tests of more than one area stand on."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import LEFT_OUT, PostgresServer, RedisServer


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host remembers, a test forgets."""
    monkeypatch.setenv("HITCHPOST_HOME", str(tmp_path_factory.mktemp("state") / "home"))


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


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server that all tests of the run share: each takes a namespace of its own, and none kills it."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that all tests of the run share: each takes a table name of its own, and none kills it."""
    with PostgresServer() as server:
        yield server


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the run with the names of the tests that were left out for want of a program."""
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    left_out: dict[str, list[str]] = {}
    for report in reporter.stats.get("skipped", ()) if reporter else ():
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason.startswith(LEFT_OUT):
            left_out.setdefault(reason.removeprefix(LEFT_OUT), []).append(report.nodeid)
    for reason, tests in left_out.items():
        assert reporter is not None
        reporter.write_sep("=", f"{len(tests)} left out: {reason}", yellow=True)
        for test in tests:
            reporter.write_line(test)
