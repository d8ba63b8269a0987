"""What a document is: said by its sender, by the server that it came from, by its name, and shown by its first bytes."""

import re
from pathlib import PurePosixPath

from hitchpost.errors import BadRequestError, UnsupportedError, quoted

PLAIN = "text/plain"
MARKDOWN = "text/markdown"
HTML = "text/html"
CSV = "text/csv"
JSON = "application/json"
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

READABLE = "text, Markdown, HTML, PDF, DOCX, CSV, JSON and source code"

# What else these are called. Of no use are types that say only that there are bytes.
ALIASES = {
    "application/csv": CSV,
    "application/markdown": MARKDOWN,
    "application/x-json": JSON,
    "application/x-pdf": PDF,
    "application/xhtml+xml": HTML,
    "text/comma-separated-values": CSV,
    "text/json": JSON,
    "text/tab-separated-values": CSV,
    "text/x-markdown": MARKDOWN,
}
VAGUE = frozenset(
    {"", "*/*", "application/octet-stream", "application/unknown", "binary/octet-stream", "unknown/unknown"}
)
TEXT_APPLICATIONS = re.compile(
    r"application/(x-)?(ecmascript|graphql|httpd-php|javascript|jsonl?|jsonlines|latex|ndjson|perl|php|python|ruby|sh|shellscript|sql|subrip"
    r"|tex|toml|typescript|xml|xml-dtd|ya?ml|[\w.-]{1,64}\+(xml|ya?ml))"
)
EXTENSIONS = {
    ".csv": CSV, ".docx": DOCX, ".htm": HTML, ".html": HTML, ".json": JSON, ".markdown": MARKDOWN, ".md": MARKDOWN, ".pdf": PDF,
    ".tsv": CSV, ".xhtml": HTML,
}  # fmt: skip

BINARY_SIGNATURES = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM\x00", b"II*\x00", b"MM\x00*", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3",
    b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd", b"\x7fELF", b"MZ\x90", b"\xca\xfe\xba\xbe",
    b"\xd0\xcf\x11\xe0", b"SQLite format 3\x00", b"\x00asm", b"wOFF", b"%!PS", b"{\\rtf",
)  # fmt: skip
SNIFFED_BYTES = 4096


def plain_type(media_type: str | None) -> str:
    """A media type without parameters, under the name that it has here; empty where nothing is said."""
    bare = (media_type or "").split(";", 1)[0].strip().lower()
    return "" if bare in VAGUE else ALIASES.get(bare, bare)


def charset_of(media_type: str | None) -> str | None:
    """The parameter `charset` of a media type."""
    match = re.search(r";\s*charset\s*=\s*[\"']?([\w.:+-]{1,40})", media_type or "", re.IGNORECASE)
    return match[1] if match else None


def is_text(media_type: str) -> bool:
    """Whether documents of a type, as `plain_type` says it, are read by the characters they consist of."""
    if media_type in ("text/rtf", "text/richtext"):
        return False
    return (
        media_type.startswith("text/")
        or media_type == JSON
        or media_type.endswith("+json")
        or TEXT_APPLICATIONS.fullmatch(media_type) is not None
    )


def check_readable(media_type: str, param: str = "mime_type") -> None:
    """Refuse a type, as `plain_type` says it, that nothing here reads; one that isn't said is left to the bytes.

    Raises:
        UnsupportedError: so it is.
    """
    if media_type and media_type not in (PDF, DOCX) and not is_text(media_type):
        raise UnsupportedError(f"documents of type {quoted(media_type)} can't be read, only {READABLE}", param=param)


def type_of_text(given: str | None) -> str:
    """The type of a document that came as text.

    Raises:
        BadRequestError, UnsupportedError: the type that was given is no text.
    """
    media_type = plain_type(given) or PLAIN
    if media_type in (PDF, DOCX):
        message = f"a document of type {media_type} is no text; send its bytes as a URL: data:{media_type};base64,..."
        raise BadRequestError(message, param="content")
    check_readable(media_type)
    return media_type


def type_of_bytes(data: bytes, given: str | None, served: str | None, name: str) -> str:
    """The type of a document that came as bytes. What the bytes show counts most, then what the sender says, the server, and the name.

    Args:
        data: the document.
        given: the `mime_type` of the request.
        served: the `Content-Type` that it came with.
        name: the path that it was read from, for its extension.

    Raises:
        BadRequestError: it is not what it is said to be.
        UnsupportedError: it can't be read.
    """
    if shown := _shown(data):
        return shown
    served_type = plain_type(served)
    by_name = EXTENSIONS.get(PurePosixPath(name.lower()).suffix, "")
    # Servers say text/plain of whatever they don't know.
    said = [plain_type(given), "" if served_type == PLAIN and by_name else served_type, by_name]
    media_type = next(filter(None, said), "")
    check_readable(media_type)
    if media_type in (PDF, DOCX):
        raise BadRequestError(f"the document is said to be {media_type}, but is none", param="content")
    if not media_type:
        start = data[:SNIFFED_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        media_type = HTML if start.startswith((b"<!doctype html", b"<html")) else PLAIN
    return media_type


def _shown(data: bytes) -> str:
    """The type that bytes are by themselves; empty for text."""
    start = data[:SNIFFED_BYTES]
    if b"%PDF-" in start[:1024]:
        return PDF
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if b"word/document.xml" in data:
            return DOCX
        raise UnsupportedError(f"the document is an archive or of an office type that can't be read, only {READABLE}")
    if start.startswith(BINARY_SIGNATURES) or start[4:8] == b"ftyp" or _is_binary(start):
        raise UnsupportedError(f"the document's bytes are no text; what can be read are {READABLE}")
    return ""


def _is_binary(start: bytes) -> bool:
    """Whether too many bytes are control characters; in UTF-16 and UTF-32 many are zero, at every second place or more."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return False
    zeros = start.count(0)
    if zeros * 3 > len(start) and 0 in (start[::2].count(0), start[1::2].count(0)):
        return False
    controls = zeros + sum(start.count(code) for code in (*range(1, 7), *range(14, 27), *range(28, 32)))
    return controls * 20 > len(start)


__all__ = [
    "CSV", "DOCX", "HTML", "JSON", "MARKDOWN", "PDF", "PLAIN", "charset_of", "check_readable", "is_text", "plain_type", "type_of_bytes",
    "type_of_text",
]  # fmt: skip
