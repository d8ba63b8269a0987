"""A host that is killed again and again while clients register and unregister: what it has answered holds, the rest is whole or not there."""

import json
import random
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.processes import HostProcess

KILLS = 40
CLIENTS = 4
RUN_CONFIG = """
version: '2'
providers:
  inference:
  - {provider_id: scripted, provider_type: inline::scripted, config: {accept_any_model: true}}
"""


class Clients:
    """Register and unregister models as fast as they can, and keep what they were told."""

    def __init__(self) -> None:
        self.registered: dict[str, dict[str, Any]] = {}
        """Answered, and so to be there."""
        self.unanswered: dict[str, dict[str, Any]] = {}
        """Asked for, and so to be there whole or not at all."""
        self._number = 0
        self._lock = threading.Lock()

    def work_until_killed(self, host: HostProcess, answers: int) -> None:
        """Call the host from several threads, and kill it once so many answers have come."""
        answered = threading.Semaphore(0)
        with ThreadPoolExecutor(CLIENTS) as threads:
            working = [threads.submit(self._work, host, answered) for _ in range(CLIENTS)]
            for _ in range(answers):
                assert answered.acquire(timeout=30)
            host.process.kill()
            for work in working:
                work.result()
        host.process.wait()

    def settle(self, listed: dict[str, dict[str, Any]]) -> None:
        """Take over what became of the calls that got no answer."""
        for name in self.unanswered:
            self.registered.pop(name, None)
            if name in listed:
                self.registered[name] = listed[name]
        self.unanswered = {}

    def _work(self, host: HostProcess, answered: threading.Semaphore) -> None:
        mine: list[str] = []
        try:
            while True:
                name = self._next_name()
                model = {"model_id": name, "metadata": {"text": name * 100}}
                self.unanswered[name] = model["metadata"]
                self.registered[name] = _post(host, "register", model)
                del self.unanswered[name]
                mine.append(name)
                answered.release()
                if len(mine) > 2:
                    ended = mine.pop(0)
                    self.unanswered[ended] = self.registered[ended]["metadata"]
                    _post(host, "unregister", {"model_id": ended})
                    del self.registered[ended], self.unanswered[ended]
                    answered.release()
        except (OSError, HTTPException):
            # It was killed, before or after it did what was asked.
            return

    def _next_name(self) -> str:
        with self._lock:
            self._number += 1
            return f"model-{self._number}"


def _post(host: HostProcess, verb: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{host.url}/alpha/models/{verb}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{verb} {body['model_id']}: {error.read().decode()}") from error


def _listed(host: HostProcess) -> dict[str, dict[str, Any]]:
    models = {model["identifier"]: model for model in json.loads(host.get("/alpha/models/list"))}
    return {name: model for name, model in models.items() if name.startswith("model-")}


@pytest.mark.timeout(400)
def test_what_a_killed_host_has_answered_holds_and_the_rest_is_whole_or_not_there(tmp_path: Path) -> None:
    moment = random.Random(1)
    clients = Clients()
    unanswered = kept_though_unanswered = 0

    for _ in range(KILLS):
        with HostProcess(tmp_path, RUN_CONFIG) as host:
            listed = _listed(host)
            assert {name: listed.get(name) for name in clients.registered if name not in clients.unanswered} == {
                name: model for name, model in clients.registered.items() if name not in clients.unanswered
            }
            assert listed.keys() <= clients.registered.keys() | clients.unanswered.keys()
            for name in clients.unanswered.keys() & listed.keys():
                assert listed[name] == {
                    "identifier": name,
                    "provider_resource_id": name,
                    "provider_id": "scripted",
                    "type": "model",
                    "metadata": clients.unanswered[name],
                }
            unanswered += len(clients.unanswered)
            kept_though_unanswered += len(clients.unanswered.keys() & listed.keys())
            clients.settle(listed)

            clients.work_until_killed(host, moment.randrange(1, 25))

    # Else the host was never killed in the middle of anything, and nothing was shown.
    assert unanswered > KILLS
    assert 0 < kept_though_unanswered < unanswered
