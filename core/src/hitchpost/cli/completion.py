"""`hitchpost completion`."""

import click
from click.shell_completion import get_completion_class

from hitchpost.cli.output import show_line

COMPLETE_VARIABLE = "_HITCHPOST_COMPLETE"


@click.command(short_help="Print the script that completes commands in a shell.")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in SHELL: bash, zsh or fish.

    \b
    bash:  hitchpost completion bash >> ~/.bashrc
    zsh:   hitchpost completion zsh >> ~/.zshrc
    fish:  hitchpost completion fish > ~/.config/fish/completions/hitchpost.fish
    """
    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"this version of click knows no completion for {shell}")
    show_line(script(ctx.find_root().command, {}, "hitchpost", COMPLETE_VARIABLE).source().strip())


__all__ = ["completion"]
