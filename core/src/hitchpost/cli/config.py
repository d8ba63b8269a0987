"""`hitchpost config`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hitchpost.cli.groups import ExtensibleGroup
from hitchpost.cli.output import SetupError, counted, show_json, show_line, show_note, show_part, show_warning
from hitchpost.cli.run_config import variables_option

if TYPE_CHECKING:
    from hitchpost.config import LoadedRunConfig
    from hitchpost.config.upgrade import Upgraded
    from hitchpost.stack import StackPlan

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(cls=ExtensibleGroup, path="config", short_help="Check, show and upgrade run configs.")
def config() -> None:
    """Check, show and upgrade run configs, and describe them to editors. `hitchpost configure` writes one by asking."""


@config.command(short_help="Print every problem of a run config.")
@_FILE
@variables_option
def check(file: Path, variables: dict[str, str]) -> None:
    """Print every problem of the run config FILE, each with its place, and what else is to be said about it.

    Providers aren't started. The exit status is 0 where `hitchpost run` would start, else 2. What is to be said goes to stdout, problems to
    stderr.
    """
    check_file(file, {**os.environ, **variables})


@config.command(short_help="Print the effective run config.")
@_FILE
@variables_option
def show(file: Path, variables: dict[str, str]) -> None:
    """Print the run config FILE as a host would go by it: in its present form, placeholders filled, defaults written out.

    Each value has a comment that says where it came from. What is or sounds like a secret is masked.
    """
    from hitchpost.stack.effective import effective_yaml

    loaded, plan = _planned(file, {**os.environ, **variables})
    loaded.check(plan.problems)
    show_part(effective_yaml(loaded, plan))


@config.command(short_help="Write a run config in its present form.")
@_FILE
@click.option("--output", type=click.Path(path_type=Path), help="A new file to write; by default it is printed.")
@click.option("--in-place", is_flag=True, help="Replace FILE, and keep it as FILE.bak.")
def upgrade(file: Path, output: Path | None, in_place: bool) -> None:
    """Write the run config FILE in its present form, version 2.

    What changes is told on stderr. Placeholders stay, and so do comments where the parts that they stand by do.
    """
    from hitchpost.config.document import read_yaml
    from hitchpost.config.load import read_text
    from hitchpost.config.save import save_backup, save_text
    from hitchpost.config.upgrade import upgrade_run_config
    from hitchpost.errors import ConfigError

    if output is not None and in_place:
        raise click.UsageError("--output and --in-place exclude each other")
    if output is not None and output.exists():
        raise SetupError(f"{output} is there already; name a new file, or use --in-place")
    text = read_text(file)
    data = read_yaml(text, f"run config {file}").data
    if not isinstance(data, dict):
        raise ConfigError(f"run config {file} is not a mapping")
    upgraded = upgrade_run_config(data)
    if upgraded.problems:
        raise ConfigError(f"run config {file} can't be upgraded", problems=upgraded.problems)
    for change in upgraded.changes:
        show_note(str(change))
    if not upgraded.changes:
        show_note(f"{file} has the present form")
    result = _rewritten(text, upgraded) if upgraded.changes else text
    warn_of_aliases(text, result)
    if output is not None:
        save_text(output, result, like=file)
    elif not in_place:
        show_part(result)
    elif upgraded.changes:
        backup = save_backup(file)
        save_text(file, result)
        show_note(f"{file} is upgraded; {backup} is what it was")


def warn_of_aliases(old: str, new: str) -> None:
    """Tell what a rewritten file no longer says once."""
    from hitchpost.config.edit import has_fewer_aliases

    if has_fewer_aliases(old, new):
        show_warning("aliases of the file are gone: what they stood for is written out in their place")


def _rewritten(text: str, upgraded: "Upgraded") -> str:
    from hitchpost.config.edit import edited_yaml, plain_yaml
    from hitchpost.errors import ConfigError

    try:
        result = edited_yaml(text, upgraded.data, upgraded.moved)
    except ConfigError as error:
        result = None
        if "#" in text:
            show_warning(str(error))
    if result is not None:
        return result
    if "#" in text:
        show_warning("the comments of the file are lost")
    return plain_yaml(upgraded.data)


@config.command(short_help="Print the JSON Schema of run configs.")
def schema() -> None:
    """Print the JSON Schema of run configs, for editors, with the configs of the installed provider types."""
    from hitchpost.config.installed_types import load_installed_types
    from hitchpost.config.json_schema import run_config_schema
    from hitchpost.plugin.catalog import build_catalog
    from hitchpost.plugin.discovery import discover_plugins

    installed = load_installed_types(build_catalog(discover_plugins().reports))
    for failure in installed.failures:
        show_warning(failure)
    show_json(run_config_schema(installed.configs))


def check_file(file: Path, environ: dict[str, str]) -> None:
    """What `hitchpost config check` does.

    Raises:
        ConfigError: the file has problems.
    """
    loaded, plan = _planned(file, environ)
    for change in loaded.changes:
        show_line(f"upgraded: {loaded.located_change(change)}")
    for note in (*loaded.notes, *plan.notes):
        show_line(f"note: {loaded.located(note)}")
    for provider in plan.providers:
        if provider.problem is not None:
            show_line(f"note: {loaded.located(f'{provider.origin}: will be failed: {provider.problem}')}")
    loaded.check(plan.problems)
    usable = sum(provider.problem is None for provider in plan.providers)
    providers, resources = counted(len(plan.providers), "provider"), counted(len(plan.resources), "resource")
    show_line(f"{file} is sound: {usable} of {providers} can be built, {resources}")


def _planned(file: Path, environ: dict[str, str]) -> "tuple[LoadedRunConfig, StackPlan]":
    from hitchpost.config import read_run_config
    from hitchpost.plugin.catalog import build_catalog
    from hitchpost.plugin.discovery import PluginState, discover_plugins
    from hitchpost.stack import draft_stack, select_plugins

    loaded = read_run_config(file, environ)
    plugins = discover_plugins(select_plugins(loaded.config))
    for report in plugins.reports:
        if report.state is PluginState.failed:
            show_warning(f"plugin {report.name} ({report.distribution}) can't be used: {report.stage}: {report.reason}")
    catalog = build_catalog(plugins.reports)
    return loaded, draft_stack(loaded.config, plugins, catalog, loaded.problems, loaded.folder)


__all__ = ["check_file", "config", "warn_of_aliases"]
