"""Banks of the embedded memory provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hitchpost_meta_reference.memory.bank import Bank
from tests.meta_reference_memory.banks import SAMPLE, fill, open_bank


@pytest.fixture
def empty_bank(tmp_path: Path) -> Iterator[Bank]:
    """A vector bank without documents."""
    bank = open_bank(tmp_path)
    yield bank
    bank.file.close()


@pytest.fixture
def sample_bank(empty_bank: Bank) -> Bank:
    """A vector bank with the documents of `SAMPLE`, a chunk each."""
    fill(empty_bank, SAMPLE)
    return empty_bank
