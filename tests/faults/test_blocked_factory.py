"""A provider whose factory never returns: the host serves the others, and ends when it is told to."""

import signal
from pathlib import Path

from tests.processes import STOP_TIMEOUT_S, HostProcess, wait_until

PLUGIN = """
import threading

from pydantic import BaseModel

from hitchpost import hookimpl
from hitchpost.api import Api
from hitchpost.plugin import ProviderSpec

@hookimpl
def provider_specs():
    return [ProviderSpec(api=Api.inference, provider_type="inline::blocked", config="blocked:Config", factory="blocked:make")]

class Config(BaseModel, extra="forbid"):
    pass

def make(config, deps):
    print("the factory blocks", flush=True)
    threading.Event().wait()
"""
RUN_CONFIG = """
version: '2'
plugins: {paths: [blocked.py]}
providers:
  inference:
  - {provider_id: blocked, provider_type: inline::blocked}
  - {provider_id: scripted, provider_type: inline::scripted}
"""


class UnreadyHost(HostProcess):
    """A host that is entered as soon as its provider's factory blocks."""

    def _is_ready_or_ended(self) -> bool:
        return self.process.poll() is not None or "the factory blocks" in self.log


def test_host_ends_although_a_factory_blocks_for_ever(tmp_path: Path) -> None:
    (tmp_path / "blocked.py").write_text(PLUGIN)
    with UnreadyHost(tmp_path, RUN_CONFIG) as host:
        host.process.send_signal(signal.SIGTERM)

        wait_until(lambda: host.process.poll() is not None, "the host has ended", STOP_TIMEOUT_S)

    assert host.process.returncode == 0
