"""Paths in configs: relative ones are meant from the folder of the run config, so that it works from wherever the host is started."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

_FOLDER = "hitchpost_config_folder"


def _resolve(path: Path, info: ValidationInfo) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ValueError("the home directory that it begins with isn't there") from error
    folder = (info.context or {}).get(_FOLDER)
    return path if folder is None else folder / path


ConfigPath = Annotated[Path, AfterValidator(_resolve)]
"""The type for a file or folder in a provider's config: `~` is the home directory, and what is relative is so to the folder of the run config.
Without a run config, as in a provider's own tests, it is relative to the current folder, as any path."""


def config_context(folder: Path | None) -> dict[str, Any]:
    """pydantic's context of what is read from a run config in this folder; None where no file was read."""
    return {} if folder is None else {_FOLDER: folder.absolute()}


__all__ = ["ConfigPath", "config_context"]
