"""Where Hitchpost keeps what it must remember."""

import os
from pathlib import Path
from urllib.parse import quote

HOME_VARIABLE = "HITCHPOST_HOME"


def state_home() -> Path:
    """`HITCHPOST_HOME`, by default `~/.hitchpost`."""
    return Path(os.environ.get(HOME_VARIABLE) or "~/.hitchpost").expanduser()


def stack_home(image_name: str) -> Path:
    """The folder of one stack, whatever stands in its name."""
    return state_home() / "distributions" / path_safe(image_name)


def path_safe(name: str) -> str:
    """A name as one component of a path."""
    return quote(name, safe=" ")[:128].replace(".", "%2E", 1 if name.startswith(".") else 0)


__all__ = ["HOME_VARIABLE", "path_safe", "stack_home", "state_home"]
