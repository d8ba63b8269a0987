"""A process that inserts is killed at moments of its own: what it said was in, is in, whole, and nothing is there by half."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.meta_reference_memory.banks import ask, names, open_bank

ROOT = Path(__file__).parents[2]
KILLS = 9
LONGEST_S = 0.12


def killed_insertion(folder: Path, after_s: float) -> int:
    """How many documents were in, as a process said before it was killed, some time after it began."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.meta_reference_memory.inserting", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after_s)
        process.kill()
        # A line may be cut in the middle; then its document was not acknowledged.
        said = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return int(said[-1]) + 1 if said else 0


@pytest.mark.timeout(60)
def test_every_acknowledged_insertion_survives_sigkill(tmp_path: Path) -> None:
    moments = random.Random(11)
    acknowledged = 0

    for _ in range(KILLS):
        said = killed_insertion(tmp_path, moments.random() * LONGEST_S)
        bank = open_bank(tmp_path)
        count = bank.statistics().document_count
        listed = [info.document_id for info in bank.page(None, 100_000)[0]]
        ends = sorted({*range(acknowledged, count, 17), *range(max(0, count - 3), count)})
        found = {n: names(ask(bank, f"word{n} changed{n}", "keyword")) for n in ends}
        chunks = {info.document_id: info.chunk_count for info in bank.page(None, 100_000)[0]}
        matrix_rows = len(bank.matrix) if bank.matrix else 0
        expected_chunks = bank.statistics().chunk_count
        bank.file.close()

        assert max(acknowledged, said) <= count <= max(acknowledged, said) + 1
        assert listed == [f"d{number:05}" for number in range(count)]
        assert found == {n: [f"d{n:05}"] for n in ends}
        # The last one may not have been changed yet.
        assert all(chunks[f"d{n:05}"] == (1 if n % 5 == 4 else 2) for n in range(count - 1))
        assert matrix_rows == expected_chunks
        acknowledged = count

    assert acknowledged > KILLS
