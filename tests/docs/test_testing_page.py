"""The suite of `docs/testing-your-app.md` passes as it stands there, and so do the run configs of `docs/scripted.md` start."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.processes import HostProcess

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "testing-your-app.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
RUN_CONFIGS = re.findall(r"```yaml\n(.*?)```", (DOCS / "scripted.md").read_text(encoding="utf-8"), re.DOTALL)


def test_every_block_of_the_page_is_a_file_of_the_suite() -> None:
    names = [re.match(r"# ([\w.]+)\n", code) for _, code in BLOCKS]

    assert len(BLOCKS) >= 6
    assert all(names), "begin each block with the name of its file, as a comment"


def test_suite_of_the_page_passes(tmp_path: Path) -> None:
    for _, code in BLOCKS:
        first, rest = code.split("\n", 1)
        (tmp_path / first.removeprefix("# ")).write_text(rest, encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)

    tests = PAGE.count("\ndef test_") + PAGE.count("\nasync def test_")
    passed = re.search(r"(\d+) passed in", result.stdout)
    assert passed is not None, result.stdout + result.stderr
    assert result.returncode == 0, result.stdout + result.stderr
    assert int(passed[1]) >= tests


@pytest.mark.parametrize("run_config", RUN_CONFIGS, ids=lambda text: next(iter(yaml.safe_load(text)["providers"])))
def test_providers_of_a_run_config_are_ready(run_config: str, tmp_path: Path) -> None:
    with HostProcess(tmp_path, run_config) as host:
        assert host.log.count(" is ready\n") == len(yaml.safe_load(run_config)["providers"])
