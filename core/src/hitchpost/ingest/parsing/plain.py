"""What is text already: kept as it is, with the headings that it has."""

import json
import re
from collections.abc import Iterator

from hitchpost.ingest.documents import MAX_HEADING_CHARACTERS, Heading, ParsedText

FENCES = ("```", "~~~")
# Strings as a whole, even one that has no end, so that the time is linear; and what a line break may follow and doesn't.
JSON_PART = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[,{\[] ?(?=\S)', re.DOTALL)


def parse_plain(text: str) -> ParsedText:
    """Text and source code."""
    return ParsedText(text)


def parse_markdown(text: str) -> ParsedText:
    """Markdown, with its headings of both forms; what is fenced is no heading."""
    return ParsedText(text, tuple(_markdown_headings(text)))


def parse_csv(text: str) -> ParsedText:
    """A table, whose first line is the heading of all that follow."""
    first, _, _ = text.partition("\n")
    title = first.strip()[:MAX_HEADING_CHARACTERS]
    return ParsedText(text, (Heading(len(first) + 1, title),) if title else ())


def parse_json(text: str) -> ParsedText:
    """JSON with its characters unescaped and a line for each value, which none has that a program wrote.

    It is never built up: numbers keep their digits, no key is lost, and neither depth nor what is wrong in it matters.
    """
    return ParsedText(JSON_PART.sub(_readable_part, text))


def _readable_part(match: re.Match[str]) -> str:
    part = match[0]
    if part[0] != '"':
        return part[0] + "\n"
    if "\\u" not in part:
        return part
    try:
        return json.dumps(json.loads(part, strict=False), ensure_ascii=False)
    except ValueError:
        return part


def _markdown_headings(text: str) -> Iterator[Heading]:
    fence = ""
    start = previous_start = 0
    previous = ""
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        indented = line.startswith(("    ", "\t"))
        if fence:
            fence = "" if stripped.startswith(fence) and not stripped.strip(fence[0]) else fence
            stripped = ""
        elif not indented and stripped.startswith(FENCES):
            fence = stripped[: len(stripped) - len(stripped.lstrip(stripped[0]))]
            stripped = ""
        elif not indented and (title := _atx_title(stripped)):
            yield Heading(start, title)
            stripped = ""
        elif previous and not indented and len(stripped) > 1 and not (stripped.strip("=") and stripped.strip("-")):
            yield Heading(previous_start, previous[:MAX_HEADING_CHARACTERS])
            stripped = ""
        previous, previous_start = ("" if indented else stripped), start
        start += len(line)


def _atx_title(line: str) -> str:
    title = line.lstrip("#")
    level = len(line) - len(title)
    if not 1 <= level <= 6 or not title[:1].isspace():
        return ""
    bare = title.rstrip("#")
    return (bare if bare[-1:].isspace() else title).strip()[:MAX_HEADING_CHARACTERS]


__all__ = ["parse_csv", "parse_json", "parse_markdown", "parse_plain"]
