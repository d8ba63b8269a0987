"""The examples of docs/memory.md do what stands beside them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import HostProcess

PAGE = (Path(__file__).parents[2] / "docs/memory.md").read_text(encoding="utf-8")
[CONFIG] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS, CURL = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def notes_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A host with the run config of the page."""
    with HostProcess(tmp_path_factory.mktemp("notes-host"), CONFIG) as host:
        yield host


def run(code: str, host: HostProcess, folder: Path) -> str:
    environ = {**os.environ, "HITCHPOST_URL": host.url}
    code = f'hitchpost() {{ "{sys.executable}" -m hitchpost "$@"; }}; set -e\n{code}'
    done = subprocess.run(
        ["sh", "-c", code], check=True, capture_output=True, text=True, timeout=60, cwd=folder, env=environ
    )
    return done.stdout


def test_commands_add_find_list_and_delete(notes_host: HostProcess, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/old.md").write_text("Dough does rest long.")
    (tmp_path / "README.md").write_text("A bakery.")

    printed = run(COMMANDS, notes_host, tmp_path)

    assert printed.startswith("added 2 documents, 2 chunks to notes\n")
    assert "docs/old.md #0\nDough does rest long.\n" in printed
    assert re.search(r"^README\.md +text/markdown ", printed, re.MULTILINE)
    assert printed.endswith("deleted 1 document from notes\n")


def test_routes_answer_what_the_table_says(notes_host: HostProcess, tmp_path: Path) -> None:
    code = CURL.replace("http://127.0.0.1:8321", notes_host.url).replace("\ncurl", "\necho; curl")

    printed = run(code, notes_host, tmp_path)

    inserted, found, listed, read, counted, deleted = (json.loads(line) for line in printed.split("\n") if line)
    assert inserted == {"documents": [{"document_id": "a/b", "chunk_count": 1, "error": None}]}
    assert [chunk["metadata"] for chunk in found["chunks"]] == [{"language": "en"}]
    assert "a/b" in [document["document_id"] for document in listed["data"]]
    assert [chunk["position"] for chunk in read["chunks"]] == [0]
    assert set(counted) == {"document_count", "chunk_count", "token_count", "size_bytes"}
    assert deleted == {"deleted": ["a/b"]}
