"""Memory as it comes with the presets: banks in files, vectors of all-MiniLM-L6-v2, called by `llama-stack-client`; killed in the middle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_stack_client import BadRequestError, LlamaStackClient

from tests.processes import HostProcess

RUN_CONFIG = "version: '2'\npresets: [minilm, sqlite]\n"
VECTOR_BANK = {
    "memory_bank_type": "vector",
    "embedding_model": "all-MiniLM-L6-v2",
    "chunk_size_in_tokens": 512,
    "overlap_size_in_tokens": 64,
}
TEXTS = {
    "python": "Python is a programming language whose programs are easy to read.",
    "learning": "Machine learning finds rules in data and gets better with more of it.",
    "science": "Whoever works in data science draws conclusions from numbers by statistics.",
    "networks": "Neural networks compute as brains do, with many small units that are linked, and made artificial intelligence what it is.",
}
DOCUMENTS: list[Any] = [
    {"document_id": name, "content": text, "mime_type": "text/plain", "metadata": {"about": name}}
    for name, text in TEXTS.items()
]


def client_of(host: HostProcess) -> LlamaStackClient:
    return LlamaStackClient(base_url=host.url, max_retries=0)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A host that was killed with SIGKILL after the bank `notes` was filled, and started again."""
    folder: Path = tmp_path_factory.mktemp("memory-host")
    host = HostProcess(folder, RUN_CONFIG)
    with host:
        client = client_of(host)
        assert client.memory_banks.list() == []
        for _ in range(2):
            client.memory_banks.register(memory_bank_id="notes", params=VECTOR_BANK)  # type: ignore[arg-type]
        client.memory.insert(bank_id="notes", documents=DOCUMENTS)
        host.process.kill()
        host.process.wait()
    with HostProcess(folder, RUN_CONFIG) as again:
        yield again


@pytest.fixture
def client(host: HostProcess) -> LlamaStackClient:
    return client_of(host)


def test_bank_is_listed_once_with_the_provider_that_owns_it(client: LlamaStackClient) -> None:
    [bank] = client.memory_banks.list()

    assert (bank.identifier, bank.provider_id, bank.embedding_model) == ("notes", "sqlite", "all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("query", "found"),
    [("programming language", "python"), ("AI and computing that is inspired by brains", "networks")],
)
def test_document_is_found_by_its_meaning(query: str, found: str, client: LlamaStackClient) -> None:
    answer = client.memory.query(bank_id="notes", query=query)

    assert (answer.chunks[0].document_id, answer.chunks[0].content) == (found, TEXTS[found])
    assert len(answer.chunks) == len(answer.scores) == 3
    assert answer.scores == sorted(answer.scores, reverse=True)


def test_number_of_chunks_is_bounded(client: LlamaStackClient) -> None:
    answer = client.memory.query(bank_id="notes", query="data", params={"max_chunks": 2})

    assert len(answer.chunks) == 2


def test_chunks_below_the_threshold_are_left_out(client: LlamaStackClient) -> None:
    params: Any = {"score_threshold": 0.3, "max_chunks": 4}

    answer = client.memory.query(bank_id="notes", query="programming language", params=params)

    assert answer.chunks[0].document_id == "python"
    assert 0 < len(answer.scores) < 4
    assert min(answer.scores) >= 0.3


def test_unknown_bank_is_bad_input(client: LlamaStackClient) -> None:
    with pytest.raises(BadRequestError, match="`nowhere` not served"):
        client.memory.insert(bank_id="nowhere", documents=DOCUMENTS)


def test_embedding_model_that_is_not_there_is_refused_before_any_document(client: LlamaStackClient) -> None:
    params: Any = {**VECTOR_BANK, "embedding_model": "nobody-has-it"}

    with pytest.raises(BadRequestError, match="nobody-has-it"):
        client.memory_banks.register(memory_bank_id="hopeless", params=params)

    assert [bank.identifier for bank in client.memory_banks.list()] == ["notes"]


@pytest.mark.parametrize(("kind", "query"), [("keyword", "statistics"), ("keyvalue", "science")])
def test_banks_without_vectors_find_too_until_they_are_unregistered(
    kind: Any, query: str, client: LlamaStackClient
) -> None:
    client.memory_banks.register(memory_bank_id=kind, params={"memory_bank_type": kind})
    client.memory.insert(bank_id=kind, documents=DOCUMENTS)

    found = client.memory.query(bank_id=kind, query=query)
    client.memory_banks.unregister(memory_bank_id=kind)

    assert [chunk.document_id for chunk in found.chunks] == ["science"]
    assert [bank.identifier for bank in client.memory_banks.list()] == ["notes"]


def test_graph_bank_is_refused_with_what_to_use(client: LlamaStackClient) -> None:
    with pytest.raises(Exception, match=r"a vector bank, queried with params\.mode hybrid") as refused:
        client.memory_banks.register(memory_bank_id="graph", params={"memory_bank_type": "graph"})

    assert getattr(refused.value, "status_code", None) == 501
