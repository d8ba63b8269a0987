"""Queries: what is found, in which order, and with which scores."""

import math
from typing import Any

import pytest

from hitchpost.api import metadata_fits
from tests.fakes.weaviate.server import FakeWeaviate
from tests.fakes.word_vectors import word_vector
from tests.weaviate.conftest import Bank, MakeBank

DOCUMENTS = {
    "oslo": "Oslo is the capital of Norway. The city lies at the end of a fjord.",
    "bread": "Bread is baked from flour, water, salt and yeast.",
    "python": "Python is a programming language.",
    "water": "water",
}


def cosine(one: str, other: str) -> float:
    """Of two texts, by the vectors that the inference of these tests makes."""
    return sum(a * b for a, b in zip(word_vector(one), word_vector(other), strict=True))


@pytest.fixture
async def bank(make_bank: MakeBank) -> Bank:
    """A vector bank that holds `DOCUMENTS`."""
    filled = await make_bank()
    await filled.insert(DOCUMENTS)
    return filled


@pytest.mark.parametrize(
    ("kind", "query"), [("vector", "capital of Norway"), ("keyword", "Norway"), ("keyvalue", "oslo")]
)
async def test_document_is_found_in_every_type_of_bank(kind: str, query: str, make_bank: MakeBank) -> None:
    bank = await make_bank(kind)

    reports = await bank.insert(DOCUMENTS)

    assert reports == dict.fromkeys(DOCUMENTS)
    assert (await bank.found(query))[0] == "oslo"


async def test_score_of_a_vector_is_the_cosine(bank: Bank) -> None:
    answer = await bank.query("water and salt", max_chunks=10)

    expected = {name: cosine("water and salt", text) for name, text in DOCUMENTS.items()}
    assert answer.scores == sorted(answer.scores, reverse=True)
    for chunk, score in zip(answer.chunks, answer.scores, strict=True):
        assert score == pytest.approx(expected[chunk.document_id], abs=1e-6)


async def test_score_of_a_vector_that_points_away_is_zero(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await bank.insert({"d": "text"})
    [collection] = fake.schema.collections.values()
    [stored] = [one for one in collection.shard("").values() if one.vector]
    stored.vector = tuple(-value for value in stored.vector)

    assert (await bank.query("text")).scores == [0.0]


@pytest.mark.parametrize(("threshold", "found"), [(0.0, 4), (0.4, 2), (0.9, 1), (1.01, 0)])
async def test_threshold_is_held_against_the_score(threshold: float, found: int, bank: Bank) -> None:
    answer = await bank.query("water", max_chunks=10, score_threshold=threshold)

    every = (await bank.query("water", max_chunks=10)).scores
    assert len(answer.chunks) == len([score for score in every if score >= threshold])
    assert all(score >= threshold for score in answer.scores)


async def test_more_chunks_are_answered_than_the_server_answers_by_itself(make_bank: MakeBank) -> None:
    bank = await make_bank("keyword")
    await bank.insert({f"d{number}": "dough" for number in range(30)})

    assert len(await bank.found("dough", max_chunks=25)) == 25


async def test_vector_bank_is_searched_by_words(bank: Bank) -> None:
    answer = await bank.query("yeast fjord", mode="keyword")

    assert {chunk.document_id for chunk in answer.chunks} == {"oslo", "bread"}
    assert all(score > 0 for score in answer.scores)


async def test_hybrid_fuses_both_rankings_by_reciprocal_rank(bank: Bank) -> None:
    by_vector = await bank.found("water", max_chunks=10)
    by_words = await bank.found("water", mode="keyword", max_chunks=10)

    answer = await bank.query("water", mode="hybrid", max_chunks=10)

    for chunk, score in zip(answer.chunks, answer.scores, strict=True):
        ranks = [names.index(chunk.document_id) for names in (by_vector, by_words) if chunk.document_id in names]
        assert score == pytest.approx(sum(30 / (60 + rank) for rank in ranks), abs=1e-4)
    assert answer.chunks[0].document_id == "water"
    assert answer.scores[0] == pytest.approx(1)


@pytest.mark.parametrize("query", ["the and of", "water the"])
async def test_words_that_other_searches_leave_out_are_words(query: str, bank: Bank) -> None:
    assert await bank.found(query, mode="keyword") != []


@pytest.mark.parametrize("query", ["", "   ", "?!", "\u202e \u0000 😀"])
@pytest.mark.parametrize("mode", ["vector", "keyword", "hybrid"])
async def test_query_without_words_is_no_error(query: str, mode: str, bank: Bank) -> None:
    answer = await bank.query(query, mode=mode)

    assert (answer.chunks == []) is (mode == "keyword")
    assert all(map(math.isfinite, answer.scores))


async def test_list_of_texts_is_one_query(bank: Bank) -> None:
    assert await bank.found(["capital", "of Norway"], max_chunks=1) == ["oslo"]


async def test_keyvalue_bank_answers_ids_in_the_order_asked(make_bank: MakeBank) -> None:
    bank = await make_bank("keyvalue")
    await bank.insert(DOCUMENTS)

    answer = await bank.query(["water", "gone", "oslo", "water"])

    assert [chunk.content for chunk in answer.chunks] == [DOCUMENTS["water"], DOCUMENTS["oslo"]]
    assert answer.scores == [1.0, 1.0]
    assert await bank.found(["water", "oslo"], max_chunks=1) == ["water"]
    assert await bank.found("water", score_threshold=1.5) == []


METADATA: dict[str, dict[str, Any]] = {
    "a": {"team": "a", "year": 1},
    "b": {"team": "A", "year": 1.0},
    "c": {"team": "a b", "year": True},
    "d": {"team": ["a"], "year": "1"},
    "e": {"year": None},
    "f": {},
    "g": {"team": " a", "year": 2**60},
    "h": {'te"am': "x" * 1000, "": ""},
}
FILTERS: list[dict[str, Any]] = [
    {"team": "a"},
    {"team": ["a", "A"]},
    {"year": 1},
    {"year": True},
    {"year": "1"},
    {"year": 2**60},
    {"team": "a", "year": 1},
    {"team": None},
    {"team": [None, "a"], "year": [1, None]},
    {"team": []},
    {'te"am': "x" * 1000},
    {"": ""},
    {"team": "a' OR 1=1"},
]


@pytest.mark.parametrize("kind", ["vector", "keyword", "keyvalue"])
@pytest.mark.parametrize("wanted", FILTERS, ids=str)
async def test_filter_chooses_as_it_is_defined(kind: str, wanted: dict[str, Any], make_bank: MakeBank) -> None:
    bank = await make_bank(kind)
    for name, metadata in METADATA.items():
        await bank.insert({name: "text"}, metadata=metadata)

    found = await bank.found(list(METADATA) if kind == "keyvalue" else "text", max_chunks=100, filter=wanted)

    assert sorted(found) == [name for name, metadata in METADATA.items() if metadata_fits(metadata, wanted)]


async def test_chunks_carry_position_and_metadata(make_bank: MakeBank) -> None:
    bank = await make_bank()
    await bank.insert({"d": " ".join(f"w{number}" for number in range(200))}, metadata={"page": 1})

    chunks = (await bank.query("w0 w1", max_chunks=100)).chunks

    assert sorted(chunk.position for chunk in chunks if chunk.position is not None) == list(range(len(chunks)))
    assert all(chunk.metadata == {"page": 1} and chunk.token_count > 0 for chunk in chunks)
