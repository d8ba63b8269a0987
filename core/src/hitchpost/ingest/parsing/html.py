"""HTML, by libxml2's parser and without a tree: depth doesn't matter, and the time is linear."""

from collections.abc import Mapping

from lxml import etree

from hitchpost.errors import BadRequestError
from hitchpost.ingest.documents import ParsedText
from hitchpost.ingest.parsing.prose import ProseBuilder

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
# What nobody reads, and what leads to other pages.
UNREAD = frozenset(
    {
        "audio", "button", "canvas", "dialog", "iframe", "math", "nav", "noscript", "object", "script", "select", "style", "svg", "template",
        "textarea", "video",
    }
)  # fmt: skip
VOID = frozenset(
    {
        "area",
        "base",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    }
)
PARAGRAPHS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "center", "details", "dl", "fieldset", "figure", "footer", "form", "header", "hr",
        "main", "ol", "p", "pre", "section", "table", "ul",
    }
)  # fmt: skip
LINES = frozenset({"br", "caption", "dd", "div", "dt", "figcaption", "legend", "li", "option", "summary", "tr"})
CELLS = frozenset({"td", "th"})


def parse_html(data: bytes, max_characters: int) -> ParsedText:
    """The readable text of a page: of its `main` element, if it has one; without navigation, scripts and forms' controls.

    Args:
        data: the page, in UTF-8.

    Raises:
        BadRequestError: the parser did not come to its end.
        MemoryError: it takes more memory than there is.
    """
    # Without huge_tree, libxml2 silently ends at a text or an attribute of ten million bytes; the process has its own limits.
    parser = etree.HTMLParser(
        target=_Reader(max_characters), encoding="utf-8", no_network=True, remove_comments=True, huge_tree=True
    )
    parsed: ParsedText = etree.fromstring(data if data.strip() else b"<html/>", parser)
    # Where libxml2 gave up in the middle, for want of memory or at a limit, it says so here only.
    fatal = parser.error_log.filter_from_fatals()
    if fatal:
        if fatal[0].type == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError
        raise BadRequestError("the page is too large or too damaged to be read to its end")
    return parsed


class _Reader:
    """Told of tags and text by the parser, in their order."""

    def __init__(self, max_characters: int) -> None:
        self._prose = ProseBuilder(max_characters)
        self._unread_depth = 0
        self._verbatim_depth = 0
        self._title: list[str] | None = None
        self._main: list[int] = []
        self._main_depth = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._unread_depth or tag in UNREAD or "hidden" in attributes or attributes.get("aria-hidden") == "true":
            self._unread_depth += tag not in VOID
            return
        if tag in HEADINGS:
            self._prose.begin_heading()
        elif tag in PARAGRAPHS:
            self._prose.separate("\n\n")
        elif tag in LINES:
            self._prose.separate("\n")
        elif tag == "title":
            self._title = []
        if tag == "pre":
            self._verbatim_depth += 1
        elif tag == "main":
            self._main_depth += 1
            self._main = self._main or [self._prose.length]
        elif tag == "img" and attributes.get("alt", "").strip():
            self._prose.write(f" {attributes['alt']} ")

    def end(self, tag: str) -> None:
        if self._unread_depth:
            self._unread_depth -= tag not in VOID
            return
        if tag in HEADINGS:
            self._prose.end_heading()
        elif tag in PARAGRAPHS:
            self._prose.separate("\n\n")
        elif tag in LINES:
            self._prose.separate("\n")
        elif tag in CELLS:
            self._prose.separate(" | ")
        elif tag == "title" and self._title is not None:
            if title := " ".join("".join(self._title).split()):
                self._prose.add_heading(title)
            self._title = None
        if tag == "pre":
            self._verbatim_depth -= 1
        elif tag == "main" and self._main_depth:
            self._main_depth -= 1
            if not self._main_depth and len(self._main) == 1:
                self._main.append(self._prose.length)

    def data(self, text: str) -> None:
        if self._title is not None:
            self._title.append(text)
        elif self._unread_depth:
            return
        elif self._verbatim_depth > 0:
            self._prose.write_verbatim(text)
        else:
            self._prose.write(text)

    def close(self) -> ParsedText:
        parsed = self._prose.finish(*self._main)
        return parsed if parsed.text.strip() else self._prose.finish()


__all__ = ["parse_html"]
