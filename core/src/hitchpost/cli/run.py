"""`hitchpost run`."""

import os
import re
from pathlib import Path

import click

_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def _variables(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [_VARIABLE.fullmatch(value) for value in values]
    wrong = [value for value, pair in zip(values, pairs, strict=True) if pair is None]
    if wrong:
        # A value may be a secret, so only what stands before it is repeated.
        raise click.BadParameter(f"{wrong[0].partition('=')[0]!r} is not of the form KEY=VALUE")
    return {pair[1]: pair[2] for pair in pairs if pair is not None}


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--host", help="Address to listen on; by default the config's, else 127.0.0.1.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for any; by default the config's, else 8321."
)
@click.option(
    "--env", "variables", metavar="KEY=VALUE", multiple=True, callback=_variables,
    help="Fill ${env.KEY} in CONFIG with VALUE; may be given several times.",
)  # fmt: skip
def run(config: Path | None, host: str | None, port: int | None, variables: dict[str, str]) -> None:
    """Start the host.

    CONFIG is a run config, a YAML file. Without it, the presets of the installed plugins are served. Ctrl-C stops the host: it takes
    no new requests then, and lets streams finish.
    """
    from hitchpost.cli.serving import serve_config

    if variables and config is None:
        raise click.UsageError("--env fills placeholders of a run config, and none is given")
    serve_config(config, {**os.environ, **variables}, host=host, port=port)


__all__ = ["run"]
