from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import (
    URL,
    Chunk,
    InsertDocumentsRequest,
    Memory,
    MemoryBankDocument,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    QueryMode,
    metadata_fits,
    routes_of,
)


def test_declared_routes_are_the_published_ones() -> None:
    assert [(route.verb, route.path) for route in routes_of(Memory)] == [
        ("POST", "/memory/insert"),
        ("POST", "/memory/query"),
    ]


# --- documents ---


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        ("text", "text"),
        ("https://example.org", "https://example.org"),
        ({"uri": "https://example.org"}, URL(uri="https://example.org")),
        ({"uri": "DATA:text/plain,x"}, URL(uri="DATA:text/plain,x")),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_content_is_text_or_an_address(sent: Any, content: Any) -> None:
    document = MemoryBankDocument.model_validate({"document_id": "d", "content": sent})

    assert document.content == content
    assert (document.mime_type, document.metadata) == (None, {})


@pytest.mark.parametrize(
    "fields",
    [
        {"content": None},
        {"content": {"uri": "ftp://example.org"}},
        {"content": {"uri": 7}},
        {"content": {}},
        {"document_id": ""},
        {"document_id": "x" * 513},
        {"metadata": []},
    ],
)
def test_document_without_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MemoryBankDocument.model_validate({"document_id": "d", "content": "x", **fields})


def test_so_many_documents_are_read_and_no_more() -> None:
    documents = [{"document_id": str(number), "content": ""} for number in range(10_001)]

    assert len(InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": documents[1:]}).documents) == 10_000
    with pytest.raises(ValidationError, match="at most 10000 items"):
        InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": documents})


@pytest.mark.parametrize("ttl_seconds", [0, -1, 1.5, "soon"])
def test_time_to_live_is_a_whole_number_of_seconds(ttl_seconds: Any) -> None:
    with pytest.raises(ValidationError):
        InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": [], "ttl_seconds": ttl_seconds})


# --- queries ---


@pytest.mark.parametrize("fields", [{}, {"params": None}, {"params": {}}])
def test_query_has_its_defaults(fields: dict[str, Any]) -> None:
    params = QueryDocumentsRequest.model_validate({"bank_id": "b", "query": "x", **fields}).params

    assert (params.max_chunks, params.score_threshold) == (3, 0.0)


def test_params_of_the_provider_are_kept() -> None:
    params = QueryDocumentsRequest.model_validate(
        {"bank_id": "b", "query": "x", "params": {"max_chunks": 5.0, "depth": {"a": [1]}}}
    ).params

    assert params.model_dump(exclude_none=True) == {"max_chunks": 5, "score_threshold": 0.0, "depth": {"a": [1]}}


@pytest.mark.parametrize(
    "params",
    [
        {"max_chunks": 0},
        {"max_chunks": 10_001},
        {"score_threshold": float("nan")},
        {"max_chunks": None},
        {"mode": "sideways"},
        {"filter": ["a"]},
        {"filter": {"a": {"b": 1}}},
        [],
    ],
)
def test_params_without_sense_are_refused(params: Any) -> None:
    with pytest.raises(ValidationError):
        QueryDocumentsRequest.model_validate({"bank_id": "b", "query": "x", "params": params})


@pytest.mark.parametrize("value", ["x", 1, 1.5, True, None, ["x", 1, None]])
def test_filter_has_plain_values_or_lists_of_them(value: Any) -> None:
    params = QueryDocumentsRequest.model_validate(
        {"bank_id": "b", "query": "x", "params": {"mode": "hybrid", "filter": {"key": value}}}
    ).params

    assert (params.mode, params.filter) == (QueryMode.hybrid, {"key": value})


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, True),
        ({"language": "en"}, True),
        ({"language": "no"}, False),
        ({"language": ["no", "en"]}, True),
        ({"language": []}, False),
        ({"language": "en", "year": 2024.0}, True),
        ({"language": "en", "year": 2023}, False),
        ({"year": "2024"}, False),
        ({"draft": True}, True),
        ({"draft": 1}, False),
        ({"author": None}, True),
        ({"author": ["me", None]}, True),
        ({"language": None}, False),
    ],
)
def test_metadata_fit_a_filter_by_equality(wanted: dict[str, Any], fits: bool) -> None:
    assert metadata_fits({"language": "en", "year": 2024, "draft": True}, wanted) is fits


def test_answer_has_two_lists_side_by_side() -> None:
    answer = QueryDocumentsResponse(chunks=[Chunk(content="x", token_count=1, document_id="d")], scores=[0.5])

    assert answer.model_dump(mode="json", exclude_none=True) == {
        "chunks": [{"content": "x", "token_count": 1, "document_id": "d"}],
        "scores": [0.5],
    }
