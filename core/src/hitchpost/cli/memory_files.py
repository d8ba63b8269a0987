"""Files of this machine as documents of an insertion."""

import base64
import mimetypes
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 10 * 1024 * 1024
"""A host reads requests of 16 MiB where its run config says nothing else; base64 takes a third more than the file."""
BATCH_BYTES = 4 * 1024 * 1024
BATCH_DOCUMENTS = 16
MAX_ID_CHARS = 512


@dataclass(slots=True)
class Batch:
    """Some files: documents to be sent, and why others can't be."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of document id and reason."""

    def __len__(self) -> int:
        return len(self.documents) + len(self.failed)


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The files that paths name, in their order, each once; a directory stands for all files below it that aren't hidden."""
    found: dict[Path, None] = {}
    for path in paths:
        found |= dict.fromkeys(_below(path) if path.is_dir() else [path])
    return list(found)


def _below(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


def batches(files: Sequence[Path], mime_type: str | None, metadata: dict[str, Any] | None) -> Iterator[Batch]:
    """The files as documents, in batches that a host takes in one request, read when they are asked for.

    Args:
        files: what to read; a file's path is its document's id.
        mime_type: what all of them are; None: what the endings of their names say.
        metadata: of each document.
    """
    batch, size = Batch(), 0
    for path in files:
        document_id = path.as_posix().encode("utf-8", "replace").decode()
        try:
            content = _read(path, document_id)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            batch.failed.append((document_id, reason))
            continue
        if batch.documents and (size + len(content) > BATCH_BYTES or len(batch.documents) == BATCH_DOCUMENTS):
            yield batch
            batch, size = Batch(), 0
        batch.documents.append(_document(document_id, content, mime_type or _mime_type(path), metadata))
        size += len(content)
    if len(batch):
        yield batch


def _read(path: Path, document_id: str) -> bytes:
    if len(document_id) > MAX_ID_CHARS:
        raise ValueError(f"its path is longer than {MAX_ID_CHARS} characters")
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(
            f"it is larger than {MAX_FILE_BYTES // 1024**2} MiB, and no larger file is sent; split it, or put it below a folder that the host's "
            "run config names under ingest.file_roots, and insert its file:// URL"
        )
    return content


def _document(
    document_id: str, content: bytes, mime_type: str | None, metadata: dict[str, Any] | None
) -> dict[str, Any]:
    encoded = base64.b64encode(content).decode("ascii")
    return {
        "document_id": document_id,
        "content": {"uri": f"data:{mime_type or ''};base64,{encoded}"},
        "mime_type": mime_type,
        "metadata": metadata or {},
    }


def _mime_type(path: Path) -> str | None:
    mime_type, compression = mimetypes.guess_type(path.name)
    return f"application/{compression}" if compression else mime_type


__all__ = ["BATCH_DOCUMENTS", "MAX_FILE_BYTES", "Batch", "batches", "find_files"]
