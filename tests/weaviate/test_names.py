"""Names inside Weaviate: always valid, and never the same for two different things."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost_weaviate.names import (
    chunk_uuid,
    collection_name,
    document_key,
    document_uuid,
    metadata_term,
    metadata_terms,
    revision_of,
)

COLLECTION = re.compile(r"[A-Z][_0-9A-Za-z]{0,254}")
IDS = st.text(max_size=40)


@given(IDS, IDS)
def test_collections_of_two_banks_differ_by_more_than_case(one: str, other: str) -> None:
    names = collection_name("Hitchpost", one), collection_name("Hitchpost", other)

    assert all(COLLECTION.fullmatch(name) for name in names)
    assert (names[0].lower() == names[1].lower()) == (one == other)


@given(IDS, IDS)
def test_keys_of_documents_sort_as_their_ids_do(one: str, other: str) -> None:
    assert (document_key(one) < document_key(other)) == (one < other)
    assert re.fullmatch("[0-9a-f]*", document_key(one))


@given(IDS, IDS)
def test_documents_have_uuids_of_their_own(one: str, other: str) -> None:
    assert (document_uuid(one) == document_uuid(other)) == (one == other)


def test_same_chunk_has_the_same_uuid_again() -> None:
    revisions = [revision_of("d", "text/plain", {"a": 1, "b": 2}, ["x", "y"]) for _ in range(2)]

    assert chunk_uuid(revisions[0], 1) == chunk_uuid(revisions[1], 1)
    assert chunk_uuid(revisions[0], 0) != chunk_uuid(revisions[0], 1)


@pytest.mark.parametrize(
    ("document_id", "mime_type", "metadata", "texts"),
    [
        ("e", "text/plain", {"a": 1}, ["x", "y"]),
        ("d", "text/html", {"a": 1}, ["x", "y"]),
        ("d", "text/plain", {"a": 2}, ["x", "y"]),
        ("d", "text/plain", {"a": 1}, ["xy"]),
    ],
)
def test_revision_changes_with_all_that_chunks_hold(
    document_id: str, mime_type: str, metadata: Any, texts: Any
) -> None:
    assert revision_of(document_id, mime_type, metadata, texts) != revision_of("d", "text/plain", {"a": 1}, ["x", "y"])


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (1, "1", False),
        (0, False, False),
        ("a", "A", False),
        ("a", "a ", False),
        (1.5, 1.5, True),
    ],
)
def test_terms_compare_as_json_does(one: Any, other: Any, is_same: bool) -> None:
    assert (metadata_term("key", one) == metadata_term("key", other)) is is_same


def test_term_of_another_key_is_another_one() -> None:
    assert metadata_term("a", "b") != metadata_term('a","b', "") != metadata_term("", "ab")


def test_long_values_make_short_terms() -> None:
    terms = metadata_terms({"a": "x" * 10_000, "b": "x" * 10_001, "c": ["not", "a", "scalar"], "d": None})

    assert len(set(terms)) == 2
    assert max(map(len, terms)) <= 200
