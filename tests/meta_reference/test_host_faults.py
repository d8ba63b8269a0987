"""The host is killed or stopped: its engine ends with it, and with it only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import children_of, is_alive, wait_until

HOST = Path(__file__).with_name("lonely_host.py")


@pytest.mark.parametrize("moment", ["loading", "serving", "stopped"])
def test_killed_host_leaves_nothing_running(tiny_checkpoint: Path, moment: str) -> None:
    command = [sys.executable, str(HOST), str(tiny_checkpoint)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
        assert host.stdout is not None
        wait_until(lambda: bool(children_of(host.pid)), "the engine is launched", 60)
        [engine] = children_of(host.pid)
        if moment != "loading":
            assert host.stdout.readline() == "streaming\n"
        if moment == "stopped":
            os.kill(engine, signal.SIGSTOP)

        host.kill()
        host.wait()

        wait_until(lambda: not is_alive(engine), "the engine has ended", 20)


def test_host_that_was_stopped_for_a_while_keeps_its_engine(tiny_checkpoint: Path) -> None:
    command = [sys.executable, str(HOST), str(tiny_checkpoint), "1.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "streaming\n"
        [engine] = children_of(host.pid)

        os.kill(host.pid, signal.SIGSTOP)
        time.sleep(2.0)  # longer than the heartbeat's limit, which is what is tested
        os.kill(host.pid, signal.SIGCONT)

        assert host.stdout.readline() == "ended\n"
        assert children_of(host.pid) == [engine]
        host.kill()
        host.wait()
        wait_until(lambda: not is_alive(engine), "the engine has ended", 20)
