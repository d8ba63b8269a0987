"""What happens to tests whose program isn't installed: they are left out by name, and fail where everything must be installed."""

import os
import subprocess
import sys
from pathlib import Path

from tests.house.sources import ROOT

TEST = "tests/store/test_lasting.py::test_namespaces_are_apart[redis]"


def output_without_programs(folder: Path, ci: str) -> list[str]:
    """The lines of a run of one test that needs Redis, where no program is to be found."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", TEST],
        cwd=ROOT,
        env={**os.environ, "PATH": str(folder), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.splitlines()


def test_last_lines_of_a_run_name_what_was_left_out(tmp_path: Path) -> None:
    lines = output_without_programs(tmp_path, ci="")

    assert "1 skipped" in lines[-3]
    assert "1 left out: redis-server is not installed; Debian's package redis-server has it" in lines[-2]
    assert lines[-1] == TEST


def test_nothing_is_left_out_in_ci(tmp_path: Path) -> None:
    lines = output_without_programs(tmp_path, ci="true")

    assert "1 error" in lines[-1]
