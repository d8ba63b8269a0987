"""Where Hitchpost keeps what it must remember."""

import os
from pathlib import Path

HOME_VARIABLE = "HITCHPOST_HOME"


def state_home() -> Path:
    """`HITCHPOST_HOME`, by default `~/.hitchpost`."""
    return Path(os.environ.get(HOME_VARIABLE) or "~/.hitchpost").expanduser()


__all__ = ["HOME_VARIABLE", "state_home"]
