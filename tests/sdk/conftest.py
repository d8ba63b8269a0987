"""`llama-stack-client`, in the releases that speak the native surface, against a real host with every API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_stack_client import LlamaStackClient

from tests.processes import HostProcess

EMBEDDING_PROVIDER = Path(__file__).parent.with_name("host") / "odd_provider.py"
RUN_CONFIG = f"""
version: '2'
plugins: {{paths: [{EMBEDDING_PROVIDER}]}}
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models: [scripted, scripted-two]
      script:
      - {{when: news, tool_calls: [{{name: brave_search, arguments: {{query: "news", since: {{year: 2024, days: [1, [2]]}}}}}}]}}
      - {{when: weather, tool_calls: [{{name: get_weather, arguments: {{city: Oslo}}}}]}}
      - {{to: tool, text: The tool said so.}}
      - {{when: break, text: one two three, fault: {{kind: cut, after_events: 2}}}}
      - {{echo: true}}
  - {{provider_id: odd, provider_type: "inline::odd"}}
  safety:
  - {{provider_id: scripted, provider_type: "inline::scripted", config: {{accept_any_shield: true}}}}
  memory:
  - {{provider_id: scripted, provider_type: "inline::scripted"}}
  agents:
  - provider_id: scripted
    provider_type: inline::scripted
    config: {{tool_responses: {{brave_search: nothing new}}}}
  telemetry:
  - {{provider_id: traces, provider_type: "inline::meta-reference"}}
shields:
- shield_id: guard
  provider_shield_id: scripted
"""


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """One host for all tests, which therefore name what they register by names of their own."""
    with HostProcess(tmp_path_factory.mktemp("host"), RUN_CONFIG) as running:
        yield running


@pytest.fixture(scope="session")
def client(host: HostProcess) -> Iterator[LlamaStackClient]:
    with LlamaStackClient(base_url=host.url, max_retries=0, timeout=30) as connected:
        yield connected
