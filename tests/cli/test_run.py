"""`hitchpost run`: what it serves, what it says, and how it refuses."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.cli.conftest import Run
from tests.processes import HostProcess, wait_until

CONFIG = """
version: '2'
colour: red
providers:
  inference:
  - {provider_id: small, provider_type: "inline::scripted", config: {models: ["${env.MODEL}"]}}
  - {provider_id: away, provider_type: "remote::nothing", config: {}}
"""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG)
    return path


def test_host_says_where_it_listens_what_it_serves_and_how_to_try_it(tmp_path: Path) -> None:
    with HostProcess(tmp_path, CONFIG, {"MODEL": "it's"}) as host:
        wait_until(lambda: " or: hitchpost chat" in host.log, "the last line of what is served")
        said = host.log
        command = re.search(r"Try: (curl .*)", said)
        assert command is not None
        tried = subprocess.run(["bash", "-c", f"{command[1]} -sS"], capture_output=True, text=True)

    assert f"listens on {host.url}\n" in said
    assert "Warning: colour (line 3): unknown key, ignored" in said
    assert re.search(r"^inference  small +inline::scripted +ready$", said, re.MULTILINE)
    assert re.search(r"^inference  away +remote::nothing +failed +no installed plugin offers", said, re.MULTILINE)
    assert "Models: small/it's\n" in said
    assert '"content":"Hello!"' in tried.stdout.replace(" ", "")


class Running:
    """`hitchpost run CONFIG` on any free port, and what it says; a context manager.

    Args:
        stdout: where it prints; by default into a file that `said` shows.
    """

    def __init__(self, config_file: Path, *arguments: str, stdout: int | None = None) -> None:
        self._command = [sys.executable, "-m", "hitchpost", "run", str(config_file), "--port", "0", "--env", "MODEL=m"]
        self._command += arguments
        self._stdout = stdout
        self._printed = config_file.with_name("printed.txt")
        self._logged = config_file.with_name("logged.txt")

    def __enter__(self) -> Self:
        with self._printed.open("wb") as printed, self._logged.open("wb") as logged:
            self.process = subprocess.Popen(
                self._command, stdout=printed if self._stdout is None else self._stdout, stderr=logged
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        return self._printed.read_text()

    @property
    def log(self) -> str:
        return self._logged.read_text()

    def end(self, number: signal.Signals) -> int:
        """Sends the signal and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_host_ends_with_status_0_after_a_signal(number: signal.Signals, config_file: Path) -> None:
    with Running(config_file) as running:
        wait_until(lambda: "listens" in running.said, "the host listens")

        status = running.end(number)

    assert status == 0
    assert re.match(r"Hitchpost \S+ listens on http://127\.0\.0\.1:[1-9]\d*\n", running.said)
    assert not {"Aborted!", "Traceback"} & set((running.said + running.log).split())


def test_host_serves_on_when_nobody_reads_what_it_prints(config_file: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Running(config_file, stdout=writing) as running:
        os.close(writing)
        wait_until(lambda: "small is ready" in running.log, "the provider is ready")

        status = running.end(signal.SIGTERM)

    assert status == 0
    assert "Traceback" not in running.log


def test_address_that_other_machines_reach_is_warned_of(config_file: Path) -> None:
    with Running(config_file, "--host", "0.0.0.0") as running:
        wait_until(lambda: "Try: curl http://127.0.0.1:" in running.said, "an address of this machine to try")

        running.end(signal.SIGTERM)

    assert "Warning: 0.0.0.0 can be reached from other machines" in running.log


# --- refusals ---


def test_every_problem_of_a_run_config_is_shown_at_once(hitchpost: Run, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("""
providers:
  inference:
  - {provider_id: a, provider_type: "inline::scripted", config: {model: [x]}}
  - {provider_id: a, provider_type: "inline::scripted"}
  telepathy: []
models:
- {model_id: m, provider_id: nobody}
""")

    result = hitchpost("run", str(config))

    assert result.exit_code == 2
    assert [line.split(" (line")[0] for line in result.output.splitlines() if line.startswith("  - ")] == [
        "  - providers.inference[0].config.model", "  - providers.inference[1].provider_id", "  - providers.telepathy", "  - models[0].provider_id",
    ]  # fmt: skip


def test_variable_that_is_missing_is_named_with_its_path(hitchpost: Run, config_file: Path) -> None:
    result = hitchpost("run", str(config_file))

    assert result.exit_code == 2
    assert "providers.inference[0].config.models[0] (line 6): environment variable MODEL is not set" in result.output


def test_without_config_and_preset_it_says_what_to_install(hitchpost: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITCHPOST_PLUGINS", "scripted")

    result = hitchpost("run")

    assert result.exit_code == 2
    assert "no installed plugin has a preset. Install one, such as hitchpost-tiny-llama" in result.output


def test_port_that_is_in_use_is_a_clear_error(hitchpost: Run, config_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        result = hitchpost("run", str(config_file), "--port", port, "--env", "MODEL=m")

    assert result.exit_code == 2
    assert (
        f"Error: can't listen on 127.0.0.1:{port}: the port is in use; choose another one with --port" in result.output
    )


def test_store_that_can_not_be_used_is_told_before_anything_listens(
    hitchpost: Run, config_file: Path, tmp_path: Path
) -> None:
    store = tmp_path / "registry.db"
    store.write_bytes(b"no database" * 1000)
    config_file.write_text(CONFIG + f"metadata_store: {{type: sqlite, db_path: {store}}}\n")

    result = hitchpost("run", str(config_file), "--port", "0", "--env", "MODEL=m")

    assert result.exit_code == 2
    assert f"Error: store file {store} can't be used: it is no SQLite database." in result.output
    assert "listens" not in result.output


@pytest.mark.parametrize("pair", ["MODEL", "=x", "MY-MODEL=x", "1=x"])
def test_env_of_a_wrong_form_is_refused_without_its_value(pair: str, hitchpost: Run, config_file: Path) -> None:
    result = hitchpost("run", str(config_file), "--env", pair)

    assert result.exit_code == 2
    assert f"{pair.partition('=')[0]!r} is not of the form KEY=VALUE" in result.output


def test_env_without_a_run_config_is_refused(hitchpost: Run) -> None:
    result = hitchpost("run", "--env", "MODEL=m")

    assert result.exit_code == 2
    assert "--env fills placeholders of a run config, and none is given" in result.output
