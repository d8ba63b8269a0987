"""Documents are parsed in processes with limits and without secrets, used again, and gone when they are late, left or broken."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hitchpost.errors import BackendUnavailableError, BadRequestError, UnsupportedError
from hitchpost.ingest import IngestConfig, IngestedDocument, Ingestor
from tests.ingest.conftest import LOG
from tests.ingest.made_documents import carried, document
from tests.processes import children_of, is_alive

TEXT = carried(b"a text", "text/plain")
MIB = 1024 * 1024


@asynccontextmanager
async def ingesting(**config: Any) -> AsyncIterator[Ingestor]:
    made = Ingestor(IngestConfig(**config), LOG)
    try:
        yield made
    finally:
        await made.stop()


def parsing() -> list[int]:
    """The processes of this one that parse documents."""
    return [
        pid
        for pid in children_of(os.getpid())
        if is_alive(pid) and b"hitchpost.ingest" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def reading_in_a_stopped_process(ingestor: Ingestor) -> tuple[asyncio.Task[IngestedDocument], int]:
    """A reading whose process was stopped, as one that computes for ever, and that process."""
    await ingestor.read(TEXT, chunk_size=10)
    (pid,) = parsing()
    os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(ingestor.read(document("<p>page", "text/html"), chunk_size=10))
    # Nothing tells from outside that the document was handed over, but nothing takes time until then either.
    for _ in range(20):
        await asyncio.sleep(0)
    return task, pid


async def test_process_is_used_again_and_ends_with_the_ingestor() -> None:
    async with ingesting() as ingestor:
        await ingestor.read(TEXT, chunk_size=10)
        first = parsing()

        await ingestor.read(document("<p>page", "text/html"), chunk_size=10)

        assert len(first) == 1
        assert parsing() == first
    assert parsing() == []


async def test_short_texts_need_no_process() -> None:
    async with ingesting() as ingestor:
        await asyncio.gather(*(ingestor.read(document("text", "text/markdown"), chunk_size=10) for _ in range(100)))

        assert parsing() == []


async def test_no_more_processes_run_than_documents_may_be_read_at_the_same_time() -> None:
    async with ingesting(max_concurrent=2) as ingestor:
        found = await asyncio.gather(*(ingestor.read(carried(b"%d" % number), chunk_size=10) for number in range(20)))

        assert [each.chunks[0].text for each in found] == [str(number) for number in range(20)]
        assert len(parsing()) == 2


async def test_process_has_nothing_of_the_hosts_environment_and_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "secret-of-the-host")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        async with ingesting() as ingestor:
            await ingestor.read(TEXT, chunk_size=10)
            (pid,) = parsing()

            environment = Path(f"/proc/{pid}/environ").read_bytes()
            opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]

    assert b"secret" not in environment
    assert {entry.split(b"=")[0] for entry in environment.split(b"\0") if entry} <= {
        b"PYTHONPATH",
        b"PYTHONDONTWRITEBYTECODE",
    }
    assert str(tmp_path / "open") not in opened


async def test_process_has_limits_of_memory_files_and_processes() -> None:
    async with ingesting(parse_memory_mib=300, parse_timeout_s=5) as ingestor:
        await ingestor.read(TEXT, chunk_size=10)
        (pid,) = parsing()

        limits = {
            line[:26].strip(): line[26:].split()[:2] for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
        }

    assert limits["Max address space"] == [str(300 * MIB)] * 2
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max processes"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert int(limits["Max cpu time"][0]) <= 10


async def test_document_that_takes_too_much_memory_is_refused_and_the_next_is_read() -> None:
    async with ingesting(parse_memory_mib=256, max_text_characters=50_000_000) as ingestor:
        with pytest.raises(BadRequestError, match=r"takes more memory than it may|broke down"):
            await ingestor.read(carried(b"a " * (10 * MIB), "text/html"), chunk_size=1)

        assert (await ingestor.read(TEXT, chunk_size=10)).token_count == 2


async def test_process_that_is_late_is_killed_and_the_next_document_is_read() -> None:
    async with ingesting(parse_timeout_s=0.3) as ingestor:
        task, pid = await reading_in_a_stopped_process(ingestor)

        with pytest.raises(BadRequestError, match=r"takes longer than 0\.3 s"):
            await task

        assert not is_alive(pid)
        assert (await ingestor.read(TEXT, chunk_size=10)).token_count == 2


async def test_process_that_is_killed_in_the_middle_fails_its_document_only() -> None:
    async with ingesting() as ingestor:
        task, pid = await reading_in_a_stopped_process(ingestor)

        os.kill(pid, signal.SIGKILL)

        with pytest.raises(BadRequestError, match="broke down"):
            await task
        assert (await ingestor.read(TEXT, chunk_size=10)).token_count == 2


async def test_process_that_died_between_documents_is_replaced() -> None:
    async with ingesting() as ingestor:
        await ingestor.read(TEXT, chunk_size=10)
        (pid,) = parsing()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not is_alive(pid))

        assert (await ingestor.read(TEXT, chunk_size=10)).token_count == 2


async def test_cancelled_reading_kills_its_process_and_frees_its_place() -> None:
    async with ingesting(max_concurrent=1) as ingestor:
        task, pid = await reading_in_a_stopped_process(ingestor)

        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        assert not is_alive(pid)
        assert (await ingestor.read(TEXT, chunk_size=10)).token_count == 2


async def test_stop_ends_a_reading_with_the_reason() -> None:
    async with ingesting() as ingestor:
        task, pid = await reading_in_a_stopped_process(ingestor)

        await ingestor.stop()

        with pytest.raises(BackendUnavailableError, match="being stopped"):
            await task
        assert not is_alive(pid)


async def test_stopped_ingestor_reads_short_texts_only_until_it_is_started_again() -> None:
    async with ingesting() as ingestor:
        await ingestor.stop()
        with pytest.raises(BackendUnavailableError, match="being stopped"):
            await ingestor.read(TEXT, chunk_size=10)

        await ingestor.start()
        await ingestor.start()

        assert (await ingestor.read(TEXT, chunk_size=10)).token_count == 2


async def test_process_that_does_not_start_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with ingesting() as ingestor:
        with pytest.raises(BackendUnavailableError, match="does not start"):
            await ingestor.read(TEXT, chunk_size=10)


async def test_missing_interpreter_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    async with ingesting() as ingestor:
        with pytest.raises(BackendUnavailableError, match="can't be started"):
            await ingestor.read(TEXT, chunk_size=10)


@pytest.mark.parametrize(
    ("library", "mime_type", "data"),
    [("lxml", "text/html", b"<p>x"), ("pypdf", "", b"%PDF-1.4"), ("docx", "", b"PK\x03\x04 word/document.xml")],
)
async def test_missing_library_says_what_to_install(
    library: str, mime_type: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hitchpost.ingest.parsing.parse.find_spec", lambda name: None if name == library else object())
    async with ingesting() as ingestor:
        with pytest.raises(UnsupportedError, match=r"pip install 'hitchpost\[ingest\]'"):
            await ingestor.read(carried(data, mime_type), chunk_size=10)
