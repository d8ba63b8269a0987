"""Writing a run config so that the file is the old one or the new one, whole."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from hitchpost.errors import ConfigError


def save_text(path: Path, text: str, like: Path | None = None) -> None:
    """Put a text in the place of a file, with its mode; a new one is readable by its owner only. Where that fails, the old file stays as it was.

    Args:
        text: its lines end with LF, and are written with the line ends of `like`.
        like: another file; without it, the one that is replaced.

    Raises:
        ConfigError: it can't be written.
    """
    target = path.resolve()
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with open(descriptor, "w", encoding="utf-8", newline=_line_end(like or target)) as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, _mode_of(target))
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        raise ConfigError(f"{path} can't be written: {error.strerror}") from error


def save_backup(path: Path) -> Path:
    """Copy a file to a name beside it that is free, with its mode, and answer where.

    Raises:
        ConfigError: it can't be read or written.
    """
    backup = path
    try:
        held = path.read_bytes()
        for number in range(1, 1000):
            backup = path.with_name(f"{path.name}.bak" if number == 1 else f"{path.name}.bak{number}")
            with (
                suppress(FileExistsError),
                open(os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
            ):
                file.write(held)
                os.fchmod(file.fileno(), _mode_of(path))
                return backup
    except OSError as error:
        raise ConfigError(f"{backup} can't be written: {error.strerror}") from error
    raise ConfigError(f"{path} has a thousand backups; remove some")


def _mode_of(path: Path) -> int:
    """Who may do what with a file; with one that isn't there, its owner alone."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return 0o600


def _line_end(path: Path) -> str:
    """How the first line of a file ends; with LF where there is none."""
    try:
        with path.open("rb") as file:
            return "\r\n" if file.readline().endswith(b"\r\n") else "\n"
    except FileNotFoundError:
        return "\n"


__all__ = ["save_backup", "save_text"]
