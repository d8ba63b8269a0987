"""A real host among third-party plugins that are broken on purpose (`tests/plugins`): it says what is wrong with each and serves the rest."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import HostProcess

RUN_CONFIG = """
version: '2'
providers:
  inference:
  - {provider_id: parrot, provider_type: inline::parrot}
  - {provider_id: plain, provider_type: inline::plain-hook}
  - {provider_id: twice, provider_type: inline::scripted}
  - {provider_id: absent, provider_type: inline::import-error}
"""
REASONS = {
    "import_error": "a_library_that_nobody_has",
    "system_exit": "no licence key found",
    "names_nothing": "has no attribute 'plugin'",
    "raising_hook": "the list of provider types could not be read",
    "newer_contract": "contract 99",
    "duplicate_type": "inline::scripted of inference is declared by",
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, broken_plugins_env: dict[str, str]) -> Iterator[HostProcess]:
    """A host with one good provider and three that can't be served."""
    with HostProcess(tmp_path_factory.mktemp("broken-plugins-host"), RUN_CONFIG, broken_plugins_env) as host:
        yield host


def chat(host: HostProcess, model: str) -> Any:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Polly"}]}).encode()
    request = urllib.request.Request(f"{host.url}/v1/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_good_plugin_is_served(host: HostProcess) -> None:
    answer = chat(host, "parrot")

    assert answer["choices"][0]["message"]["content"] == "Polly"


@pytest.mark.parametrize(
    ("provider_id", "reason"),
    [
        ("plain", "hook list_models of provider inference/plain is not a coroutine function"),
        ("twice", "declared by duplicate-type-plugin"),
        ("absent", "no installed plugin offers provider type inline::import-error"),
    ],
)
def test_provider_that_cannot_be_served_is_listed_with_the_reason(
    provider_id: str, reason: str, host: HostProcess
) -> None:
    providers = {provider["provider_id"]: provider for provider in json.loads(host.get("/ready"))["providers"]}

    assert providers[provider_id]["state"] == "failed"
    assert reason in providers[provider_id]["reason"]
    assert providers["parrot"]["state"] == "ready"


@pytest.mark.parametrize("plugin", REASONS)
def test_log_of_the_host_says_what_is_wrong_with_each_plugin(plugin: str, host: HostProcess) -> None:
    lines = [line for line in host.log.splitlines() if plugin in line]

    assert [line for line in lines if REASONS[plugin] in line], host.log


def test_model_of_a_failed_provider_is_answered_with_an_error(host: HostProcess) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        chat(host, "plain/plain-hook")

    with refused.value as answer:
        assert 400 <= answer.status <= 503
        assert "plain" in json.load(answer)["error"]["message"]


@pytest.mark.parametrize("plugin", REASONS)
def test_command_line_lists_each_plugin_with_its_reason(plugin: str, broken_plugins_env: dict[str, str]) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "hitchpost", "plugins"],
        env={**os.environ, **broken_plugins_env},
        capture_output=True,
        text=True,
        check=True,
    )

    lines = [line for line in listed.stdout.splitlines() if line.startswith(f"{plugin} ")]
    assert len(lines) == 1
    assert REASONS[plugin] in lines[0]
