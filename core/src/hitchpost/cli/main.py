"""The program and its commands."""

import errno
import os
from typing import Any

import click

from hitchpost import __version__
from hitchpost.cli.chat import chat
from hitchpost.cli.completion import completion
from hitchpost.cli.config import config
from hitchpost.cli.configure import configure
from hitchpost.cli.groups import ExtensibleGroup
from hitchpost.cli.jobs import jobs
from hitchpost.cli.memory import memory
from hitchpost.cli.new import new
from hitchpost.cli.output import CommandError, SetupError, prepare_streams
from hitchpost.cli.plugins import plugins
from hitchpost.cli.providers import providers
from hitchpost.cli.resources import memory_banks, models, shields
from hitchpost.cli.run import run
from hitchpost.errors import ConfigError, HitchpostError

DEBUG_VARIABLE = "HITCHPOST_DEBUG"
"""Environment variable: when set, an unexpected error shows its traceback."""


class Program(ExtensibleGroup):
    """Ends every failure with a line that a person can act on."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; our own errors end with their message, defects with a hint where to look."""
        try:
            return super().invoke(ctx)
        except HitchpostError as error:
            kind = SetupError if isinstance(error, ConfigError) else CommandError
            raise kind(str(error)) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE) or (isinstance(error, OSError) and error.errno == errno.EPIPE):
                raise
            hint = f"this is a defect; {DEBUG_VARIABLE}=1 shows where it happened"
            raise CommandError(f"unexpected {type(error).__name__}: {' '.join(str(error).split())} ({hint})") from error


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Plugins may add commands; `hitchpost plugins` lists them.",
)
@click.version_option(__version__, prog_name="hitchpost", message="%(prog)s %(version)s")
def program() -> None:
    """Hitchpost hosts Llama-stack-style AI backends."""


for command in (
    run,
    chat,
    models,
    shields,
    memory_banks,
    memory,
    jobs,
    plugins,
    providers,
    config,
    configure,
    new,
    completion,
):
    program.add_command(command)


def main() -> None:
    """What the console script `hitchpost` calls."""
    prepare_streams()
    program(prog_name="hitchpost")


__all__ = ["DEBUG_VARIABLE", "main", "program"]
