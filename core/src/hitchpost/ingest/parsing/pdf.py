"""PDF, by pypdf."""

from io import BytesIO

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.ingest.documents import ParsedText
from hitchpost.ingest.parsing.charsets import cleaned
from hitchpost.ingest.parsing.prose import ProseBuilder

MAX_PAGES = 20_000


def parse_pdf(data: bytes, max_characters: int) -> ParsedText:
    """The text of all pages, each under the heading `page N`.

    Raises:
        BadRequestError: it is damaged, encrypted or has pages but no text.
        UnsupportedError: it is encrypted in a way that takes a further library.
    """
    prose = ProseBuilder(max_characters)
    try:
        reader = PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise BadRequestError("the PDF is encrypted; remove its password first")
        page_count = len(reader.pages)
        if page_count > MAX_PAGES:
            raise BadRequestError(f"the PDF has {page_count:,} pages; at most {MAX_PAGES:,} are read")
        for number, page in enumerate(reader.pages, start=1):
            prose.add_heading(f"page {number}")
            prose.write_verbatim(cleaned(page.extract_text()).strip())
    except DependencyError as error:
        raise UnsupportedError(
            "the PDF is encrypted or packed in a way that can't be read; save it without that"
        ) from error
    except PyPdfError as error:
        raise BadRequestError(f"the PDF is damaged: {type(error).__name__}") from error
    if page_count and not prose.length:
        message = (
            "the PDF holds no text, only images perhaps; text recognition (OCR) can give it a text that can be read"
        )
        raise BadRequestError(message)
    return prose.finish()


__all__ = ["parse_pdf"]
