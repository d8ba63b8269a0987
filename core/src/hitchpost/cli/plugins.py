"""`hitchpost plugins`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hitchpost.cli.groups import unusable_commands
from hitchpost.cli.output import json_option, show_json, show_line, show_table

if TYPE_CHECKING:
    from hitchpost.plugin.discovery import PluginReport

COLUMNS = ("name", "distribution", "version", "state", "offers", "reason")


@click.command(short_help="List the installed plugins, and why one can't be used.")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def plugins(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """List the installed plugins, what each offers, and why one can't be used.

    With CONFIG, a run config, the plugins that it names by path are listed too, and those that it keeps out are shown as denied.
    """
    from hitchpost.config import load_run_config
    from hitchpost.plugin.catalog import build_catalog
    from hitchpost.plugin.discovery import discover_plugins
    from hitchpost.stack import select_plugins

    run_config = None if config is None else load_run_config(config, os.environ).config
    reports = discover_plugins(select_plugins(run_config, config)).reports
    build_catalog(reports)  # adds a warning to each of two plugins that offer the same provider type
    program = ctx.find_root().command
    if isinstance(program, click.Group):
        for report, reason in unusable_commands(program, reports):
            report.warnings.append(reason)
    if as_json:
        show_json([_described(report) for report in reports])
    elif reports:
        show_table(COLUMNS, [_row(report) for report in reports])
    else:
        show_line("no plugins are installed")


def _offers(report: "PluginReport") -> list[str]:
    return [
        *(f"{spec.api.value} {spec.provider_type}" for spec in report.provider_specs),
        *(f"preset {preset.name}" for preset in report.presets),
        *(f"command {f'{spec.parent} {spec.name}'.strip()}" for spec in report.commands),
    ]


def _described(report: "PluginReport") -> dict[str, object]:
    return {
        "name": report.name,
        "distribution": report.distribution,
        "version": report.version,
        "state": report.state.value,
        "offers": _offers(report),
        "stage": report.stage,
        "reason": report.reason,
        "warnings": report.warnings,
    }


def _row(report: "PluginReport") -> dict[str, str]:
    failed_at = f"{report.stage}: " if report.stage else ""
    warnings = [f"warning: {warning}" for warning in report.warnings]
    return {
        "name": report.name,
        "distribution": report.distribution,
        "version": report.version,
        "state": report.state.value,
        "offers": ", ".join(_offers(report)),
        "reason": "; ".join([*([failed_at + report.reason] if report.reason else []), *warnings]),
    }


__all__ = ["plugins"]
