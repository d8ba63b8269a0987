"""Hosts of the tests' own: they are hurt, so nobody shares them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import HostProcess


@pytest.fixture
def tiny_host(tmp_path: Path) -> Iterator[HostProcess]:
    """A host without a run config: it serves the preset `tiny-llama` through the real engine."""
    with HostProcess(tmp_path) as host:
        yield host
