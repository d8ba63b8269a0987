"""DOCX, by python-docx: the body's paragraphs and tables; headers, footers, footnotes and comments are not read."""

from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile

import docx
from docx.opc.exceptions import OpcError
from lxml import etree

from hitchpost.errors import BadRequestError
from hitchpost.ingest.documents import ParsedText
from hitchpost.ingest.parsing.charsets import cleaned
from hitchpost.ingest.parsing.prose import ProseBuilder

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
# What was deleted, and the copy for older programs of what stands beside it.
UNREAD = frozenset({f"{WORD}del", "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"})
SPACES = {f"{WORD}tab": " ", f"{WORD}br": "\n", f"{WORD}cr": "\n"}
TABLE_MARKS = {f"{WORD}tc": " | ", f"{WORD}tr": "\n"}
HEADING_STYLES = ("heading", "title")
MAX_PARTS = 10_000


def parse_docx(data: bytes, max_characters: int, max_inflated_bytes: int) -> ParsedText:
    """The text of a document, with its headings.

    Raises:
        BadRequestError: it is damaged, or inflates to more than `max_inflated_bytes`.
    """
    prose = ProseBuilder(max_characters)
    try:
        _check_size(data, max_inflated_bytes)
        document = docx.Document(BytesIO(data))
        _read(document.element.body, _heading_styles(document), prose)
    except (BadZipFile, OpcError, etree.LxmlError, KeyError, ValueError) as error:
        raise BadRequestError(f"the DOCX is damaged: {type(error).__name__}") from error
    return prose.finish()


def _check_size(data: bytes, max_inflated_bytes: int) -> None:
    """Looks at what the archive says of its entries: none is inflated beyond that, since zipfile ends there."""
    with ZipFile(BytesIO(data)) as archive:
        entries = archive.infolist()
    if len(entries) > MAX_PARTS or sum(entry.file_size for entry in entries) > max_inflated_bytes:
        raise BadRequestError(f"the DOCX inflates to more than {max_inflated_bytes:,} bytes or {MAX_PARTS:,} parts")


def _heading_styles(document: Any) -> frozenset[str]:
    return frozenset(
        style.style_id for style in document.styles if (style.name or "").lower().startswith(HEADING_STYLES)
    )


def _read(body: Any, heading_styles: frozenset[str], prose: ProseBuilder) -> None:
    walk = etree.iterwalk(body, events=("start", "end"))
    table_depth = 0
    for event, element in walk:
        is_start = event == "start"
        tag = element.tag if isinstance(element.tag, str) else ""
        if is_start and tag in UNREAD:
            walk.skip_subtree()
        elif tag == f"{WORD}p":
            if _is_heading(element, heading_styles) and not table_depth:
                prose.begin_heading() if is_start else prose.end_heading()
            else:
                prose.separate(" " if table_depth else "\n\n")
        elif tag == f"{WORD}tbl":
            table_depth += 1 if is_start else -1
            prose.separate("\n\n")
        elif is_start and tag == f"{WORD}t":
            prose.write_verbatim(cleaned(element.text or ""))
        elif is_start and tag in SPACES:
            prose.separate(SPACES[tag])
        elif not is_start and tag in TABLE_MARKS:
            prose.separate(TABLE_MARKS[tag])


def _is_heading(paragraph: Any, heading_styles: frozenset[str]) -> bool:
    style = paragraph.find(f"{WORD}pPr/{WORD}pStyle")
    return style is not None and style.get(f"{WORD}val") in heading_styles


__all__ = ["parse_docx"]
