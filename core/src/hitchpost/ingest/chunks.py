"""Cuts a text into chunks of tokens that overlap, at headings, paragraphs, sentences, lines or words, whichever is the best within reach.

A chunk is a stretch of the text, from its first token to its last: nothing but white space is left out between chunks, and nothing is added. The
time is linear in the text and in what the chunks hold.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from hitchpost.errors import BadRequestError
from hitchpost.ingest.documents import Heading, ParsedText, TextChunk
from hitchpost.ingest.tokens import TOKEN, count_tokens

NO_BORDER, WORD, LINE, SENTENCE, PARAGRAPH, HEADING = range(6)
"""How good a place before a token is to cut at."""
SENTENCE_ENDS = frozenset(".!?…:;")
UNSPACED_SENTENCE_ENDS = frozenset("。！？｡")
CLOSERS = "\"')]}»”’」』）*_"


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """Where in the text a chunk is."""

    start: int
    end: int
    token_count: int
    heading: int
    """Index of the heading it stands under, or -1."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a text was cut."""

    spans: list[ChunkSpan]
    token_count: int


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How a text is to be cut; `size` and `overlap` in tokens, a `size` of None for one chunk with the whole text."""

    size: int | None
    overlap: int
    max_chunks: int
    max_characters: int
    """Of all chunks together, what they share counted in each."""


def cut(parsed: ParsedText, settings: ChunkSettings) -> Cutting:
    """The chunks of a text.

    Raises:
        BadRequestError: there would be too many of them, or too much in them.
    """
    text = parsed.text
    if settings.size is None:
        tokens = count_tokens(text)
        return Cutting([ChunkSpan(0, len(text), tokens, -1)], tokens)
    starts, ends, borders = _scan(text, [heading.start for heading in parsed.headings])
    return Cutting(_spans(parsed, starts, ends, borders, settings, settings.size), len(starts))


def chunks_of(text: str, spans: Sequence[ChunkSpan], headings: Sequence[Heading]) -> tuple[TextChunk, ...]:
    """The chunks that lie at `spans`."""
    return tuple(
        TextChunk(
            text=text[span.start : span.end],
            token_count=span.token_count,
            position=position,
            heading=headings[span.heading].title if span.heading >= 0 else None,
        )
        for position, span in enumerate(spans)
    )


def _scan(text: str, heading_starts: Sequence[int]) -> tuple[Sequence[int], Sequence[int], bytearray]:
    """Where each token starts and ends, and how good a place to cut there is before it."""
    starts, ends, borders = array("L"), array("L"), bytearray()
    headings = iter([*heading_starts, len(text) + 1])
    next_heading = next(headings)
    end = 0
    for match in TOKEN.finditer(text):
        start = match.start()
        if next_heading <= start:
            while next_heading <= start:
                next_heading = next(headings)
            borders.append(HEADING)
        else:
            borders.append(_border(text, end, start))
        end = match.end()
        starts.append(start)
        ends.append(end)
    return starts, ends, borders


def _border(text: str, end: int, start: int) -> int:
    """How good it is to cut between a token that ends at `end` and one that starts at `start`."""
    if end == start:
        return SENTENCE if end and text[end - 1] in UNSPACED_SENTENCE_ENDS else NO_BORDER
    lines = text.count("\n", end, start) or text.count("\r", end, start)
    if lines > 1:
        return PARAGRAPH
    if not text[start].islower() and _ends_sentence(text, end):
        return SENTENCE
    return LINE if lines else WORD


def _ends_sentence(text: str, end: int) -> bool:
    for last in text[max(0, end - 4) : end][::-1]:
        if last not in CLOSERS:
            return last in SENTENCE_ENDS or last in UNSPACED_SENTENCE_ENDS
    return False


def _spans(
    parsed: ParsedText,
    starts: Sequence[int],
    ends: Sequence[int],
    borders: bytearray,
    settings: ChunkSettings,
    size: int,
) -> list[ChunkSpan]:
    heading_starts = [heading.start for heading in parsed.headings]
    spans: list[ChunkSpan] = []
    characters = first = fresh = 0
    while fresh < len(starts):
        last = _cut_before(borders, first, fresh, size)
        start = _with_indentation(parsed.text, starts[first])
        under = bisect_right(heading_starts, starts[fresh]) - 1
        spans.append(ChunkSpan(start, ends[last - 1], last - first, under))
        characters += ends[last - 1] - start
        if len(spans) > settings.max_chunks:
            raise BadRequestError(f"the text makes more than {settings.max_chunks:,} chunks of {size:,} tokens")
        if characters > settings.max_characters:
            raise BadRequestError("the chunks overlap so much that they hold many times the text; lower the overlap")
        first, fresh = _overlap_start(borders, max(first + 1, last - settings.overlap), last), last
    return spans


def _cut_before(borders: bytearray, first: int, fresh: int, size: int) -> int:
    """The token before which a chunk ends that begins with token `first` and has to hold at least the token `fresh`."""
    limit = first + size
    if limit >= len(borders):
        return len(borders)
    for low in (max(first + size // 2, fresh + 1), fresh + 1):
        for border in range(HEADING, NO_BORDER, -1):
            place = borders.rfind(border, low, limit + 1)
            if place > 0:
                return place
    return limit


def _overlap_start(borders: bytearray, earliest: int, end: int) -> int:
    """The token with which the part begins that a chunk, ending before token `end`, shares with the next one."""
    behind = (earliest + end) // 2 + 1
    for wanted in ((HEADING, PARAGRAPH, SENTENCE), (LINE, WORD)):
        places = [borders.find(border, earliest, behind) for border in wanted]
        if found := [place for place in places if place >= 0]:
            return min(found)
    return earliest


def _with_indentation(text: str, start: int) -> int:
    """`start`, or where its line starts if only blanks lie between: source code keeps the indentation of a chunk's first line."""
    line = start
    while line > 0 and text[line - 1] in " \t":
        line -= 1
    return line if line == 0 or text[line - 1] in "\r\n" else start


__all__ = ["ChunkSettings", "ChunkSpan", "Cutting", "chunks_of", "cut"]
