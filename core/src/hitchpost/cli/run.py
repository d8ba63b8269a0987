"""`hitchpost run`."""

import os
from pathlib import Path

import click

from hitchpost.cli.run_config import variables_option


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--host", help="Address to listen on; by default the config's, else 127.0.0.1.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for any; by default the config's, else 8321."
)
@variables_option
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
