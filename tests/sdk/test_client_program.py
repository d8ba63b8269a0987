"""The program `llama-stack-client` as users run it: a process of its own, against the same host."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import HostProcess

MAIN = "from llama_stack_client.lib.cli.llama_stack_client import main; main()"
Run = Callable[..., str]


@pytest.fixture
def program(tmp_path: Path, host: HostProcess) -> Run:
    """Runs the program with a config that names the host; answers what it prints."""
    config = tmp_path / "client.yaml"
    config.write_text(f"endpoint: {host.url}\n")
    environ = {**os.environ, "HOME": str(tmp_path), "COLUMNS": "300", "TERM": "dumb"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-W", "ignore", "-c", MAIN, "--config", str(config), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def test_models_are_listed_shown_registered_and_unregistered(program: Run) -> None:
    metadata = json.dumps({"context_length": 8192})

    registered = program(
        "models", "register", "of-program", "--provider-id", "scripted", "--provider-model-id", "scripted",
        "--metadata", metadata,
    )  # fmt: skip
    listed = program("models", "list")
    shown = program("models", "get", "of-program")
    program("models", "unregister", "of-program")

    assert "Successfully registered model of-program" in registered
    assert "of-program" in listed
    assert "8192" in shown
    assert "is not found" in program("models", "get", "of-program")


def test_shields_are_registered_and_listed(program: Run) -> None:
    registered = program(
        "shields", "register", "--shield-id", "of-program", "--provider-shield-id", "y", "--params",
        '{"words": ["darn"]}',
    )  # fmt: skip

    assert "identifier: of-program" in registered
    assert "of-program" in program("shields", "list")


def test_memory_banks_are_registered_listed_and_unregistered(program: Run) -> None:
    registered = program("memory_banks", "register", "of-program", "--type", "vector")
    listed = program("memory_banks", "list")
    unregistered = program("memory_banks", "unregister", "of-program")

    assert "Failed" not in registered
    assert ("of-program" in listed, "all-MiniLM-L6-v2" in listed) == (True, True)
    assert "deleted successfully" in unregistered
    assert "of-program" not in program("memory_banks", "list")


def test_bank_that_no_provider_has_is_refused_with_what_there_is(program: Run) -> None:
    refused = program("memory_banks", "register", "graph-of-program", "--type", "graph")

    assert "has no banks of type 'graph'" in refused


def test_providers_are_listed(program: Run) -> None:
    rows = [row.split() for row in program("providers", "list").splitlines() if "::" in row]

    assert [[row[1], row[3], row[5]] for row in rows] == [
        ["inference", "scripted", "inline::scripted"],
        ["inference", "odd", "inline::odd"],
        ["safety", "scripted", "inline::scripted"],
        ["memory", "scripted", "inline::scripted"],
        ["agents", "scripted", "inline::scripted"],
        ["telemetry", "traces", "inline::meta-reference"],
    ]


@pytest.mark.parametrize("is_stream", [False, True])
def test_chat_answers(is_stream: bool, program: Run) -> None:
    options = ["--stream"] if is_stream else []

    printed = program(
        "inference", "chat-completion", "--model-id", "scripted", "--message", "hello from afar", *options
    )

    assert "hello from afar" in printed
