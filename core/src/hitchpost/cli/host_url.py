"""The option `--url`: where the host runs that a command talks to."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

DEFAULT_URL = "http://127.0.0.1:8321"
URL_VARIABLE = "HITCHPOST_URL"

F = TypeVar("F", bound=Callable[..., Any])


def _checked(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        parts = urlsplit(value)
        is_sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_sound = False
    if not is_sound:
        raise click.BadParameter(f"{value!r} is not of the form {DEFAULT_URL}")
    # The same address serves as `base_url` of the OpenAI SDK, which wants the suffix.
    return value.rstrip("/").removesuffix("/v1")


def url_option(command: F) -> F:
    """Adds `--url` to a command."""
    return click.option(
        "--url",
        default=DEFAULT_URL,
        envvar=URL_VARIABLE,
        show_default=True,
        show_envvar=True,
        callback=_checked,
        help="Address of the running host.",
    )(command)


__all__ = ["DEFAULT_URL", "URL_VARIABLE", "url_option"]
