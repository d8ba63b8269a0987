"""A real host for the commands to talk to, a plugin with commands, and a terminal."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hitchpost.cli.main import program
from tests.processes import HostProcess

Run = Callable[..., Result]

SCRIPT = r"""
version: '2'
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models: [scripted, scripted-two]
      script:
      - {when: "think", reasoning: "Let me see.", text: "42"}
      - {when: "bad", refusal: "I won't."}
      - {when: "steer", text: "\e[2Jclean\a \x9bA"}
      - {when: "stall", text: "one two three", fault: {kind: stall, after_events: 2}}
      - {when: "break", text: "one two three", fault: {kind: cut, after_events: 2}}
      - {when: "fail", text: "one two", fault: {kind: error, code: overloaded, message: "far too much", after_events: 1}}
      - {when: "refuse", fault: {kind: error, code: overloaded, message: "nothing works"}}
      - {when: "length", text: "one two", finish: length}
      - {echo: true}
"""


@pytest.fixture(scope="session")
def scripted_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A host with the models `scripted` and `scripted-two`."""
    with HostProcess(tmp_path_factory.mktemp("cli-host"), SCRIPT) as host:
        yield host


@pytest.fixture
def hitchpost() -> Run:
    """Runs the program in this process: `hitchpost("models", "--url", url)`."""

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(program, arguments, input=stdin, prog_name="hitchpost")

    return run


@pytest.fixture
def acme_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution whose plugin adds commands, some of them wrong."""
    (tmp_path / "acme.py").write_text("""
import click
from hitchpost import hookimpl
from hitchpost.plugin import CommandSpec

@hookimpl
def commands():
    return [
        CommandSpec(name="greet", target="acme:greet", help="Greet somebody."),
        CommandSpec(parent="models", name="pull", target="acme:pull", help="Get a model."),
        CommandSpec(parent="acme", name="status", target="acme:greet", help="Say how it is."),
        CommandSpec(name="run", target="acme:greet", help="Not to be: there is a command of this name."),
        CommandSpec(name="absent", target="acme:nothing", help="Names nothing."),
        CommandSpec(name="exits", target="acme_exits:command", help="Ends the process while it is imported."),
        CommandSpec(parent="chat", name="loudly", target="acme:greet", help="Not to be: chat is no group."),
        CommandSpec(name="plain", target="acme:plain", help="Is no click command."),
        CommandSpec(name="crash", target="acme:crash", help="Fails."),
        CommandSpec(name="refuse", target="acme:refuse", help="Fails in our words."),
    ]

@click.command()
@click.argument("name", default="world")
def greet(name):
    "Greet somebody."
    click.echo(f"hello {name}")

@click.command()
def pull():
    "Get a model."
    click.echo("pulled")

@click.command()
def crash():
    raise ZeroDivisionError("division by zero")

@click.command()
def refuse():
    from hitchpost.errors import BackendUnavailableError
    raise BackendUnavailableError("the backend sleeps; wake it up")

def plain():
    pass
""")
    (tmp_path / "acme_exits.py").write_text("raise SystemExit('no licence')")
    info = tmp_path / "acme_tools-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-tools\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[hitchpost]\nacme = acme\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path
