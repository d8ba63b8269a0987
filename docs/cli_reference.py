"""Writes docs/cli.md from the program's own help texts; `make docs` runs it, and a test compares.

Commands that plugins add are documented by their plugins.
"""

from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from hitchpost.cli.main import program

PAGE = Path(__file__).with_name("cli.md")
INTRODUCTION = """# The command line

What `--help` says; `python docs/cli_reference.py` writes this page. The exit status is 0 for success, 1 for a failure, whose reason is the
last line, and 2 for a wrong command line or run config.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_sections(program)])


def _sections(command: click.Command, *path: str) -> Iterator[str]:
    said = CliRunner().invoke(program, [*path, "--help"], prog_name="hitchpost", terminal_width=100).output
    yield f"## `{' '.join(['hitchpost', *path])}`\n\n```text\n{said}```\n"
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            yield from _sections(child, *path, name)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
