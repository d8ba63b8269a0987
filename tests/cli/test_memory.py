"""`hitchpost memory` against a running host."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hitchpost.cli import memory_files
from tests.cli.conftest import Run
from tests.cli.terminal import Terminal
from tests.processes import HostProcess

MAX_BODY_BYTES = 64 * 1024
CONFIG = rf"""
version: '2'
server: {{max_body_bytes: {MAX_BODY_BYTES}}}
providers:
  memory:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      script:
      - {{call: insert, when: "ZnVsbA==", fault: {{kind: error, code: overloaded, message: "the disk is full"}}}}
"""


@pytest.fixture(scope="module")
def memory_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A host with memory."""
    with HostProcess(tmp_path_factory.mktemp("memory-host"), CONFIG) as host:
        yield host


@pytest.fixture
def bank(memory_host: HostProcess, hitchpost: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an empty keyword bank of the host, which is the one that commands ask."""
    monkeypatch.setenv("HITCHPOST_URL", memory_host.url)
    name = "notes/2026 ü"
    assert hitchpost("memory-banks", "register", name, "--type", "keyword").exit_code == 0
    yield name
    hitchpost("memory-banks", "unregister", name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with files that can be read and one that can't."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bread.md").write_text("# Bread\nIt has to rest.", encoding="utf-8")
    (tmp_path / "docs/.git").mkdir(parents=True)
    (tmp_path / "docs/.git/config").write_text("hidden")
    (tmp_path / "docs/oslo.txt").write_text("Oslo is a city.")
    (tmp_path / "docs/plain").write_text("No ending at all.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    return tmp_path


def listed(hitchpost: Run, bank: str) -> dict[str, Any]:
    return {one["document_id"]: one for one in json.loads(hitchpost("memory", "list", bank, "--json").output)}


# --- add ---


def test_files_and_directories_become_documents_whose_ids_are_their_paths(
    hitchpost: Run, bank: str, folder: Path
) -> None:
    result = hitchpost("memory", "add", bank, "bread.md", "docs", "docs/oslo.txt")

    documents = listed(hitchpost, bank)
    assert (result.exit_code, result.output) == (0, f"added 3 documents, 3 chunks to {bank}\n")
    assert {name: document["mime_type"] for name, document in documents.items()} == {
        "bread.md": "text/markdown",
        "docs/oslo.txt": "text/plain",
        "docs/plain": None,
    }


def test_what_did_not_go_in_is_reported_and_the_rest_is_there(hitchpost: Run, bank: str, folder: Path) -> None:
    (folder / ("x" * 200)).mkdir()
    long = folder / ("x" * 200) / ("y" * 200)
    long.mkdir()
    deep = long / ("z" * 200)
    deep.write_text("too deep")

    result = hitchpost("memory", "add", bank, "picture.png", "bread.md", str(deep.relative_to(folder)))

    assert result.exit_code == 1
    assert "Error: picture.png: content: inline::scripted reads text, not 'image/png'" in result.output
    assert "its path is longer than 512 characters" in result.output
    assert f"added 1 document, 1 chunk to {bank}\n" in result.output
    assert result.output.endswith("Error: 2 of 3 documents did not go in\n")
    assert list(listed(hitchpost, bank)) == ["bread.md"]


def test_type_metadata_and_time_to_live_are_said_of_each_document(hitchpost: Run, bank: str, folder: Path) -> None:
    options = ("--mime-type", "text/plain", "--metadata", '{"language": "en"}', "--ttl", "1000")

    hitchpost("memory", "add", bank, "bread.md", "picture.png", *options)

    [document] = listed(hitchpost, bank).values()
    assert (document["document_id"], document["mime_type"]) == ("bread.md", "text/plain")
    assert document["metadata"] == {"language": "en"}
    assert document["expires_at"] > document["inserted_at"]


def test_many_files_go_in_by_batches(hitchpost: Run, bank: str, folder: Path) -> None:
    for number in range(40):
        (folder / "docs" / f"{number:02}.txt").write_text(f"text {number}")

    result = hitchpost("memory", "add", bank, "docs")

    assert result.output == f"added 42 documents, 42 chunks to {bank}\n"
    assert len(listed(hitchpost, bank)) == 42


def test_batch_that_fails_ends_it_and_says_how_many_went_in_before(hitchpost: Run, bank: str, folder: Path) -> None:
    for number in range(20):
        (folder / "docs" / f"{number:02}.txt").write_text("full" if number == 18 else "text")

    result = hitchpost("memory", "add", bank, "docs")

    assert result.exit_code == 1
    assert result.output == "Error: the disk is full; 16 went in before\n"


def test_file_that_no_request_can_carry_is_not_sent(
    hitchpost: Run, bank: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_files, "MAX_FILE_BYTES", 1024 * 1024)
    (folder / "large.txt").write_bytes(b"x" * (1024 * 1024 + 1))

    result = hitchpost("memory", "add", bank, "large.txt")

    assert result.exit_code == 1
    assert "large.txt: it is larger than 1 MiB" in result.output
    assert "ingest.file_roots" in result.output


def test_batch_that_is_too_much_for_a_request_of_the_host_goes_in_by_halves(
    hitchpost: Run, bank: str, folder: Path
) -> None:
    for number in range(9):
        (folder / "docs" / f"{number}.txt").write_text("x" * 20_000)
    (folder / "docs" / "5.txt").write_text("x" * MAX_BODY_BYTES)

    result = hitchpost("memory", "add", bank, "docs")

    assert result.exit_code == 1
    assert (
        f"docs/5.txt: the request's body is larger than the {MAX_BODY_BYTES} bytes that this host reads"
        in result.output
    )
    assert "1 of 11 documents did not go in" in result.output
    assert len(listed(hitchpost, bank)) == 10


def test_file_whose_name_is_no_text_goes_in(hitchpost: Run, bank: str, folder: Path) -> None:
    os.mkdir(os.fsencode(folder) + b"/odd")
    Path(os.fsdecode(os.fsencode(folder) + b"/odd/\xff.txt")).write_text("odd")

    result = hitchpost("memory", "add", bank, "odd")

    assert result.exit_code == 0
    assert list(listed(hitchpost, bank)) == ["odd/?.txt"]


def test_bars_grow_where_a_person_watches(bank: str, folder: Path) -> None:
    with Terminal("memory", "add", bank, "docs") as terminal:
        terminal.wait_for("adding to notes/2026")
        terminal.wait_for("100%")
        terminal.wait_for("added 2 documents, 2 chunks")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.md",), "Path 'nothing.md' does not exist"),
        ((), "Missing argument 'FILES...'"),
        (("bread.md", "--ttl", "0"), "0 is not in the range x>=1"),
        (("bread.md", "--metadata", "[]"), "is not a JSON object"),
    ],
)
def test_wrong_use_is_said_before_anything_is_sent(
    arguments: tuple[str, ...], said: str, hitchpost: Run, folder: Path
) -> None:
    result = hitchpost("memory", "add", "b", *arguments)

    assert result.exit_code == 2
    assert said in result.output


def test_directory_without_files_is_said(hitchpost: Run, tmp_path: Path) -> None:
    result = hitchpost("memory", "add", "b", str(tmp_path))

    assert (result.exit_code, result.output) == (1, "Error: there are no files to add\n")


# --- query, list, delete ---


def test_what_fits_is_shown_with_its_score_and_place(hitchpost: Run, bank: str, folder: Path) -> None:
    hitchpost("memory", "add", bank, "bread.md", "docs")

    found = hitchpost("memory", "query", bank, "city oslo")
    nothing = hitchpost("memory", "query", bank, "zebra")
    data = json.loads(hitchpost("memory", "query", bank, "oslo", "--json").output)

    assert found.output == "1.000  docs/oslo.txt #0\nOslo is a city.\n\n"
    assert nothing.output == "nothing was found\n"
    assert [chunk["document_id"] for chunk in data["chunks"]] == ["docs/oslo.txt"]


def test_query_is_bounded_by_number_score_and_metadata(hitchpost: Run, bank: str, folder: Path) -> None:
    for name, metadata in (("bread.md", '{"year": 2024}'), ("docs/oslo.txt", '{"year": "2024"}'), ("docs/plain", "{}")):
        hitchpost("memory", "add", bank, name, "--metadata", metadata)

    def ids(*options: str) -> list[str]:
        answer = hitchpost("memory", "query", bank, "rest city ending", "--json", *options)
        return [chunk["document_id"] for chunk in json.loads(answer.output)["chunks"]]

    assert ids("--max-chunks", "2") == ["bread.md", "docs/oslo.txt"]
    assert ids("--threshold", "0.5") == []
    assert ids("--filter", "year=2024") == ["bread.md"]
    assert ids("--filter", 'year="2024"') == ["docs/oslo.txt"]
    assert ids("--filter", "year=2024", "--filter", "year=null") == ["bread.md", "docs/plain"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--mode", "hybrid"), 1, "params.mode: a keyword bank can't be searched by hybrid"),
        (("--filter", "year"), 2, "'year' is not of the form KEY=VALUE"),
        (("--mode", "sideways"), 2, "'sideways' is not one of"),
    ],
)
def test_query_that_can_not_be_is_refused(
    options: tuple[str, ...], status: int, said: str, hitchpost: Run, bank: str
) -> None:
    result = hitchpost("memory", "query", bank, "x", *options)

    assert result.exit_code == status
    assert said in result.output


def test_documents_are_listed_in_a_table(hitchpost: Run, bank: str, folder: Path) -> None:
    empty = hitchpost("memory", "list", bank)
    hitchpost("memory", "add", bank, "bread.md")

    heading, row = hitchpost("memory", "list", bank).output.splitlines()

    assert empty.output == "the bank is empty\n"
    assert heading.split() == ["DOCUMENT", "TYPE", "CHUNKS", "TOKENS", "INSERTED", "EXPIRES"]
    assert row.split()[:4] == ["bread.md", "text/markdown", "1", "6"]


def test_long_lists_are_read_page_by_page(
    hitchpost: Run, bank: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hitchpost.cli.memory.PAGE_DOCUMENTS", 1)
    hitchpost("memory", "add", bank, "bread.md", "docs")

    assert list(listed(hitchpost, bank)) == ["bread.md", "docs/oslo.txt", "docs/plain"]


def test_deleted_documents_are_gone_and_those_that_were_not_there_are_named(
    hitchpost: Run, bank: str, folder: Path
) -> None:
    hitchpost("memory", "add", bank, "bread.md", "docs")

    fine = hitchpost("memory", "delete", bank, "docs/oslo.txt", "docs/plain")
    missing = hitchpost("memory", "delete", bank, "bread.md", "docs/plain")

    assert (fine.exit_code, fine.output) == (0, f"deleted 2 documents from {bank}\n")
    assert (missing.exit_code, missing.output) == (
        1, f"deleted 1 document from {bank}\nError: not in {bank}: docs/plain\n",
    )  # fmt: skip
    assert listed(hitchpost, bank) == {}


@pytest.mark.parametrize("arguments", [("query", "none", "x"), ("list", "none"), ("delete", "none", "x")])
def test_bank_that_is_not_there_is_said(arguments: tuple[str, ...], hitchpost: Run, bank: str) -> None:
    result = hitchpost("memory", *arguments)

    assert result.exit_code == 1
    assert "Memory_bank `none` not served by" in result.output
