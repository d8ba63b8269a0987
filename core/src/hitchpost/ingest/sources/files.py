"""`file://` URLs, below the folders that the config names."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hitchpost.errors import BadRequestError
from hitchpost.ingest.sources import SourceBytes

FORBIDDEN = "file:// URLs may be read only below the folders that the provider's config names under ingest.file_roots"


def read_file_url(url: str, roots: Sequence[Path], max_bytes: int) -> SourceBytes:
    """The file of a URL. It blocks, so it is for a thread.

    Links are followed before it is known where the file lies, and none after that: what is opened is what was checked.

    Raises:
        BadRequestError: it lies elsewhere, is none, or is too large.
    """
    path = _path(url)
    for root in roots:
        real_root = os.path.realpath(root)
        if path == real_root or path.startswith(real_root.rstrip(os.sep) + os.sep):
            parts = Path(path).relative_to(real_root).parts
            return SourceBytes(_read(real_root, parts, max_bytes), name=path)
    raise BadRequestError(FORBIDDEN, param="content")


def _path(url: str) -> str:
    try:
        parts = urlsplit(url)
        path = unquote(parts.path, errors="strict")
    except ValueError as error:
        raise BadRequestError("the file:// URL is malformed", param="content") from error
    if (
        parts.netloc not in ("", "localhost")
        or parts.query
        or parts.fragment
        or "\0" in path
        or not path.startswith("/")
    ):
        raise BadRequestError("a file:// URL has the form file:///folder/file", param="content")
    return os.path.realpath(path)


def _read(root: str, parts: Sequence[str], max_bytes: int) -> bytes:
    opened: list[int] = []
    try:
        opened.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for part in parts:
            # Without O_NONBLOCK, opening a named pipe would wait for somebody to write.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            opened.append(os.open(part, flags, dir_fd=opened[-1]))
        found = os.fstat(opened[-1])
        if not stat.S_ISREG(found.st_mode):
            raise BadRequestError("the file:// URL names something that is no file", param="content")
        with os.fdopen(opened.pop(), "rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        message = f"the file can't be read: {os.strerror(error.errno or 0)}"
        raise BadRequestError(message, param="content") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if len(data) > max_bytes:
        raise BadRequestError(f"the file is larger than {max_bytes:,} bytes", param="content")
    return data


__all__ = ["read_file_url"]
