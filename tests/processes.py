"""The real host as a process of its own, for tests that call it from outside."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Return when the condition holds; fail, naming it, when it doesn't in time."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"after {timeout_s:g} s still not: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class HostProcess:
    """`hitchpost run`, from its start to its end; a context manager.

    Args:
        folder: for its run config, its state and its log.
        run_config: text of the run config; None runs the presets.
        environ: variables beside those of this process.
        python: the interpreter of the environment that it is installed in.
    """

    def __init__(
        self,
        folder: Path,
        run_config: str | None = None,
        environ: Mapping[str, str] | None = None,
        python: str | Path = sys.executable,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / "host.log"
        self._python = str(python)
        self._arguments = ["run", "--port", str(self.port)]
        if run_config is not None:
            config_file = folder / "run.yaml"
            config_file.write_text(run_config, encoding="utf-8")
            self._arguments.insert(1, str(config_file))
        self._environ = {**os.environ, "HITCHPOST_HOME": str(folder / "home"), **(environ or {})}

    def __enter__(self) -> Self:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [self._python, "-m", "hitchpost", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                cwd=self.folder,
            )
        try:
            wait_until(self._is_ready_or_ended, f"ready; the log says: {self.log[-2000:]}", START_TIMEOUT_S)
        except BaseException:
            self.process.kill()
            raise
        assert self.process.poll() is None, f"the host ended by itself: {self.log}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the host did not end after SIGTERM: {self.log[-2000:]}") from None

    @property
    def log(self) -> str:
        """What the host has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> str:
        """The text of a 200 answer to GET."""
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return str(response.read().decode())

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels, 0 where it isn't there yet."""
        lines = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", self.get("/metrics"), re.MULTILINE)
        return sum(float(value) for value in lines)

    def _is_ready_or_ended(self) -> bool:
        if self.process.poll() is not None:
            return True
        try:
            self.get("/ready")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True


def children_of(pid: int) -> list[int]:
    """The process ids of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
