"""A SQLite store and what befalls processes: death in the middle of a write, company, a full disk."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hitchpost.store import SqliteStoreConfig, open_store
from tests.store.places import keys_of
from tests.store.reader import Reader
from tests.store.writer import apply_step, value_of

MANY = 100_000
WRITER = Path(__file__).with_name("writer.py")
FULL_DISK = Path(__file__).with_name("full_disk.py")


def start_writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def entries_of(path: Path) -> dict[str, str]:
    store = await open_store(SqliteStoreConfig(db_path=path))
    entries = {key: value async for key, value in store.scan()}
    await store.close()
    return entries


def lives_until_killed(path: Path, last_line: str, extra_s: float) -> list[str]:
    """All that a writer said, which was killed a moment after it said this."""
    with start_writer(path, "w", MANY) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if said[-1] == last_line:
                break
        time.sleep(extra_s)
        process.kill()
        said.extend(line.strip() for line in process.stdout if line.endswith("\n"))
    return said


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.integers(0, 60), extra_s=st.floats(0, 0.02))
def test_killed_at_any_moment_what_was_acknowledged_is_there_whole(steps: int, extra_s: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        said = lives_until_killed(path, f"ack {steps}", extra_s)
        acknowledged = sum(line.startswith("ack ") and line != "ack open" for line in said)

        entries = asyncio.run(entries_of(path))

        certain: dict[str, str] = {}
        for number in range(acknowledged):
            apply_step(certain, "w", number)
        possible = dict(certain)
        apply_step(possible, "w", acknowledged)
        assert acknowledged > steps
        assert entries in (certain, possible)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(extra_s=st.floats(0, 0.05))
def test_killed_while_the_file_is_made_it_can_be_opened(extra_s: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        lives_until_killed(path, "try open", extra_s)

        entries = asyncio.run(entries_of(path))

        assert all(value == value_of("w", int(key.removeprefix("w:"))) for key, value in entries.items())


async def test_two_processes_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await open_store(SqliteStoreConfig(db_path=path))

    async with Reader(store, "other:") as reader:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WRITER), str(path), "other", "100", stdout=asyncio.subprocess.DEVNULL
        )
        for number in range(100):
            await store.set(f"own:{number:05}", "x" * 1000)
        assert await asyncio.wait_for(process.wait(), 60) == 0

        expected: dict[str, str] = {}
        for number in range(100):
            apply_step(expected, "other", number)
        await reader.until(lambda: reader.known == expected)

    own = await keys_of(store, "own:")
    await store.close()
    assert own == [f"own:{number:05}" for number in range(100)]


async def test_full_disk_is_a_clear_error_and_the_store_stays_readable(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(FULL_DISK), str(tmp_path / "store.db"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)

    said = dict(line.split(": ", 1) for line in output.decode().splitlines())
    assert "the store's file can't be used now: its disk" in said.pop("error")
    assert said == {"whole": "True", "before": "here", "after": "500000"}
