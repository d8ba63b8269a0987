"""`hitchpost chat`."""

import click

from hitchpost.cli.host_url import url_option


@click.command()
@url_option
@click.option("--model", help="Model to talk to; by default the first that the host lists.")
def chat(url: str, model: str | None) -> None:
    """Chat with a model of a running host.

    Each line is a message, and the answer appears while it is made. Ctrl-C stops an answer, Ctrl-D leaves, /help lists what else
    there is. From a pipe or a file, each line is answered in turn.
    """
    from hitchpost.cli.chat_session import run_chat

    run_chat(url, model)


__all__ = ["chat"]
