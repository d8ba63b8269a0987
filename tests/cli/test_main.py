"""The program as a whole: help, version, failures, and commands that plugins add."""

import subprocess
import sys
from pathlib import Path

import pytest

import hitchpost as package
from tests.cli.conftest import Run

OURS = [
    "chat", "completion", "config", "configure", "jobs", "memory", "memory-banks", "models", "new", "plugins", "providers", "run", "shields",
]  # fmt: skip
LATE = {"aiohttp", "importlib_metadata", "pydantic", "yaml", "torch", "hitchpost.api", "hitchpost.plugin"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["chat", "-h"],
        ["completion", "zsh"],
        ["config", "check", "-h"],
        ["configure", "-h"],
        ["memory", "add", "-h"],
        ["new", "provider", "-h"],
    ],
)
def test_what_needs_nothing_loads_nothing(arguments: list[str]) -> None:
    code = f"""
import atexit, sys
atexit.register(lambda: print("\\nMODULES", *sys.modules))
sys.argv[1:] = {arguments!r}
from hitchpost.cli.main import main
main()
"""

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(result.stdout.rpartition("\nMODULES ")[2].split())
    assert "hitchpost.cli.main" in loaded
    assert not LATE & loaded


def test_version_is_the_packages_own_also_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "hitchpost", "--version"], capture_output=True, text=True, check=True
    )

    assert result.stdout == f"hitchpost {package.__version__}\n"


def test_help_lists_our_commands_and_not_those_of_plugins(hitchpost: Run, acme_plugin: Path) -> None:
    result = hitchpost("--help")

    assert [line.split()[0] for line in result.output.partition("Commands:\n")[2].splitlines()[: len(OURS)]] == OURS
    assert "greet" not in result.output


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["models", "nothing"], ["run", "--port", "-1"], ["chat", "--colour"]]
)
def test_wrong_usage_ends_with_status_2(arguments: list[str], hitchpost: Run) -> None:
    result = hitchpost(*arguments)

    assert result.exit_code == 2
    assert "Try 'hitchpost" in result.output


# --- commands of plugins ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["greet", "Ada"], "hello Ada\n"), (["models", "pull"], "pulled\n"), (["acme", "status"], "hello world\n")],
)
def test_command_of_a_plugin_runs(arguments: list[str], said: str, hitchpost: Run, acme_plugin: Path) -> None:
    result = hitchpost(*arguments)

    assert (result.output, result.exit_code) == (said, 0)


def test_command_of_a_plugin_does_not_replace_ours(hitchpost: Run, acme_plugin: Path) -> None:
    result = hitchpost("run", "--help")

    assert "Start the host." in result.output


@pytest.mark.parametrize("group", ["models", "acme"])
def test_help_of_a_group_lists_the_commands_of_plugins(group: str, hitchpost: Run, acme_plugin: Path) -> None:
    result = hitchpost(group, "--help")

    assert {"models": "pull Get a model.", "acme": "status Greet somebody."}[group] in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "can't be loaded: AttributeError"),
        ("exits", "can't be loaded: SystemExit: no licence"),
        ("plain", "is no click command, but function"),
    ],
)
def test_broken_command_of_a_plugin_names_its_distribution(
    name: str, reason: str, hitchpost: Run, acme_plugin: Path
) -> None:
    result = hitchpost(name)

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: command {name} of plugin acme (acme-tools) {reason}")
    assert len(result.output.splitlines()) == 1


# --- failures ---


def test_error_of_ours_is_one_line(hitchpost: Run, acme_plugin: Path) -> None:
    result = hitchpost("refuse")

    assert (result.output, result.exit_code) == ("Error: the backend sleeps; wake it up\n", 1)


def test_defect_is_one_line_that_says_how_to_see_more(hitchpost: Run, acme_plugin: Path) -> None:
    result = hitchpost("crash")

    assert result.exit_code == 1
    assert result.output == (
        "Error: unexpected ZeroDivisionError: division by zero (this is a defect; HITCHPOST_DEBUG=1 shows where it happened)\n"
    )


def test_defect_shows_where_it_happened_when_asked_to(
    hitchpost: Run, acme_plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HITCHPOST_DEBUG", "1")

    result = hitchpost("crash")

    assert isinstance(result.exception, ZeroDivisionError)


def test_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m hitchpost plugins --json | head -c 1"

    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)

    assert result.stdout == "["
    assert "Traceback" not in result.stderr


# --- completion ---


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_asks_the_program_by_its_variable(shell: str, hitchpost: Run) -> None:
    result = hitchpost("completion", shell)

    assert result.exit_code == 0
    assert f"_HITCHPOST_COMPLETE={shell}_complete" in result.output


def test_completion_of_an_unknown_shell_names_the_known(hitchpost: Run) -> None:
    result = hitchpost("completion", "csh")

    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.output


def test_bash_completes_commands() -> None:
    environ = {
        "COMP_WORDS": "hitchpost pl",
        "COMP_CWORD": "1",
        "_HITCHPOST_COMPLETE": "bash_complete",
        "PATH": "/usr/bin:/bin",
    }

    result = subprocess.run(
        [sys.executable, "-c", "from hitchpost.cli.main import main; main()"],
        capture_output=True,
        text=True,
        env=environ,
    )

    assert result.stdout == "plain,plugins\n"
