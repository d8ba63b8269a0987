"""Everything that the program prints. What comes from elsewhere is printed without control characters: they would steer the terminal."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from io import TextIOWrapper
from typing import IO, Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""For commands that print what a person reads, unless a program asks."""
_CONTROL = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)))
_CONTROL_IN_TEXT = {code: None for code in _CONTROL if chr(code) not in "\n\t"}


class CommandError(click.ClickException):
    """Something failed: ends the program with one clear line on stderr and exit status 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Writes the message to stderr."""
        show_error(self.message)


class SetupError(CommandError):
    """What was asked can't be, as things are set up: the same with exit status 2."""

    exit_code = 2


def prepare_streams() -> None:
    """Characters that the encoding of the terminal, or of a pipe, can't hold are replaced; a chat must not fail because of one."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def show_line(text: str = "", *, is_dim: bool = False) -> None:
    """A line on stdout."""
    click.echo(_styled(printable(text), is_dim))


def show_part(text: str, *, is_dim: bool = False) -> None:
    """Text on stdout, at once and without a line's end."""
    click.echo(_styled(printable(text), is_dim), nl=False)


def show_note(text: str) -> None:
    """A line on stderr that isn't an error."""
    click.echo(printable(text), err=True)


def show_warning(text: str) -> None:
    """A warning on stderr."""
    click.echo(f"{click.style('Warning:', fg='yellow')} {printable(text)}", err=True)


def show_error(text: str) -> None:
    """An error on stderr."""
    click.echo(f"{click.style('Error:', fg='red')} {printable(text)}", err=True)


def show_json(value: Any) -> None:
    """A JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Aligned columns on stdout, headings first."""
    cells = [[row[column].translate(_CONTROL) for column in columns] for row in rows]
    widths = [max(len(column), *(len(row[index]) for row in cells), 0) for index, column in enumerate(columns)]
    headings = [column.upper().ljust(width) for column, width in zip(columns, widths, strict=True)]
    click.echo(click.style("  ".join(headings).rstrip(), bold=True))
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_listing(
    found: Sequence[Any],
    columns: Sequence[str],
    row: Callable[[Any], Mapping[str, str]],
    *,
    as_json: bool,
    nothing: str,
) -> None:
    """What was found as JSON, or as a table with a row for each, or the line `nothing` where there is none."""
    if as_json:
        show_json(found)
    elif found:
        show_table(columns, [row(one) for one in found])
    else:
        show_line(nothing)


def progress_bar(total: int, label: str) -> AbstractContextManager[Any]:
    """A bar on stderr, where a person sees it; elsewhere nothing."""
    return click.progressbar(length=total, label=printable(label), file=sys.stderr, hidden=not sys.stderr.isatty())


def counted(number: int, noun: str) -> str:
    """`1 document`, `2,000 documents`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """A text without control characters, save line ends and tabs."""
    return text.translate(_CONTROL_IN_TEXT)


def _styled(text: str, is_dim: bool) -> str:
    return click.style(text, dim=True) if is_dim else text


__all__ = [
    "CommandError",
    "SetupError",
    "counted",
    "json_option",
    "prepare_streams",
    "printable",
    "progress_bar",
    "show_error",
    "show_json",
    "show_line",
    "show_listing",
    "show_note",
    "show_part",
    "show_table",
    "show_warning",
]
