"""How often memory banks find the right document: recall@k by vectors, by words, and by both, through a real host.

    python bench/retrieval.py [--questions 200] [--of numpy python]

The host runs the presets `sqlite` and `minilm`: `inline::sqlite` with all-MiniLM-L6-v2, nothing else configured. Two sets of documents are built from
what is installed; each question has one right document, and shares no line with it:

- `numpy`: docstrings. A question is the summary, which is the first paragraph, of a function or class; its document is all that follows it.
- `python`: the language reference that Python ships. A question is the heading of a section; its document is the section's text.

Recall@k is the part of the questions whose document is among the first k documents that a query finds.
"""

import argparse
import inspect
import itertools
import json
import random
import re
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from measuring.server import ServerProcess

RUN_CONFIG = "{version: '2', presets: [minilm, sqlite]}"
EMBEDDING_MODEL = "all-MiniLM-L6-v2"
CHUNK_TOKENS = 192
OVERLAP_TOKENS = 32
"""A chunk is counted in the tokens of the bank, and the model reads 256 of its own."""
MODES = ("vector", "keyword", "hybrid")
KS = (1, 5, 10)
MAX_CHUNKS = 60
"""Of a query: several chunks may be of one document."""
DOCUMENTS_PER_REQUEST = 50
LEAST_CHARS = 300
"""Of a document; shorter ones say nothing that a question could be about."""
HEADING = re.compile(r"^(?P<title>\S.*)\n(?P<line>[*=\-~^])(?P=line){3,}$", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """A question, and the id and text of the document that answers it."""

    question: str
    document_id: str
    text: str


def numpy_docstrings() -> Iterator[Asked]:
    """Summaries of numpy's functions and classes, and what follows them."""
    modules = (np, np.linalg, np.fft, np.random)
    for module in modules:
        for name in sorted(dir(module)):
            value = getattr(module, name)
            if name.startswith("_") or not callable(value):
                continue
            paragraphs = (inspect.getdoc(value) or "").split("\n\n")
            # Functions in C begin with their signature.
            if "(" in paragraphs[0] and paragraphs[0].startswith(name):
                del paragraphs[0]
            if len(paragraphs) > 1:
                question = " ".join(paragraphs[0].split())
                yield Asked(question, f"{module.__name__}.{name}", "\n\n".join(paragraphs[1:]))


def python_reference() -> Iterator[Asked]:
    """Headings of the language reference, and the sections below them."""
    for topic, text in sorted(topics.items()):
        headings = list(HEADING.finditer(text))
        for number, heading in enumerate(headings):
            end = headings[number + 1].start() if number + 1 < len(headings) else len(text)
            yield Asked(heading["title"].strip(), f"{topic}-{number}", text[heading.end() : end].strip())


DATA_SETS: dict[str, Callable[[], Iterator[Asked]]] = {"numpy": numpy_docstrings, "python": python_reference}


def distinct(asked: Iterator[Asked]) -> list[Asked]:
    """Those that are long enough, and whose question and text are theirs alone."""
    everything = [one for one in asked if len(one.text) >= LEAST_CHARS and len(one.question) >= 8]
    seen: dict[str, int] = {}
    for key in itertools.chain.from_iterable({one.question.lower(), one.text} for one in everything):
        seen[key] = seen.get(key, 0) + 1
    return [one for one in everything if seen[one.question.lower()] == seen[one.text] == 1]


class Host:
    """What is asked of a running host."""

    def __init__(self, url: str) -> None:
        self._url = url

    def post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read() or b"null")

    def fill(self, bank: str, documents: list[Asked]) -> float:
        """Registers a bank and inserts the documents; returns how many seconds that took."""
        params = {
            "memory_bank_type": "vector",
            "embedding_model": EMBEDDING_MODEL,
            "chunk_size_in_tokens": CHUNK_TOKENS,
            "overlap_size_in_tokens": OVERLAP_TOKENS,
        }
        self.post("/alpha/memory-banks/register", {"memory_bank_id": bank, "params": params})
        began = time.perf_counter()
        for at in range(0, len(documents), DOCUMENTS_PER_REQUEST):
            some = documents[at : at + DOCUMENTS_PER_REQUEST]
            bodies = [{"document_id": one.document_id, "content": one.text, "metadata": {}} for one in some]
            self.post("/alpha/memory/insert", {"bank_id": bank, "documents": bodies})
        return time.perf_counter() - began

    def found(self, bank: str, question: str, mode: str) -> list[str]:
        """Ids of the documents that a query finds, best first, each once."""
        body = {"bank_id": bank, "query": question, "params": {"mode": mode, "max_chunks": MAX_CHUNKS}}
        chunks = self.post("/alpha/memory/query", body)["chunks"]
        return list(dict.fromkeys(chunk["document_id"] for chunk in chunks))


def measure(host: Host, name: str, questions: int) -> None:
    documents = distinct(DATA_SETS[name]())
    taken_s = host.fill(name, documents)
    asked = random.Random(0).sample(documents, min(questions, len(documents)))
    print(f"\n{name}: {len(asked)} questions, {len(documents)} documents (inserted in {taken_s:.1f} s)")
    print("  " + "".join(f"{label:>12}" for label in ("mode", *(f"recall@{k}" for k in KS), "ms a query")))
    for mode in MODES:
        began = time.perf_counter()
        ranks = [rank_of(one.document_id, host.found(name, one.question, mode)) for one in asked]
        query_ms = (time.perf_counter() - began) / len(asked) * 1000
        recalls = [sum(rank < k for rank in ranks) / len(ranks) for k in KS]
        print("  " + f"{mode:>12}" + "".join(f"{recall:12.3f}" for recall in recalls) + f"{query_ms:12.1f}")


def rank_of(document_id: str, found: list[str]) -> int:
    """From 0; beyond every k where it was not found."""
    return found.index(document_id) if document_id in found else max(KS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--of", nargs="+", choices=DATA_SETS, default=list(DATA_SETS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_config = Path(folder) / "run.yaml"
        run_config.write_text(RUN_CONFIG, encoding="utf-8")
        command = ["-m", "hitchpost", "run", str(run_config), "--port", "{port}"]
        with ServerProcess(command, "/ready", home=Path(folder)) as server:
            for name in arguments.of:
                measure(Host(server.url), name, arguments.questions)


if __name__ == "__main__":
    main()
