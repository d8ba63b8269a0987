"""Hosts of the tests' own: they are hurt, so nobody shares them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import HostProcess


@pytest.fixture
def tiny_host(tmp_path: Path) -> Iterator[HostProcess]:
    """A host that serves the preset `tiny-llama`, and nothing else, through the real engine."""
    with HostProcess(tmp_path, "{version: '2', presets: [tiny-llama]}") as host:
        yield host
