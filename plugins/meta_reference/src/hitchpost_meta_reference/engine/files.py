"""The files of a checkpoint folder, read without ever leaving the folder."""

import json
from pathlib import Path
from typing import Any

from hitchpost_meta_reference.engine.errors import CheckpointError

MAX_JSON_BYTES = 16 * 2**20


def own_file(file: Path) -> Path:
    """The file, if it is a regular one that lies in its checkpoint's folder.

    A snapshot in a Hugging Face cache consists of links into that cache's `blobs`; these count as its own.

    Raises:
        CheckpointError: it's missing, a link that leads elsewhere, or no regular file (reading a pipe would hang).
    """
    folder = file.parent.resolve()
    target = file.resolve()
    homes = {folder, folder.parent.parent / "blobs"} if folder.parent.name == "snapshots" else {folder}
    if target.parent not in homes:
        raise CheckpointError(f"{file.name} is a link that leads out of the checkpoint's folder; copy the file into it")
    if not target.is_file():
        raise CheckpointError(f"{file.name} is missing, or no regular file")
    return target


def read_json(file: Path) -> dict[str, Any]:
    """A checkpoint's JSON file.

    Raises:
        CheckpointError: it isn't the checkpoint's own, larger than 16 MiB, or holds no JSON object.
    """
    path = own_file(file)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(f"{file.name} is larger than {MAX_JSON_BYTES >> 20} MiB")
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file.name} can't be read as JSON") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file.name} holds no JSON object")
    return content


__all__ = ["own_file", "read_json"]
