"""Documents made for tests: PDFs and DOCX files as bytes, and the `data:` URLs that carry them."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import docx

from hitchpost.api import MemoryBankDocument

DOCX_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def document(content: str, mime_type: str | None = None) -> MemoryBankDocument:
    """A document of a request."""
    return MemoryBankDocument(document_id="d", content=content, mime_type=mime_type)


def carried(data: bytes, mime_type: str = "", given: str | None = None) -> MemoryBankDocument:
    """A document of a request whose bytes are in its URL, `mime_type` being said there."""
    return document(f"data:{mime_type};base64,{b64encode(data).decode()}", given)


def pdf_of(pages: Sequence[str]) -> bytes:
    """A PDF with one line of text on each page."""
    numbers = [f"{4 + 2 * index} 0 R" for index in range(len(pages))]
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{' '.join(numbers)}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode("latin-1")
        resources = "<< /Font << /F1 3 0 R >> >>"
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources {resources} /Contents {5 + 2 * index} 0 R >>"
        objects += [page.encode(), b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)]
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def docx_of(paragraphs: Sequence[tuple[str, str]], table: Sequence[Sequence[str]] = ()) -> bytes:
    """A DOCX with paragraphs, each of a style and a text, and then a table."""
    made = docx.Document()
    for style, text in paragraphs:
        made.add_paragraph(text, style=style)
    if table:
        rows = made.add_table(len(table), len(table[0]))
        for row, texts in zip(rows.rows, table, strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
    file = BytesIO()
    made.save(file)
    return file.getvalue()


def changed_docx(parts: Mapping[str, bytes]) -> bytes:
    """A DOCX some of whose parts are replaced or added."""
    file = BytesIO()
    with ZipFile(BytesIO(docx_of([("Normal", "text")]))) as sound, ZipFile(file, "w", ZIP_DEFLATED) as changed:
        for name in sound.namelist():
            if name not in parts:
                changed.writestr(name, sound.read(name))
        for name, data in parts.items():
            changed.writestr(name, data)
    return file.getvalue()
