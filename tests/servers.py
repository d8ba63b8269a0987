"""Real Redis and PostgreSQL servers of the tests' own: on free ports, in a temporary folder, killed and started again at will."""

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.processes import children_of, free_port, is_alive, wait_until

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
LEFT_OUT = "left out: "
"""How the reason starts with which a test that lacks a program is skipped; the end of the run lists those tests by name."""


def needed_program(name: str, package: str, folders: Sequence[Path] = ()) -> Path:
    """Where a program is. Without it the test is left out; in CI (`CI=true`), where everything must be, it fails.

    Args:
        name: of the program.
        package: the Debian package that has it.
        folders: where to look before PATH.
    """
    found = shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")]))
    if found:
        return Path(found)
    reason = f"{name} is not installed; Debian's package {package} has it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(LEFT_OUT + reason)


class Server(ABC):
    """A server process, from its start to its end; a context manager. What it has written stays over `kill` and `start`.

    Args:
        tls: whether it speaks TLS, as `localhost`, with a certificate of its own in `certificate`.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self.tls = tls
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="hitchpost-server-"))
        self.log_file = self.folder / "server.log"
        self.certificate, self.key = self.folder / "certificate.pem", self.folder / "key.pem"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            if self.tls:
                self._make_certificate()
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.kill()
        finally:
            shutil.rmtree(self.folder)

    @abstractmethod
    def prepare(self) -> None:
        """Write what the server needs before its first start."""

    @abstractmethod
    def command(self) -> list[str]:
        """How it is started."""

    @abstractmethod
    def is_answering(self) -> bool:
        """Whether it takes calls."""

    def run(self, command: Sequence[str]) -> None:
        """Run a program to its end, as the user that the server runs as."""
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self.identity())

    def identity(self) -> Mapping[str, Any]:
        """Arguments for `subprocess`: whom to run as."""
        return {}

    def _make_certificate(self) -> None:
        openssl = [
            str(needed_program("openssl", "openssl")),
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
        ]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        self.run([*openssl, *names, "-keyout", str(self.key), "-out", str(self.certificate)])

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log_file.open("ab") as log:
            self.process = process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self.identity(),
            )
        wait_until(lambda: process.poll() is not None or self.is_answering(), "the server answers", START_TIMEOUT_S)
        assert process.poll() is None, self.log_file.read_text()[-2000:]

    def kill(self) -> None:
        """End it at once with SIGKILL, its children too."""
        if self.process is not None:
            children = children_of(self.process.pid)
            if self.process.poll() is None:
                self._signal(signal.SIGKILL)
            self.process.wait(STOP_TIMEOUT_S)
            self.process = None
            wait_until(lambda: not any(map(is_alive, children)), "the server's children have ended")

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        # The server first, so that it starts no further child; the children by their ids, as PostgreSQL gives each a group of its own.
        os.kill(self.process.pid, number)
        for child in children_of(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, number)


class RedisServer(Server):
    """A Redis server that writes each change to its file before it answers."""

    password = "a secret of redis"

    def __init__(self, *, tls: bool = False) -> None:
        self.program = needed_program("redis-server", "redis-server")
        super().__init__(tls=tls)

    def prepare(self) -> None:
        lines = [
            "bind 127.0.0.1",
            f"port {0 if self.tls else self.port}",
            f"dir {self.folder}",
            f'requirepass "{self.password}"',
            "appendonly yes",
            # What was written outlives the process also without; only the machine must not die.
            "appendfsync no",
            'save ""',
        ]
        if self.tls:
            files = [f"tls-cert-file {self.certificate}", f"tls-key-file {self.key}"]
            lines.extend([f"tls-port {self.port}", *files, "tls-auth-clients no"])
        (self.folder / "redis.conf").write_text("\n".join(lines))

    def command(self) -> list[str]:
        return [str(self.program), str(self.folder / "redis.conf")]

    def is_answering(self) -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=1) as plain,
                self._spoken(plain) as connection,
            ):
                connection.sendall(f'AUTH "{self.password}"\r\nPING\r\n'.encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(100)):
                    answer += part
        except OSError:
            return False
        return answer.endswith(b"+PONG\r\n")

    def _spoken(self, connection: socket.socket) -> socket.socket:
        if not self.tls:
            return connection
        return ssl.create_default_context(cafile=str(self.certificate)).wrap_socket(
            connection, server_hostname="localhost"
        )

    def config(self, **fields: Any) -> dict[str, Any]:
        """A store config for it."""
        return {"type": "redis", "host": "127.0.0.1", "port": self.port, "password": self.password, **fields}


class PostgresServer(Server):
    """A PostgreSQL server, which refuses to run as root and so then runs as another user."""

    password = "a secret of postgres"

    def __init__(self, *, tls: bool = False) -> None:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        self.program = needed_program("postgres", "postgresql", folders)
        super().__init__(tls=tls)
        self.user: str | None = None
        if os.geteuid() == 0:
            self.user = "postgres" if _is_user("postgres") else "nobody"
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.data = self.folder / "data"

    def identity(self) -> Mapping[str, Any]:
        if not self.user:
            return {}
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}

    def prepare(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        options = ["--username=hitchpost", f"--pwfile={password_file}", "--auth=scram-sha-256"]
        initdb = [str(self.program.parent / "initdb"), f"--pgdata={self.data}", "--encoding=UTF8", "--locale=C"]
        self.run([*initdb, *options, "--no-sync"])

    def command(self) -> list[str]:
        # What was written outlives the process also without fsync; only the machine must not die.
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        if self.tls:
            settings.extend(["ssl=on", f"ssl_cert_file={self.certificate}", f"ssl_key_file={self.key}"])
        return [str(self.program), "-D", str(self.data), *(part for setting in settings for part in ("-c", setting))]

    def is_answering(self) -> bool:
        ready = [str(self.program.parent / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        return subprocess.run(ready, check=False).returncode == 0

    def config(self, **fields: Any) -> dict[str, Any]:
        """A store config for it."""
        place = {"host": "127.0.0.1", "port": self.port, "db": "postgres"}
        return {"type": "postgres", **place, "user": "hitchpost", "password": self.password, **fields}


def _is_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())
