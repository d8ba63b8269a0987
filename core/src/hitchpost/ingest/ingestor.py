"""From a document of a request to its chunks: where its content comes from, how it is read, how it is cut."""

import asyncio
import logging
import re

from hitchpost.api import URL, ImageMedia, MemoryBankDocument, content_items
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.ingest.chunks import ChunkSettings, chunks_of, cut
from hitchpost.ingest.config import IngestConfig
from hitchpost.ingest.documents import IngestedDocument, ParsedText

URL_START = re.compile(r"(?i:https?://|file://|data:)")
OVERLAPPING_CHARACTERS = 4


class Ingestor:
    """Reads documents, within the limits of its config.

    Args:
        config: the limits.
        log: where trouble with parsing processes is told; no content of a document is.
    """

    def __init__(self, config: IngestConfig, log: logging.Logger) -> None:
        self._config = config
        self._log = log

    async def start(self) -> None:
        """Make ready for reading; twice is once."""

    async def stop(self) -> None:
        """End what is still being read, and the processes that parse; twice is once."""

    async def read(self, document: MemoryBankDocument, *, chunk_size: int | None, overlap: int = 0) -> IngestedDocument:
        """The chunks of a document. Cancelling it ends the work behind it.

        Args:
            document: text, or a URL to read from; `mime_type` says what it is where that isn't clear.
            chunk_size: tokens of a chunk, at most; None for one chunk with the whole text.
            overlap: tokens that a chunk may share with the one before it; less than `chunk_size`.

        Raises:
            BadRequestError: the document can't be read, is too large, or lies where nothing may be read from.
            UnsupportedError: documents of its type can't be read, or the library for that is not installed.
            BackendUnavailableError, DeadlineExceededError: it could not be fetched, or not in time.
        """
        if chunk_size is not None and not 0 <= overlap < chunk_size:
            message = f"an overlap of {overlap} tokens does not go with chunks of {chunk_size}: it must be smaller"
            raise BadRequestError(message)
        settings = ChunkSettings(
            chunk_size,
            overlap,
            self._config.max_chunks,
            self._config.max_text_characters * OVERLAPPING_CHARACTERS,
        )
        text = _text(document)
        if len(text) > self._config.max_text_characters:
            raise BadRequestError(f"the text is longer than {self._config.max_text_characters:,} characters")
        await asyncio.sleep(0)
        cutting = cut(ParsedText(text), settings)
        return IngestedDocument(
            document.mime_type or "text/plain", chunks_of(text, cutting.spans, ()), cutting.token_count
        )


def _text(document: MemoryBankDocument) -> str:
    content = document.content
    if isinstance(content, URL) or (isinstance(content, str) and URL_START.match(content)):
        raise UnsupportedError("documents can't be read from URLs yet", param="content")
    items = content_items(content)
    if any(isinstance(item, ImageMedia) for item in items):
        raise UnsupportedError("images have no text that could be kept in a bank", param="content")
    return "\n".join(item for item in items if isinstance(item, str))


__all__ = ["Ingestor"]
