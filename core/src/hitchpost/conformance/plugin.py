"""The pytest plugin: gathers how checks ended, for the summary and for `--conformance-report`.

pytest loads this module in every test suite where Hitchpost is installed; what it does there is next to nothing.
"""

from pathlib import Path

import pytest

from hitchpost.conformance.report import CHECK_ID, ConformanceReport

_REPORT = pytest.StashKey[ConformanceReport]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--conformance-report=FILE`."""
    group = parser.getgroup("hitchpost", "conformance of Hitchpost providers")
    group.addoption(
        "--conformance-report",
        metavar="FILE",
        type=Path,
        help="write how each conformance check of each provider ended into this file, as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to gather; in a worker of pytest-xdist too, which costs nothing there."""
    gathered = ConformanceReport()
    config.stash[_REPORT] = gathered
    config.pluginmanager.register(gathered, "hitchpost-conformance-report")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a check's report say that it is one, also where its fixtures fail."""
    for item in items:
        described = getattr(getattr(item, "obj", None), "check", None)
        if described is not None and type(described).__module__ == "hitchpost.conformance.check":
            item.user_properties.append((CHECK_ID, described.id))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the file, in the process that the user started."""
    path: Path | None = session.config.getoption("--conformance-report")
    if path is not None and not hasattr(session.config, "workerinput"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(session.config.stash[_REPORT].as_json(), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line per provider."""
    lines = config.stash[_REPORT].summary()
    if lines:
        terminalreporter.section("Hitchpost conformance")
        for line in lines:
            terminalreporter.line(line)


__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]
