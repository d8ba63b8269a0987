"""`hitchpost configure`."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from hitchpost.cli.output import CommandError, show_line, show_note, show_part, show_warning


class Terminal:
    """The person at the terminal, or the script behind the pipe."""

    def ask(self, question: str) -> str:
        """A line that was typed."""
        show_part(question)
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.strip()

    def tell(self, text: str) -> None:
        """A line on stdout."""
        show_line(text)


@click.command(short_help="Write a run config by answering questions.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("run.yaml"), show_default=True,
    help="The run config to write, or to change where it is there.",
)  # fmt: skip
def configure(output: Path) -> None:
    """Write a run config by answering questions about the providers that can be configured here.

    A file that is there is changed: what isn't asked about stays, with its comments, and the old file is kept under its name with .bak
    behind it. Secrets are written as environment variables. Answers can come from a pipe. Where the input ends before the last question, or
    Ctrl-C is pressed, nothing is written and the exit status is 1.
    At the end the file is checked, as by `hitchpost config check`.
    """
    from hitchpost.config import read_run_config
    from hitchpost.config.edit import edited_yaml, plain_yaml
    from hitchpost.config.installed_types import load_installed_types
    from hitchpost.config.wizard import Wizard
    from hitchpost.plugin.catalog import build_catalog
    from hitchpost.plugin.discovery import discover_plugins
    from hitchpost.stack import select_plugins

    text, given, moved = _existing(output)
    selection = select_plugins(None if text is None else read_run_config(output, os.environ).config)
    installed = load_installed_types(build_catalog(discover_plugins(selection).reports))
    for failure in installed.failures:
        show_warning(failure)
    if not installed.configs:
        raise CommandError("no installed plugin offers a provider type; `hitchpost plugins` says why")
    try:
        answers = Wizard(Terminal(), installed, os.environ).run(given)
    except EOFError as error:
        show_line()
        raise CommandError("the answers ended before the last question; nothing is written") from error
    written = plain_yaml(answers) if text is None else edited_yaml(text, answers, moved)
    if written is None:
        raise CommandError(f"{output} can't be changed without losing what it holds; nothing is written")
    _save(output, text, written)
    _check(output)


def _existing(output: Path) -> tuple[str | None, dict[Any, Any], dict[str, str]]:
    """The text of the file that is to be changed, what it says in its present form, and what of that stands elsewhere."""
    from hitchpost.config.document import read_yaml
    from hitchpost.config.edit import edited_yaml
    from hitchpost.config.load import read_text
    from hitchpost.config.upgrade import upgrade_run_config
    from hitchpost.errors import ConfigError

    if not output.exists():
        if not output.parent.is_dir():
            raise ConfigError(f"{output.parent} is no folder")
        return None, {}, {}
    text = read_text(output)
    data = read_yaml(text, f"run config {output}").data
    if data is None:
        return None, {}, {}
    if not isinstance(data, dict):
        raise ConfigError(f"run config {output} is not a mapping")
    if edited_yaml(text, data) is None:
        raise ConfigError(f"run config {output} has a form that can't be changed without losing its comments")
    upgraded = upgrade_run_config(data)
    if upgraded.problems:
        raise ConfigError(f"run config {output} can't be upgraded", problems=upgraded.problems)
    for change in upgraded.changes:
        show_note(f"Upgraded: {change}")
    return text, upgraded.data, dict(upgraded.moved)


def _save(output: Path, text: str | None, written: str) -> None:
    from hitchpost.cli.config import warn_of_aliases
    from hitchpost.config.save import save_backup, save_text

    if written == text:
        show_line(f"{output} stays as it is")
        return
    backup = save_backup(output) if text is not None else None
    save_text(output, written)
    show_line(f"{output} is written" + (f"; {backup} is what it was" if backup else ""))
    if text is not None:
        warn_of_aliases(text, written)


def _check(output: Path) -> None:
    from hitchpost.cli.config import check_file
    from hitchpost.config.placeholders import UNSET
    from hitchpost.errors import ConfigError

    try:
        check_file(output, dict(os.environ))
    except ConfigError as error:
        if not error.problems or not all(problem.endswith(UNSET) for problem in error.problems):
            raise
        for problem in error.problems:
            show_note(f"to do: {problem}")


__all__ = ["configure"]
