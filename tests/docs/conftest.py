"""The host that the documentation's examples talk to."""

from collections.abc import Iterator

import pytest

from tests.processes import HostProcess


@pytest.fixture(scope="session")
def tiny_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """What `make run` starts: a host without a run config."""
    with HostProcess(tmp_path_factory.mktemp("docs-host")) as host:
        yield host
