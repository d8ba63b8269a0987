"""`hitchpost providers`."""

from typing import TYPE_CHECKING, Any

import click

from hitchpost.cli.groups import ExtensibleGroup
from hitchpost.cli.host_url import url_option
from hitchpost.cli.output import json_option, show_json, show_listing, show_table

if TYPE_CHECKING:
    from hitchpost.api import Api
    from hitchpost.plugin.catalog import Catalog, ProviderType

COLUMNS = ("api", "provider_type", "distribution", "usable", "description")
STATUS_COLUMNS = ("api", "provider", "provider_type", "state", "serves", "reason")


@click.group(cls=ExtensibleGroup, path="providers", invoke_without_command=True)
@json_option
@click.pass_context
def providers(ctx: click.Context, as_json: bool) -> None:
    """List the provider types that a run config may name, and what to install for those that lack something."""
    if ctx.invoked_subcommand is not None:
        return
    from hitchpost.plugin.catalog import build_catalog
    from hitchpost.plugin.discovery import PluginState, discover_plugins

    reports = discover_plugins().reports
    failed = {report.distribution for report in reports if report.state is PluginState.failed}
    rows = _rows(build_catalog(reports), failed)
    if as_json:
        show_json(rows)
    else:
        show_table(COLUMNS, rows)


@providers.command("status")
@url_option
@json_option
def status(url: str, as_json: bool) -> None:
    """Show the providers of a running host: their states, with reasons, and how much they serve."""
    from hitchpost.cli.host_client import ask_host

    found = ask_host(url, lambda client: client.list_providers())
    show_listing(found, STATUS_COLUMNS, _status_row, as_json=as_json, nothing="the host has no providers")


def _status_row(provider: dict[str, Any]) -> dict[str, str]:
    return {
        "api": str(provider["api"]),
        "provider": str(provider["provider_id"]),
        "provider_type": str(provider["provider_type"]),
        "state": str(provider["state"]),
        "serves": str(len(provider["serves"])),
        "reason": provider["reason"] or "",
    }


def _rows(catalog: "Catalog", failed: set[str]) -> list[dict[str, str]]:
    from hitchpost.plugin.catalog import KNOWN_ELSEWHERE

    declared = [_described(entry) for _, entry in sorted(catalog.types.items())]
    disputed = [
        {
            "api": api.value,
            "provider_type": name,
            "distribution": " and ".join(owners),
            "usable": "no: declared twice",
            "description": "uninstall one of them, or name it in plugins.deny",
        }
        for (api, name), owners in sorted(catalog.conflicts.items())
    ]
    known = {*catalog.types, *catalog.conflicts}
    elsewhere = [
        _known_elsewhere(*key, install, failed) for key, install in KNOWN_ELSEWHERE.items() if key not in known
    ]
    return declared + disputed + elsewhere


def _known_elsewhere(api: "Api", provider_type: str, install: str, failed: set[str]) -> dict[str, str]:
    distribution = install.partition("[")[0]
    return {
        "api": api.value,
        "provider_type": provider_type,
        "distribution": distribution,
        "usable": "no: see `hitchpost plugins`" if distribution in failed else f"no: pip install '{install}'",
        "description": "",
    }


def _described(entry: "ProviderType") -> dict[str, str]:
    spec = entry.spec
    missing = spec.missing_modules()
    usable = "yes"
    if missing:
        usable = f"no: pip install '{spec.extra}'" if spec.extra else f"no: {', '.join(missing)} is not installed"
    description = spec.description
    if spec.deprecated:
        instead = f"; use {spec.replaced_by}" if spec.replaced_by else ""
        description = f"deprecated: {spec.deprecated}{instead}. {description}"
    return {
        "api": spec.api.value,
        "provider_type": spec.provider_type,
        "distribution": entry.plugin.distribution,
        "usable": usable,
        "description": description.strip(),
    }


__all__ = ["providers"]
