"""Puts together the text of a document that is marked up: white space collapsed, blocks apart, headings noted."""

from hitchpost.errors import BadRequestError
from hitchpost.ingest.documents import MAX_HEADING_CHARACTERS, Heading, ParsedText


class ProseBuilder:
    """Collects a text piece by piece, in time linear in it.

    Args:
        max_characters: more than so many is a BadRequestError, raised while they come.
    """

    def __init__(self, max_characters: int) -> None:
        self._parts: list[str] = []
        self._max_characters = max_characters
        self._headings: list[Heading] = []
        self._heading_start: int | None = None
        self._heading_parts: list[str] = []
        self._pending = ""
        self.length = 0
        """Characters so far."""

    def write(self, text: str) -> None:
        """Add text that goes on where the last one ended; white space in it becomes one space."""
        if text[:1].isspace():
            self.separate(" ")
        self._append(" ".join(text.split()))
        if text[-1:].isspace():
            self.separate(" ")

    def write_verbatim(self, text: str) -> None:
        """Add text with the white space that it has."""
        self._append(text)

    def separate(self, mark: str) -> None:
        """Put `mark` before what comes next: a space, a line break, two of them. The strongest of several counts."""
        if (mark.count("\n"), len(mark)) > (self._pending.count("\n"), len(self._pending)):
            self._pending = mark

    def begin_heading(self) -> None:
        """What comes next is a heading, in a paragraph of its own."""
        self.separate("\n\n")
        self._heading_start = self._next_start()
        self._heading_parts = []

    def end_heading(self) -> None:
        """The heading is over."""
        title = " ".join("".join(self._heading_parts).split())[:MAX_HEADING_CHARACTERS]
        if self._heading_start is not None and title:
            self._headings.append(Heading(self._heading_start, title))
        self._heading_start = None
        self.separate("\n\n")

    def add_heading(self, title: str) -> None:
        """What comes next, in a paragraph of its own, stands under a heading that is no part of the text."""
        self.separate("\n\n")
        self._headings.append(Heading(self._next_start(), title[:MAX_HEADING_CHARACTERS]))

    def finish(self, start: int = 0, end: int | None = None) -> ParsedText:
        """The text between two lengths, with its headings; those before its start are lost but for the last."""
        end = self.length if end is None else end
        text = "".join(self._parts)[start:end]
        start += len(text) - len(text.lstrip("\n "))
        text = text.lstrip("\n ")
        before = [heading for heading in self._headings if heading.start < start][-1:]
        within = [heading for heading in self._headings if start <= heading.start < end]
        headings = (
            *(Heading(0, heading.title) for heading in before),
            *(Heading(h.start - start, h.title) for h in within),
        )
        return ParsedText(text, headings)

    def _next_start(self) -> int:
        return self.length + len(self._pending) if self.length else 0

    def _append(self, text: str) -> None:
        if not text:
            return
        added = self._pending + text if self.length else text
        if self._heading_start is not None:
            self._heading_parts.append(added)
        self._pending = ""
        self._parts.append(added)
        self.length += len(added)
        if self.length > self._max_characters:
            raise BadRequestError(f"the document's text is longer than {self._max_characters:,} characters")


__all__ = ["ProseBuilder"]
