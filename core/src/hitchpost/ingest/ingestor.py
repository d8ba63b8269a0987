"""From a document of a request to its chunks: where its content comes from, how it is read, how it is cut."""

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING

from hitchpost.api import URL, ImageMedia, InterleavedContent, MemoryBankDocument, content_items
from hitchpost.errors import BackendUnavailableError, BadRequestError, RequestTooLargeError, UnsupportedError
from hitchpost.ingest.chunks import ChunkSettings, ChunkSpan, chunks_of, cut
from hitchpost.ingest.config import IngestConfig
from hitchpost.ingest.documents import Heading, IngestedDocument
from hitchpost.ingest.media_types import (
    HTML,
    PLAIN,
    charset_of,
    check_readable,
    is_text,
    plain_type,
    type_of_bytes,
    type_of_text,
)
from hitchpost.ingest.parsing.frames import ParseRequest
from hitchpost.ingest.parsing.parse import check_installed, parse_text
from hitchpost.ingest.parsing.pool import ParserPool, cpu_seconds
from hitchpost.ingest.sources import SourceBytes
from hitchpost.ingest.sources.data_urls import read_data_url
from hitchpost.ingest.sources.files import read_file_url

if TYPE_CHECKING:
    from hitchpost.ingest.sources.web import WebReader

MAX_METADATA_CHARACTERS = 65_536
"""Of one document, as JSON: they are kept with its chunks."""
URL_START = re.compile(r"(?i:https?://|file://|data:)")
SHORT_CHARACTERS = 16 * 1024
"""A text up to this is cut in some milliseconds, less than it takes to hand it to another process."""
MAX_REPETITION = 4
"""How many times the text, with all that they share, the chunks of a document may hold."""


class Ingestor:
    """Reads documents, within the limits of its config.

    Args:
        config: the limits.
        log: where trouble with the processes that parse is told, and why a host was refused; no content of a document is.
    """

    def __init__(self, config: IngestConfig, log: logging.Logger) -> None:
        self._config = config
        self._slots = asyncio.Semaphore(config.max_concurrent)
        self._log = log
        self._parsers = ParserPool(config, log)
        self._web: WebReader | None = None
        self._is_running = True

    async def start(self) -> None:
        """Make ready for reading; twice is once."""
        self._is_running = True

    async def stop(self) -> None:
        """End what is still being read, and the processes that parse; twice is once."""
        self._is_running = False
        web, self._web = self._web, None
        if web is not None:
            await web.close()
        await self._parsers.stop()

    async def read(self, document: MemoryBankDocument, *, chunk_size: int | None, overlap: int = 0) -> IngestedDocument:
        """The chunks of a document. Cancelling it ends the work behind it.

        Args:
            document: text, or a URL to read from; `mime_type` says what it is where that isn't clear.
            chunk_size: tokens of a chunk, at most; None for one chunk with the whole text.
            overlap: tokens that a chunk may share with the one before it; less than `chunk_size`.

        Raises:
            BadRequestError: the document can't be read, is too large, or lies where nothing may be read from.
            RequestTooLargeError: its metadata are too large.
            UnsupportedError: documents of its type can't be read, or the library for that is not installed.
            BackendUnavailableError, DeadlineExceededError: it could not be fetched, or not in time.
        """
        if chunk_size is not None and not 0 <= overlap < chunk_size:
            raise BadRequestError(f"an overlap of {overlap} tokens does not go with chunks of {chunk_size}; lower it")
        if len(json.dumps(document.metadata)) > MAX_METADATA_CHARACTERS:
            raise RequestTooLargeError(
                f"metadata have more than {MAX_METADATA_CHARACTERS:,} characters as JSON; put long texts into the content",
                param="metadata",
            )
        settings = ChunkSettings(
            chunk_size, overlap, self._config.max_chunks, self._config.max_text_characters * MAX_REPETITION
        )
        content = document.content
        if isinstance(content, URL):
            return await self._read_url(content.uri, document.mime_type, settings)
        if isinstance(content, str) and URL_START.match(content):
            return await self._read_url(content, document.mime_type, settings)
        return await self._read_text(_text(content), document.mime_type, settings)

    async def _read_text(self, text: str, given: str | None, settings: ChunkSettings) -> IngestedDocument:
        if len(text) > self._config.max_text_characters:
            message = f"the text is longer than {self._config.max_text_characters:,} characters"
            raise BadRequestError(message, param="content")
        mime_type = type_of_text(given)
        check_installed(mime_type)
        if len(text) > SHORT_CHARACTERS or mime_type == HTML:
            async with self._slots:
                return await self._parse(text.encode("utf-8", "replace"), mime_type, "utf-8", settings)
        # Whoever reads many short texts in a row lets others have their turn between them.
        await asyncio.sleep(0)
        parsed = parse_text(text, _parsed_as(mime_type, settings))
        cutting = cut(parsed, settings)
        return IngestedDocument(mime_type, chunks_of(parsed.text, cutting.spans, parsed.headings), cutting.token_count)

    async def _read_url(self, url: str, given: str | None, settings: ChunkSettings) -> IngestedDocument:
        check_readable(plain_type(given))
        async with self._slots:
            found = await self._fetch(url, has_given_type=bool(plain_type(given)))
            mime_type = type_of_bytes(found.data, given, found.media_type, found.name)
            check_installed(mime_type)
            charset = charset_of(given) or charset_of(found.media_type)
            return await self._parse(found.data, mime_type, charset, settings)

    async def _fetch(self, url: str, *, has_given_type: bool) -> SourceBytes:
        scheme = url.partition(":")[0].lower()
        if scheme == "data":
            return await asyncio.to_thread(read_data_url, url, self._config.max_document_bytes)
        if scheme == "file":
            return await asyncio.to_thread(read_file_url, url, self._config.file_roots, self._config.max_document_bytes)
        self._check_running()
        if self._web is None:
            from hitchpost.ingest.sources.web import WebReader

            self._web = WebReader(self._config, self._log)
        return await self._web.fetch(url, has_given_type=has_given_type)

    async def _parse(
        self, data: bytes, mime_type: str, charset: str | None, settings: ChunkSettings
    ) -> IngestedDocument:
        self._check_running()
        request = ParseRequest(
            mime_type=_parsed_as(mime_type, settings),
            charset=charset,
            chunk_size=settings.size,
            overlap=settings.overlap,
            max_chunks=settings.max_chunks,
            max_chunk_characters=settings.max_characters,
            max_text_characters=self._config.max_text_characters,
            max_inflated_bytes=self._config.max_inflated_bytes,
            cpu_seconds=cpu_seconds(self._config),
        )
        answer, text = await self._parsers.parse(request, data)
        headings = [Heading(0, title) for title in answer.headings]
        return IngestedDocument(
            mime_type, chunks_of(text, [ChunkSpan(*span) for span in answer.spans], headings), answer.token_count
        )

    def _check_running(self) -> None:
        if not self._is_running:
            raise BackendUnavailableError("documents are read no more, as the provider is being stopped")


def _parsed_as(mime_type: str, settings: ChunkSettings) -> str:
    """A text that isn't cut is kept to the letter: a key-value bank gives back what it got."""
    return PLAIN if settings.size is None and is_text(mime_type) and mime_type != HTML else mime_type


def _text(content: InterleavedContent) -> str:
    items = content_items(content)
    if any(isinstance(item, ImageMedia) for item in items):
        raise UnsupportedError("images have no text that could be kept in a bank", param="content")
    return "\n".join(item for item in items if isinstance(item, str))


__all__ = ["Ingestor"]
