"""`hitchpost new`."""

from pathlib import Path

import click

from hitchpost.cli.groups import ExtensibleGroup
from hitchpost.cli.output import show_line

APIS = ("inference", "safety", "memory")


@click.group("new", cls=ExtensibleGroup, path="new")
def new() -> None:
    """Write what an author starts from."""


@new.command("provider")
@click.argument("name")
@click.option("--api", type=click.Choice(APIS), required=True, help="What it serves.")
@click.option("--remote", "is_remote", is_flag=True, help="It stands in front of an HTTP server; for inference only.")
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder to make; without it hitchpost-NAME, in the current folder.",
)
def new_provider(name: str, api: str, is_remote: bool, output: Path | None) -> None:
    """Write a distribution with a provider type of its own, inline::NAME or remote::NAME.

    It is complete: it can be installed, serves what run.yaml says, and its tests pass, the conformance kit among them. What it does is
    small, and its comments say where your backend goes.
    """
    from hitchpost.api import Api
    from hitchpost.scaffold import ProviderPackage

    package = ProviderPackage(name, Api(api), is_remote)
    package.check_is_free()
    folder = output or Path(package.distribution)
    files = package.write(folder)
    show_line(f"{folder}: {len(files)} files of the distribution {package.distribution}")
    for file in files:
        show_line(f"  {file}")
    show_line("Next:")
    for command in (f"cd {folder}", "pip install -e '.[test]'", "pytest", "hitchpost run run.yaml"):
        show_line(f"  {command}")


__all__ = ["new"]
