"""A server process under measurement. Linux only: its figures come from /proc."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """A server in a process of its own, on one core, from start to stop.

    Args:
        arguments: of the Python interpreter; `{port}` stands for the port.
        ready_path: answers 200 once it serves.
        core: the CPU that it may use; the load runs on another.
        home: where it keeps its state; by default a folder of its own that goes with it.
    """

    def __init__(
        self, arguments: list[str], ready_path: str, core: int | None = None, home: Path | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = [argument.format(port=self.port) for argument in arguments]
        self._ready_path = ready_path
        self._core = core
        self._own_home = tempfile.TemporaryDirectory() if home is None else None
        self._home = home if self._own_home is None else Path(self._own_home.name)
        self.start_s = 0.0
        """Seconds from the start of the process to its first 200."""

    def __enter__(self) -> Self:
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, *self._arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HITCHPOST_HOME": str(self._home)},
        )
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})
        while time.perf_counter() < began + 60:
            try:
                with urllib.request.urlopen(self.url + self._ready_path, timeout=5):
                    self.start_s = time.perf_counter() - began
                    return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self._process.poll() is not None:
                    raise SystemExit(
                        f"the server ended with status {self._process.returncode}: {self._arguments}"
                    ) from None
                time.sleep(0.005)
        self._process.kill()
        raise SystemExit(f"no 200 from {self.url + self._ready_path} within 60 s")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        if self._own_home is not None:
            self._own_home.cleanup()

    def cpu_s(self) -> float:
        """CPU seconds, user and system, that the process has used."""
        # The clock that clock_getcpuclockid(3) names, in nanoseconds; /proc counts ticks of 10 ms.
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def rss_mib(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
