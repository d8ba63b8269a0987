"""What a bank finds, by vectors, by words and by both."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hitchpost.api import QueryMode, metadata_fits
from hitchpost_meta_reference.memory.bank import Bank, Search
from hitchpost_meta_reference.memory.fusion import fuse
from tests.meta_reference_memory.banks import LIMITS, SAMPLE, ask, document, fill, names, open_bank

MODES = ("vector", "keyword", "hybrid")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("query", "document_id"), [("programming language", "python"), ("capital of Norway", "oslo")])
def test_what_fits_best_comes_first(sample_bank: Bank, mode: str, query: str, document_id: str) -> None:
    assert names(ask(sample_bank, query, mode))[0] == document_id


def test_score_of_a_vector_is_the_cosine_and_never_negative(empty_bank: Bank) -> None:
    same, opposite = document("same", "alpha"), document("opposite", "alpha")
    opposite.vectors[0] *= -1
    empty_bank.insert([same, opposite], LIMITS)

    found = ask(empty_bank, "alpha")

    assert found == [("same", pytest.approx(1.0)), ("opposite", 0.0)]


def test_words_have_greater_scores_where_they_are_rarer(empty_bank: Bank) -> None:
    fill(empty_bank, {f"common-{number}": "the usual text of a river" for number in range(8)})
    fill(empty_bank, {"rare": "the usual text of a volcano"})

    found = ask(empty_bank, "volcano river", "keyword")

    assert found[0][0] == "rare"
    assert found[0][1] > found[1][1] > 0


def test_words_are_found_in_other_forms_and_letters(sample_bank: Bank) -> None:
    assert names(ask(sample_bank, "PROGRAMS", "keyword")) == ["python"]


def test_words_that_are_nowhere_find_nothing(sample_bank: Bank) -> None:
    assert ask(sample_bank, "zeppelin", "keyword") == []


def test_fused_ranks_are_1_for_what_is_first_in_both() -> None:
    assert fuse([[7, 8], [7, 9]])[0] == (7, pytest.approx(1.0))
    assert fuse([[7, 8], [9, 7]]) == [
        (7, pytest.approx((1 / 61 + 1 / 62) * 61 / 2)),
        (9, pytest.approx(0.5)),
        (8, pytest.approx(61 / 62 / 2)),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_max_chunks_keeps_the_best(sample_bank: Bank, mode: str) -> None:
    everything = ask(sample_bank, "the capital is a language of flour", mode)

    assert ask(sample_bank, "the capital is a language of flour", mode, max_chunks=2) == everything[:2]


@pytest.mark.parametrize("mode", MODES)
def test_score_threshold_leaves_what_has_at_least_that(sample_bank: Bank, mode: str) -> None:
    everything = ask(sample_bank, "the capital is a language of flour", mode)
    middle = (everything[0][1] + everything[-1][1]) / 2

    found = ask(sample_bank, "the capital is a language of flour", mode, score_threshold=middle)

    assert found == [one for one in everything if one[1] >= middle]
    assert 0 < len(found) < len(everything)


VALUES: Any = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, 1.0, "1", "a", "null", "\0", "ä", ["a"], {}])
)
WANTED: Any = VALUES.filter(lambda value: not isinstance(value, list | dict))


@given(
    kept=st.lists(st.dictionaries(st.sampled_from("xyz"), VALUES), max_size=6),
    wanted=st.dictionaries(st.sampled_from("xyz"), st.one_of(WANTED, st.lists(WANTED, max_size=3)), max_size=3),
    mode=st.sampled_from([*MODES, "ids"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_filter_finds_what_the_api_says_that_it_fits(
    empty_bank: Bank, kept: list[dict[str, Any]], wanted: dict[str, Any], mode: str
) -> None:
    empty_bank.delete([f"d{number}" for number in range(6)])
    empty_bank.insert([document(f"d{n}", "same text", metadata=each) for n, each in enumerate(kept)], LIMITS)

    if mode == "ids":
        asked = Search(mode=QueryMode.keyword, max_chunks=10, score_threshold=0.0, metadata=wanted)
        found = [chunk.document_id for chunk, _ in empty_bank.find_by_ids([f"d{n}" for n in range(6)], asked)]
    else:
        found = names(ask(empty_bank, "same", mode, metadata=wanted))

    assert sorted(found) == [f"d{number}" for number, each in enumerate(kept) if metadata_fits(each, wanted)]


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_is_taken_for_syntax(sample_bank: Bank, query: str) -> None:
    words = "Norway " + query

    assert "oslo" in names(ask(sample_bank, words, "keyword"))


@pytest.mark.parametrize(
    "query",
    [
        'Norway" OR "flour',
        "Norway NOT Oslo",
        "Norway AND",
        "text : Norway",
        "NEAR(Norway",
        "Norway*",
        "^Norway",
        "-Norway",
    ],
)
def test_operators_of_the_search_language_are_words(sample_bank: Bank, query: str) -> None:
    assert "oslo" in names(ask(sample_bank, query, "keyword"))


def test_thousands_of_words_are_a_query(sample_bank: Bank) -> None:
    query = " ".join(["Norway", *(f"word{number}" for number in range(5000))])

    assert names(ask(sample_bank, query, "keyword")) == ["oslo"]


@pytest.mark.parametrize("mode", MODES)
def test_expired_documents_are_not_found_though_they_are_there(sample_bank: Bank, mode: str) -> None:
    late = document("late", "capital of Norway", expires_at=time.time() - 1)
    soon = document("soon", "capital of Norway", expires_at=time.time() + 1000)
    sample_bank.insert([late, soon], LIMITS)

    found = names(ask(sample_bank, "capital of Norway", mode))

    assert "late" not in found
    assert "soon" in found
    assert sample_bank.find_document("late") is None
    assert [one.document_id for one in sample_bank.page(None, 10)[0]] == ["bread", "oslo", "python", "soon"]
    assert sample_bank.statistics().document_count == 4


def test_same_id_again_replaces_the_document_also_within_one_insertion(sample_bank: Bank) -> None:
    sample_bank.insert([document("oslo", "nonsense", "more"), document("oslo", "a town by a fjord")], LIMITS)

    assert names(ask(sample_bank, "fjord nonsense", "keyword")) == ["oslo"]
    assert names(ask(sample_bank, "capital of Norway", "keyword")) == []
    assert sorted(names(ask(sample_bank, "fjord"))) == sorted(SAMPLE)
    assert sample_bank.statistics().chunk_count == 3


def test_documents_are_the_same_after_opening_the_file_again(tmp_path: Path, sample_bank: Bank) -> None:
    sample_bank.delete(["bread"])
    before = [ask(sample_bank, "capital of Norway", mode) for mode in MODES]

    again = open_bank(tmp_path)

    assert [ask(again, "capital of Norway", mode) for mode in MODES] == before
    assert again.statistics() == sample_bank.statistics()
    again.file.close()


def test_queries_among_replacements_always_see_the_whole_document_once(sample_bank: Bank) -> None:
    problems: list[list[tuple[str, float]]] = []
    is_done = threading.Event()

    def query() -> None:
        while not is_done.is_set():
            for mode in MODES:
                found = [one for one in ask(sample_bank, "fjord town", mode) if one[0] == "oslo"]
                if len(found) != 2:
                    problems.append(found)

    sample_bank.insert([document("oslo", "fjord one", "town two")], LIMITS)
    readers = [threading.Thread(target=query) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(60):
        sample_bank.insert([document("oslo", f"fjord {number}", f"town {number}")], LIMITS)
    is_done.set()
    for reader in readers:
        reader.join(20)

    assert problems == []


def test_bank_takes_no_more_than_its_limits_but_replaces(empty_bank: Bank) -> None:
    limits = type(LIMITS)(max_documents=2, max_chunks=3)

    went_in = empty_bank.insert([document("a", "x", "y"), document("b", "x", "y"), document("c", "x")], limits)
    again = empty_bank.insert([document("a", "x", "z"), document("d", "x")], limits)

    assert (went_in, again) == ([True, False, True], [True, False])
    assert empty_bank.statistics().chunk_count == 3
