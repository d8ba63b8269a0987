"""What a bank of the embedded memory costs, beside plain numpy, faiss-flat and FTS5 without us.

    python bench/memory.py [--sizes 10000,100000] [--queries 200]

Chunks have 384 numbers, around 500 centres, and 80 words by Zipf's law; ten make a document. Vectors are given: embedding is not in these figures.
Each query is asked of ours and of one other in turn, so that what disturbs one disturbs both; ratios are of medians.
`search` is the search stage in its worker thread: from the vector to the chunks with their documents and metadata, out of the database. `over the
loop` is what a coroutine waits for it. A size is measured in a process of its own.
"""

import argparse
import asyncio
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hitchpost.api import QueryMode
from hitchpost_meta_reference.memory.approximate import build_index, is_faiss_installed
from hitchpost_meta_reference.memory.bank import Bank, Search
from hitchpost_meta_reference.memory.bank_file import BankHeader, bank_path
from hitchpost_meta_reference.memory.keywords import matching
from hitchpost_meta_reference.memory.open_banks import OpenBanks
from hitchpost_meta_reference.memory.records import BankLimits, NewChunk, NewDocument

DIMENSION = 384
CENTRES = 500
WORDS = 30_000
WORDS_OF_A_CHUNK = 80
CHUNKS_OF_A_DOCUMENT = 10
DOCUMENTS_AT_A_TIME = 32
FOUND = 10
LIMITS = BankLimits(max_documents=10**7, max_chunks=10**8)
HEADER = BankHeader(name="bench", bank_type="vector", embedding_model="given", dimension=DIMENSION)


def unit_rows(count: int, seed: int) -> Any:
    """Vectors around the centres, of length 1."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((CENTRES, DIMENSION), dtype=np.float32)
    rows = centres[random.integers(0, CENTRES, count)]
    rows = rows + random.standard_normal((count, DIMENSION), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def some_texts(count: int, length: int, seed: int) -> list[str]:
    """Texts of words that are as frequent as Zipf's law says."""
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, WORDS + 1)
    numbers = random.choice(WORDS, (count, length), p=weights / weights.sum())
    return [" ".join(f"word{number}" for number in row) for row in numbers]


def batches(rows: Any, texts: list[str]) -> Iterator[list[NewDocument]]:
    """The documents of each transaction."""
    step = CHUNKS_OF_A_DOCUMENT
    documents = [
        NewDocument(
            document_id=f"document-{start}",
            mime_type="text/plain",
            metadata={"number": start, "subject": f"subject-{start % 7}"},
            chunks=[NewChunk(text, WORDS_OF_A_CHUNK) for text in texts[start : start + step]],
            token_count=step * WORDS_OF_A_CHUNK,
            vectors=rows[start : start + step],
        )
        for start in range(0, len(rows), step)
    ]
    for start in range(0, len(documents), DOCUMENTS_AT_A_TIME):
        yield documents[start : start + DOCUMENTS_AT_A_TIME]


def plain_insertion_s(path: Path, rows: Any, texts: list[str]) -> float:
    """Seconds to put texts and vectors into plain tables and FTS5, with the same transactions."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE vectors (chunk INTEGER PRIMARY KEY, vector BLOB)")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'porter unicode61')")
    step = CHUNKS_OF_A_DOCUMENT * DOCUMENTS_AT_A_TIME
    began = time.perf_counter()
    for start in range(0, len(rows), step):
        connection.execute("BEGIN")
        part = range(start, min(start + step, len(rows)))
        connection.executemany("INSERT INTO vectors VALUES (?, ?)", [(one, rows[one].tobytes()) for one in part])
        connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", [(one, texts[one]) for one in part])
        connection.execute("COMMIT")
    taken = time.perf_counter() - began
    connection.close()
    return taken


def in_turn(ways: dict[str, Callable[[int], object]], queries: int) -> dict[str, list[float]]:
    """Milliseconds that each way took for each query; none is always the first."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(queries):
        for name, way in list(ways.items())[:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            way(number)
            taken[name].append((time.perf_counter() - began) * 1e3)
    return taken


def ways_to_search(bank: Bank, rows: Any, vectors: Any, texts: list[str], plain: sqlite3.Connection) -> dict[str, Any]:
    """Ours and others', by name."""

    def numpy(number: int) -> Any:
        scores = rows @ vectors[number]
        best = np.argpartition(scores, -FOUND)[-FOUND:]
        return best[np.argsort(-scores[best])]

    def ours(number: int, mode: QueryMode = QueryMode.vector) -> Any:
        asked = Search(mode=mode, max_chunks=FOUND, score_threshold=0.0, text=texts[number], vector=vectors[number])
        return bank.search(asked)

    def fts5(number: int) -> Any:
        return plain.execute(
            "SELECT rowid, text FROM words WHERE rowid IN (SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?)",
            (matching(texts[number]), FOUND),
        ).fetchall()

    ways = {
        "numpy": numpy,
        "search by vectors": ours,
        "FTS5": fts5,
        "search by words": lambda number: ours(number, QueryMode.keyword),
        "hybrid search": lambda number: ours(number, QueryMode.hybrid),
    }
    if is_faiss_installed():
        import faiss

        flat = faiss.IndexFlatIP(DIMENSION)
        flat.add(rows)
        ways["faiss-flat"] = lambda number: flat.search(vectors[number : number + 1], FOUND)
    return ways


async def over_the_loop(folder: Path, vectors: Any, queries: int) -> list[float]:
    """Milliseconds that a coroutine waits for a search by vectors."""
    banks = OpenBanks(folder, reading_threads=4, max_open=4, max_bytes=2**34)
    await banks.start()
    taken = []
    for number in range(queries):
        asked = Search(mode=QueryMode.vector, max_chunks=FOUND, score_threshold=0.0, vector=vectors[number])
        async with banks.using("bench") as one:
            await banks.load(one)
            began = time.perf_counter()
            await banks.read(one, lambda bank, asked=asked: bank.search(asked))
            taken.append((time.perf_counter() - began) * 1e3)
    await banks.stop()
    return taken


def recall(bank: Bank, rows: Any, vectors: Any) -> float:
    """Share of the nearest by float64 that the bank finds."""
    exact = rows.astype(np.float64)
    shares = []
    for vector in vectors[:50]:
        nearest = set(np.argsort(-(exact @ vector.astype(np.float64)))[:FOUND].tolist())
        asked = Search(mode=QueryMode.vector, max_chunks=FOUND, score_threshold=0.0, vector=vector)
        found = [(chunk.document_id.rpartition("-")[2], chunk.position) for chunk, _ in bank.search(asked)]
        shares.append(len(nearest & {int(start) + position for start, position in found}) / FOUND)
    return float(np.mean(shares))


def rss_mib() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def median(values: list[float], share: float = 0.5) -> float:
    """Or another quantile."""
    return float(np.quantile(values, share))


def measured(size: int, queries: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Names and figures of one size."""
    rows, texts = unit_rows(size, 1), some_texts(size, WORDS_OF_A_CHUNK, 2)
    vectors, words = unit_rows(queries, 3), some_texts(queries, 4, 4)
    path = bank_path(folder / "banks", "bench")
    bank = Bank(path, "bench", HEADER)
    began = time.perf_counter()
    for documents in batches(rows, texts):
        bank.insert(documents, LIMITS)
    insert_s = time.perf_counter() - began
    plain_s = plain_insertion_s(folder / "plain.sqlite", rows, texts)
    yield "insert, chunks/s", f"{size / insert_s:,.0f}"
    yield "  plain tables and FTS5: ours takes", f"{insert_s / plain_s:.2f}x"
    bank.file.close()
    yield "file, MiB", f"{path.stat().st_size / 2**20:.1f}"

    before = rss_mib()
    began = time.perf_counter()
    bank = Bank(path, "bench")
    bank.load()
    yield "reopen with all vectors, s", f"{time.perf_counter() - began:.3f}"
    yield "memory for it, MiB", f"{rss_mib() - before:.1f}"
    yield "  vectors alone", f"{rows.nbytes / 2**20:.1f}"

    plain = sqlite3.connect(folder / "plain.sqlite")
    ways = ways_to_search(bank, rows, vectors, words, plain)
    pairs = (("search by vectors", "numpy"), ("search by vectors", "faiss-flat"), ("search by words", "FTS5"))
    for name, other in pairs:
        if other in ways:
            pair = {one: ways[one] for one in (name, other)}
            in_turn(pair, min(queries, 20))
            taken = in_turn(pair, queries)
            ratio = median(taken[name]) / median(taken[other])
            yield f"{name}, ms p50 / p99", f"{median(taken[name]):.3f} / {median(taken[name], 0.99):.3f}"
            yield (
                f"  {other}: ours takes",
                f"{median(taken[other]):.3f} / {median(taken[other], 0.99):.3f}: {ratio:.2f}x",
            )
    hybrid = in_turn({"hybrid": ways["hybrid search"]}, queries)["hybrid"]
    yield "hybrid search, ms", f"{median(hybrid):.3f} / {median(hybrid, 0.99):.3f}"
    yield "recall@10 against float64", f"{recall(bank, rows, vectors):.4f}"
    if is_faiss_installed() and bank.matrix is not None:
        began = time.perf_counter()
        bank.index = build_index(bank.matrix.latest())
        yield "index: build, s", f"{time.perf_counter() - began:.1f}"
        if bank.index is not None:
            indexed = in_turn({"indexed": ways["search by vectors"]}, queries)["indexed"]
            yield "  search by vectors, ms", f"{median(indexed):.3f} / {median(indexed, 0.99):.3f}"
            yield "  recall@10", f"{recall(bank, rows, vectors):.4f}"
    plain.close()
    bank.file.close()
    waited = asyncio.run(over_the_loop(folder / "banks", vectors, queries))
    yield "over the loop, ms", f"{median(waited):.3f} / {median(waited, 0.99):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--queries", type=int, default=200)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    if len(sizes) > 1:
        for size in sizes:
            command = [sys.executable, __file__, "--sizes", str(size), "--queries", str(arguments.queries)]
            subprocess.run(command, check=True)
        return
    print(f"{'chunks':34}{sizes[0]:>28,}")
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in measured(sizes[0], arguments.queries, Path(folder)):
            print(f"{name:34}{figure:>28}", flush=True)


if __name__ == "__main__":
    main()
