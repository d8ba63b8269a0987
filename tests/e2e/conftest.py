"""Real hosts that end-to-end tests share; each test leaves them as it found them."""

from collections.abc import Iterator

import pytest

from tests.processes import HostProcess

SCRIPTED = """
version: '2'
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models: [scripted, scripted-two]
      script:
      - {when: "slowly", text: "one two three four five six seven eight nine ten", pace: {token_s: 0.05}}
      - {when: "weather", tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}
      - {when: "stall", text: "one two three", fault: {kind: stall, after_events: 0}}
      - {when: "break", text: "one two three", fault: {kind: cut, after_events: 2}}
      - {echo: true}
"""


@pytest.fixture(scope="session")
def scripted_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A host that serves the scripted models `scripted` and `scripted-two`."""
    with HostProcess(tmp_path_factory.mktemp("scripted-host"), SCRIPTED) as host:
        yield host


@pytest.fixture(scope="session")
def tiny_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A host without a run config: it serves the presets, such as `tiny-llama` and all-MiniLM-L6-v2, through real engines."""
    with HostProcess(tmp_path_factory.mktemp("tiny-host")) as host:
        yield host
