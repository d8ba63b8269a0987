"""Which parser reads which type, and what it needs."""

from importlib.util import find_spec

from hitchpost.errors import UnsupportedError
from hitchpost.ingest.documents import ParsedText
from hitchpost.ingest.media_types import CSV, DOCX, HTML, JSON, MARKDOWN, PDF
from hitchpost.ingest.parsing.charsets import cleaned, declared_in_html, decode
from hitchpost.ingest.parsing.plain import parse_csv, parse_json, parse_markdown, parse_plain

LIBRARIES = {HTML: "lxml", PDF: "pypdf", DOCX: "docx"}
TEXT_PARSERS = {CSV: parse_csv, JSON: parse_json, MARKDOWN: parse_markdown}


def check_installed(mime_type: str) -> None:
    """Refuse a type whose library is missing.

    Raises:
        UnsupportedError: it says what to install.
    """
    library = LIBRARIES.get(mime_type)
    if library and find_spec(library) is None:
        message = f"reading {mime_type} takes a library that is not installed: pip install 'hitchpost[ingest]'"
        raise UnsupportedError(message, param="mime_type")


def parse_text(text: str, mime_type: str) -> ParsedText:
    """The text of a document that is text; the work is linear in it, and small."""
    return TEXT_PARSERS.get(mime_type, parse_plain)(cleaned(text))


def parse_bytes(
    data: bytes, mime_type: str, charset: str | None, max_characters: int, max_inflated_bytes: int
) -> ParsedText:
    """The text of any document. Loads its library, so it is for the process that parses.

    Raises:
        BadRequestError: the document is damaged or too large.
        UnsupportedError: it uses something that can't be read.
    """
    if mime_type == PDF:
        from hitchpost.ingest.parsing.pdf import parse_pdf

        return parse_pdf(data, max_characters)
    if mime_type == DOCX:
        from hitchpost.ingest.parsing.docx import parse_docx

        return parse_docx(data, max_characters, max_inflated_bytes)
    if mime_type == HTML:
        from hitchpost.ingest.parsing.html import parse_html

        page = cleaned(decode(data, charset or declared_in_html(data)))
        return parse_html(page.encode(), max_characters)
    return parse_text(decode(data, charset), mime_type)


__all__ = ["check_installed", "parse_bytes", "parse_text"]
