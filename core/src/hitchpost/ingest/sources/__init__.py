"""Where the bytes of a document come from: the web, a folder, the URL itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceBytes:
    """What was found at a URL."""

    data: bytes
    media_type: str | None = None
    """What came with it as its type, parameters included."""
    name: str = ""
    """The path that it has there, for its extension."""


__all__ = ["SourceBytes"]
