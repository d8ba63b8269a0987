"""Clients that go away: the work behind them ends."""

import http.client
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.processes import HostProcess, wait_until

# The special tokens are the last of the 2,048 ids: without them the answers don't end by themselves.
NEVER_END = {str(token): -100 for token in range(2030, 2048)}
STORY = {
    "model": "tiny-llama",
    "messages": [{"role": "user", "content": "What is Hitchpost?"}],
    "n": 8,
    "max_tokens": 1500,
    "logit_bias": NEVER_END,
}


def ask(host: HostProcess, **more: Any) -> http.client.HTTPConnection:
    """A connection on which a long answer was asked for and nothing was read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    body = json.dumps({**STORY, **more})
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_engine_stops_when_the_client_leaves_before_the_first_token(stream: bool, tiny_host: HostProcess) -> None:
    connection = ask(tiny_host, stream=stream)
    wait_until(lambda: tiny_host.metric("hitchpost_provider_choices_running") > 0, "the engine works")

    connection.close()

    wait_until(lambda: tiny_host.metric("hitchpost_provider_choices_running") == 0, "the engine is idle", 10)


def test_place_of_a_stalled_request_is_free_when_its_client_leaves(tmp_path: Path) -> None:
    config = """
version: '2'
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    limits: {max_concurrent: 1}
    config: {script: [{when: stall, text: never, fault: {kind: stall}}, {echo: true}]}
"""
    with HostProcess(tmp_path, config) as host:
        stalled = ask(host, model="scripted", logit_bias={}, messages=[{"role": "user", "content": "stall"}], n=1)
        wait_until(lambda: host.metric("hitchpost_gate_running") == 1, "the request holds the only place")

        stalled.close()

        with closing(
            ask(host, model="scripted", logit_bias={}, messages=[{"role": "user", "content": "hello"}], n=1)
        ) as second:
            assert second.getresponse().status == 200
