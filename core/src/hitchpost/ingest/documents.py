"""What becomes of a document: its text, then pieces of that."""

from dataclasses import dataclass

MAX_HEADING_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading in a text."""

    start: int
    """Where in the text the part begins that stands under it, the heading's own line included."""
    title: str


@dataclass(frozen=True, slots=True)
class ParsedText:
    """The readable text of a document."""

    text: str
    headings: tuple[Heading, ...] = ()
    """In the order of the text."""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a document's text."""

    text: str
    token_count: int
    position: int
    """Its place among the chunks of its document, from 0."""
    heading: str | None
    """The heading that the piece stands under; of CSV, the line with the columns' names. None where there is none."""


@dataclass(frozen=True, slots=True)
class IngestedDocument:
    """The text of a document, in pieces."""

    mime_type: str
    """What the document was read as."""
    chunks: tuple[TextChunk, ...]
    """In their order; none where the document holds nothing but white space."""
    token_count: int
    """Tokens of the whole text, each counted once."""


__all__ = ["MAX_HEADING_CHARACTERS", "Heading", "IngestedDocument", "ParsedText", "TextChunk"]
