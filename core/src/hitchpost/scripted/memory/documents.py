"""From a document's content to its text. Nothing is fetched: a URL must carry its text in itself."""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote_to_bytes

from hitchpost.api import URL, ImageMedia, InterleavedContent, content_items, content_text
from hitchpost.errors import BadRequestError, UnsupportedError

MAX_DOCUMENT_CHARACTERS = 1_000_000

_WORD = re.compile(r"\S+")
_SCHEME = re.compile(r"(?i)(https?|file)://|(data):")
_DATA_URL = re.compile(r"(?is)data:(?P<type>[^;,]*)(?P<parameters>(?:;[^,]*)?),(?P<payload>.*)")
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})
_CHARSETS = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii", "utf-16": "utf-16", "iso-8859-1": "latin-1",
    "latin1": "latin-1", "windows-1252": "cp1252",
}  # fmt: skip
"""Those that texts have; Python's other codecs are not for callers to choose."""


def document_text(content: InterleavedContent | URL, param: str) -> str:
    """The text of a document.

    Args:
        content: text, or a `data:` URL of a text, as an object or as a text that is nothing else.
        param: where the content stands in the request, for messages.

    Raises:
        UnsupportedError: the content is an image, or stands somewhere else.
        BadRequestError: the `data:` URL can't be decoded, or the text is too long.
    """
    uri = content.uri if isinstance(content, URL) else content if isinstance(content, str) else ""
    scheme = _SCHEME.match(uri)
    if scheme is None:
        text = plain_text(content, param) if not isinstance(content, URL) else ""
    elif scheme[1]:
        raise UnsupportedError(
            f"{param}: inline::scripted fetches nothing, so {scheme[1].lower()} URLs can't be inserted; send the text itself",
            param=param,
        )
    else:
        text = _data_url_text(uri, param)
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        raise BadRequestError(
            f"{param} has {len(text):,} characters; a document may have {MAX_DOCUMENT_CHARACTERS:,}", param=param
        )
    return text


def plain_text(content: InterleavedContent, param: str) -> str:
    """The text of a content without images.

    Raises:
        UnsupportedError: there is an image in it.
    """
    if any(isinstance(item, ImageMedia) for item in content_items(content)):
        raise UnsupportedError(f"{param}: inline::scripted keeps and finds text only, no images", param=param)
    return content_text(content)


def _data_url_text(uri: str, param: str) -> str:
    # A character of text takes at most 12 of a URL: four bytes, each written as %XX.
    if len(uri) > 12 * MAX_DOCUMENT_CHARACTERS:
        raise BadRequestError(f"{param}: the data: URL is too long", param=param)
    parts = _DATA_URL.fullmatch(uri)
    if parts is None:
        raise BadRequestError(f"{param}: a data: URL has a comma before its content", param=param)
    media_type = parts["type"].strip().lower()
    if media_type and not media_type.startswith("text/") and media_type not in _TEXT_TYPES:
        raise UnsupportedError(f"{param}: inline::scripted reads text, not {media_type[:100]!r}", param=param)
    *parameters, last = (parameter.strip().lower() for parameter in parts["parameters"].split(";"))
    named = [value for value in (*parameters, last) if value.startswith("charset=")]
    charset = _CHARSETS.get(named[0].removeprefix("charset=").strip('"')) if named else "utf-8"
    if charset is None:
        raise BadRequestError(f"{param}: the charset is none of {', '.join(_CHARSETS)}", param=param)
    payload = unquote_to_bytes(parts["payload"])
    try:
        if last == "base64":
            payload = base64.b64decode(b"".join(payload.split()), validate=True)
        return payload.decode(charset)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadRequestError(f"{param}: the content of the data: URL can't be decoded", param=param) from error


def chunk_texts(text: str, size: int, overlap: int) -> Iterator[tuple[str, int]]:
    """The chunks of a text, each with its number of tokens; a text of spaces has none.

    Args:
        text: its tokens are its words.
        size: tokens of a chunk, at least 1; the last one may be shorter.
        overlap: how many tokens a chunk shares with the one before it, less than `size`.
    """
    window: list[re.Match[str]] = []
    shared = 0
    for word in _WORD.finditer(text):
        if len(window) == size:
            yield _chunk(text, window)
            window, shared = window[size - overlap :], overlap
        window.append(word)
    if len(window) > shared:
        yield _chunk(text, window)


def _chunk(text: str, words: Sequence[re.Match[str]]) -> tuple[str, int]:
    return text[words[0].start() : words[-1].end()], len(words)


__all__ = ["MAX_DOCUMENT_CHARACTERS", "chunk_texts", "document_text", "plain_text"]
