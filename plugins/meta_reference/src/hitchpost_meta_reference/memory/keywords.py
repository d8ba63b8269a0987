"""Finding chunks by their words."""

import re
import sqlite3

from hitchpost_meta_reference.memory.reading import Eligible

MAX_WORDS = 64
"""Of a query; those that come later are passed over."""

_WORD = re.compile(r"\w+")


def matching(query: str) -> str | None:
    """What FTS5 is asked for: any of a query's words, each quoted, so that nothing in it is syntax; None: it has no words."""
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(query)))[:MAX_WORDS]
    return " OR ".join(f'"{word}"' for word in words) or None


def best_by_words(
    connection: sqlite3.Connection, query: str, count: int, eligible: Eligible
) -> list[tuple[int, float]]:
    """The chunks that fit a query's words best, best first, each with its BM25 score: greater than 0, without an upper end.

    BM25 as FTS5 computes it, with k1 = 1.2 and b = 0.75; a word that more than half of all chunks have counts for next to nothing.
    Source: https://www.sqlite.org/fts5.html#the_bm25_function, which answers the negative of it.
    """
    match = matching(query)
    if match is None or count <= 0:
        return []
    # A table of its own instead of a condition that FTS5 would answer chunk by chunk.
    if eligible.included is not None:
        condition, ids = "+words.rowid IN (SELECT value FROM json_each(?))", eligible.included
    else:
        condition, ids = "+words.rowid NOT IN (SELECT value FROM json_each(?))", eligible.excluded
    rows = connection.execute(
        f"SELECT rowid, -rank FROM words WHERE words MATCH ? AND {condition} ORDER BY rank, rowid LIMIT ?",  # noqa: S608
        (match, f"[{','.join(map(str, ids.tolist()))}]", count),
    )
    return [(chunk_id, score) for chunk_id, score in rows]


__all__ = ["MAX_WORDS", "best_by_words", "matching"]
