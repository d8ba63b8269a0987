"""`hitchpost models`."""

from typing import Any

import click

from hitchpost.cli.groups import ExtensibleGroup
from hitchpost.cli.host_url import url_option
from hitchpost.cli.output import show_json, show_line, show_table

COLUMNS = ("model", "provider", "provider_model", "type")


@click.group(cls=ExtensibleGroup, path="models", invoke_without_command=True)
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def models(ctx: click.Context, url: str, as_json: bool) -> None:
    """List the models that a running host serves."""
    if ctx.invoked_subcommand is not None:
        return
    import asyncio

    found = asyncio.run(_fetch(url))
    if as_json:
        show_json(found)
    elif found:
        show_table(COLUMNS, [_row(model) for model in found])
    else:
        show_line("the host serves no models")


async def _fetch(url: str) -> list[dict[str, Any]]:
    from contextlib import aclosing

    from hitchpost.cli.host_client import HostClient

    async with aclosing(HostClient(url)) as client:
        return await client.list_models()


def _row(model: dict[str, Any]) -> dict[str, str]:
    from hitchpost.cli.host_client import model_type

    return {
        "model": str(model["identifier"]),
        "provider": str(model.get("provider_id", "")),
        "provider_model": str(model.get("provider_resource_id", "")),
        "type": model_type(model),
    }


__all__ = ["models"]
