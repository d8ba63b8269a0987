"""The walk of docs/plugins.md, command by command, in an environment that holds the core and what it asks for."""

import json
import os
import re
import subprocess
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.pkg.conftest import ROOT, Distribution, Environment
from tests.processes import HostProcess

PAGE = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
WALK = PAGE.partition("## From nothing to a published wheel")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", WALK, re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:8321"


@pytest.fixture
def author(tmp_path: Path, distributions: Mapping[str, Distribution]) -> Environment:
    """An environment as the page asks for, with a pip of its own."""
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    environment = Environment(tmp_path / "env")
    environment.install(f"{distributions['hitchpost'].wheel}[conformance]")
    return environment


class Walk:
    """Somebody who does what the page says. `hitchpost run` goes on in another terminal until it is called again."""

    def __init__(self, author: Environment, folder: Path, hosts: ExitStack) -> None:
        self._author = author
        self._folder = folder
        self._hosts = hosts
        self._url = ""

    def do(self, commands: str) -> str:
        """What a block of commands prints."""
        *before, last = commands.strip().splitlines()
        run = re.fullmatch(r"hitchpost run (\S+)", last)
        if run is None:
            return self._shell(commands)
        printed = self._shell("\n".join(before))
        self._hosts.close()
        text = (self._folder / run[1]).read_text(encoding="utf-8")
        host = HostProcess(self._folder, text, python=self._author.python)
        self._url = self._hosts.enter_context(host).url
        return printed

    def _shell(self, commands: str) -> str:
        place = self._author.folder / "where"
        path = f"{self._author.folder / 'bin'}:{os.environ['PATH']}"
        script = f"set -eu\n{commands.replace(ADDRESS, self._url)}\npwd > {place}"
        result = subprocess.run(
            ["sh", "-c", script],
            cwd=self._folder,
            env={**os.environ, "PATH": path, "NO_COLOR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert result.returncode == 0, commands + result.stdout + result.stderr
        self._folder = Path(place.read_text(encoding="utf-8").strip())
        return result.stdout


@pytest.fixture
def walk(author: Environment, tmp_path: Path) -> Iterator[Walk]:
    folder = tmp_path / "empty"
    folder.mkdir()
    for language, text in BLOCKS:
        if language in ("python", "yaml"):
            name, content = text.split("\n", 1)
            (folder / name.removeprefix("# ")).write_text(content, encoding="utf-8")
    with ExitStack() as hosts:
        yield Walk(author, folder, hosts)


@pytest.mark.timeout(300)
def test_every_command_of_the_walk_prints_what_stands_below_it(walk: Walk) -> None:
    printed = ""
    compared = 0
    for language, text in BLOCKS:
        if language == "sh":
            printed = walk.do(text)
        elif language in COMPARED:
            assert COMPARED[language](text, printed), f"{text}\n--- in place of that it printed:\n{printed}"
            compared += 1

    assert compared >= 5


def is_same_answer(shown: str, printed: str) -> bool:
    def lasting(text: str) -> dict[str, Any]:
        return {name: value for name, value in json.loads(text).items() if name not in ("id", "created")}

    return lasting(shown) == lasting(printed)


def has_every_line(shown: str, printed: str) -> bool:
    """But for numbers, spaces, and what stands further right."""

    def normal(line: str) -> str:
        return " ".join(re.sub(r"\d+", "0", line).strip("= ").split())

    there = "\n".join(map(normal, printed.splitlines()))
    return all(normal(line) in there for line in shown.splitlines())


COMPARED: Mapping[str, Callable[[str, str], bool]] = {"json": is_same_answer, "text": has_every_line}
