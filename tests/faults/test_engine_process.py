"""The engine process is killed or stopped while the host serves; the host is killed while the engine computes."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

import pytest

from tests.processes import HostProcess, children_of, is_alive, wait_until

# The special tokens are the last of the 2,048 ids.
NEVER_END = {str(token): -100 for token in range(2030, 2048)}
STORY = {"role": "user", "content": "What is Hitchpost?"}


def request(host: HostProcess, **more: Any) -> urllib.request.Request:
    """A request that keeps the engine busy for a while."""
    body = {"model": "tiny-llama", "messages": [STORY], "temperature": 2.0, "seed": 1, "stream": True, **more}
    return urllib.request.Request(
        host.url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )


@contextmanager
def stream_in_progress(host: HostProcess) -> Iterator[HTTPResponse]:
    """A stream whose first chunks were read."""
    with urllib.request.urlopen(request(host, max_tokens=1500, logit_bias=NEVER_END), timeout=60) as response:
        for _ in range(6):
            assert response.readline()
        yield response


def engine_of(host: HostProcess) -> int:
    """The process id of the host's engine."""
    return children_of(host.process.pid)[0]


@pytest.mark.parametrize("hurt", [signal.SIGKILL, signal.SIGSTOP])
def test_hurt_engine_ends_the_stream_with_an_error_and_the_next_request_works(
    hurt: signal.Signals, tiny_host: HostProcess
) -> None:
    with stream_in_progress(tiny_host) as response:
        engine = engine_of(tiny_host)

        os.kill(engine, hurt)

        rest = response.read().decode()

    assert '"error"' in rest
    assert "[DONE]" not in rest
    assert '"finish_reason":"stop"' not in rest
    wait_until(lambda: not is_alive(engine), "the hurt engine is gone")
    wait_until(lambda: answers(tiny_host), "the next request works", 60)
    assert tiny_host.metric("hitchpost_provider_engine_restarts_total") == 1


def test_readiness_shows_at_once_that_the_engine_restarts_and_that_it_is_back(tiny_host: HostProcess) -> None:
    os.kill(engine_of(tiny_host), signal.SIGKILL)

    wait_until(lambda: state_of(tiny_host) == ("degraded", "the engine is restarting"), "shown as degraded", 5)
    wait_until(lambda: answers(tiny_host), "the engine is back", 60)
    wait_until(lambda: state_of(tiny_host) == ("ready", None), "shown as ready", 5)


def state_of(host: HostProcess) -> tuple[str, str | None]:
    """State and reason of the only provider."""
    [provider] = json.loads(host.get("/ready"))["providers"]
    return provider["state"], provider["reason"]


def answers(host: HostProcess) -> bool:
    """Whether the host answers a chat."""
    try:
        with urllib.request.urlopen(request(host, stream=False, temperature=0), timeout=60) as response:
            return response.status == 200
    except urllib.error.HTTPError as refused:
        if refused.code != 503:
            raise
        return False


def test_killed_host_leaves_no_engine_behind(tiny_host: HostProcess) -> None:
    with stream_in_progress(tiny_host):
        engine = engine_of(tiny_host)

        tiny_host.process.kill()

        wait_until(lambda: not is_alive(engine), "the engine is gone", 15)


def test_terminated_host_lets_a_short_stream_end_and_stops_its_engine(tiny_host: HostProcess) -> None:
    with urllib.request.urlopen(request(tiny_host, temperature=0), timeout=60) as response:
        engine = engine_of(tiny_host)
        assert response.readline()

        tiny_host.process.terminate()

        rest = response.read().decode()

    assert rest.rstrip().endswith("data: [DONE]")
    wait_until(lambda: not is_alive(engine), "the engine is gone", 15)
