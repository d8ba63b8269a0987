"""What the commands that read a run config have in common: `--env`, and saying what was noticed."""

import re
from typing import TYPE_CHECKING

import click

from hitchpost.cli.output import show_note, show_warning

if TYPE_CHECKING:
    from hitchpost.config import LoadedRunConfig

_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def _variables(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [_VARIABLE.fullmatch(value) for value in values]
    wrong = [value for value, pair in zip(values, pairs, strict=True) if pair is None]
    if wrong:
        # A value may be a secret, so only what stands before it is repeated.
        raise click.BadParameter(f"{wrong[0].partition('=')[0]!r} is not of the form KEY=VALUE")
    return {pair[1]: pair[2] for pair in pairs if pair is not None}


variables_option = click.option(
    "--env", "variables", metavar="KEY=VALUE", multiple=True, callback=_variables,
    help="Fill ${env.KEY} in CONFIG with VALUE; may be given several times.",
)  # fmt: skip
"""The option `--env`, as the argument `variables` of a command."""


def show_remarks(loaded: "LoadedRunConfig") -> None:
    """Say how a file of an older form was read, and what in it means nothing."""
    for change in loaded.changes:
        show_note(f"Upgraded: {loaded.located_change(change)}")
    if loaded.changes:
        show_note("The file is as it was; `hitchpost config upgrade` writes the present form.")
    for note in loaded.notes:
        show_warning(loaded.located(note))


__all__ = ["show_remarks", "variables_option"]
