from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hitchpost.api import (
    AnyMemoryBank,
    Api,
    GetMemoryBankRequest,
    GraphMemoryBank,
    KeyValueMemoryBank,
    KeywordMemoryBank,
    MemoryBank,
    MemoryBanks,
    RegisterMemoryBankRequest,
    VectorMemoryBank,
    routes_of,
)

VECTOR = {"embedding_model": "e", "chunk_size_in_tokens": 64}
OWNED = {"identifier": "b", "provider_resource_id": "b", "provider_id": "p"}


def test_declared_routes_are_the_published_ones() -> None:
    assert [(route.verb, route.path) for route in routes_of(MemoryBanks)] == [
        ("GET", "/memory-banks/list"),
        ("GET", "/memory-banks/get"),
        ("POST", "/memory-banks/register"),
        ("POST", "/memory-banks/unregister"),
    ]


def test_bank_is_served_by_memory_and_has_its_own_hooks() -> None:
    assert MemoryBank.served_by is Api.memory
    assert MemoryBank.register_hook() == VectorMemoryBank.register_hook() == "register_memory_bank"


@pytest.mark.parametrize(
    ("params", "bank"),
    [
        ({"memory_bank_type": "vector", **VECTOR}, VectorMemoryBank(**OWNED, **VECTOR)),
        (
            {"memory_bank_type": "vector", **VECTOR, "overlap_size_in_tokens": 8},
            VectorMemoryBank(**OWNED, **VECTOR, overlap_size_in_tokens=8),
        ),
        (VECTOR, VectorMemoryBank(**OWNED, **VECTOR)),
        ({"memory_bank_type": "keyvalue", **VECTOR}, KeyValueMemoryBank(**OWNED)),
        ({"memory_bank_type": "keyword"}, KeywordMemoryBank(**OWNED)),
        ({"memory_bank_type": "graph"}, GraphMemoryBank(**OWNED)),
    ],
)
def test_registration_becomes_a_bank_of_its_type(params: dict[str, Any], bank: MemoryBank) -> None:
    made = RegisterMemoryBankRequest.model_validate({"memory_bank_id": "b", "params": params}).resource("p")

    assert made == bank
    assert TypeAdapter(AnyMemoryBank).validate_json(made.model_dump_json()) == bank


def test_bank_may_have_another_name_at_its_provider() -> None:
    request = RegisterMemoryBankRequest.model_validate(
        {"memory_bank_id": "b", "params": VECTOR, "provider_memory_bank_id": "inner"}
    )

    assert request.resource("p").provider_resource_id == "inner"


def test_bank_is_written_with_its_type_and_its_fields() -> None:
    assert VectorMemoryBank(**OWNED, **VECTOR).model_dump() == {
        **OWNED, "type": "memory_bank", "memory_bank_type": "vector", **VECTOR, "overlap_size_in_tokens": None,
    }  # fmt: skip
    assert KeywordMemoryBank(**OWNED).model_dump() == {**OWNED, "type": "memory_bank", "memory_bank_type": "keyword"}


@pytest.mark.parametrize(
    "params",
    [
        {},
        None,
        [],
        {"memory_bank_type": "x"},
        {"memory_bank_type": None, **VECTOR},
        {"memory_bank_type": "vector"},
        {"chunk_size_in_tokens": 64},
        {**VECTOR, "chunk_size_in_tokens": 0},
        {**VECTOR, "overlap_size_in_tokens": -1},
    ],
)
def test_params_without_sense_are_refused(params: Any) -> None:
    with pytest.raises(ValidationError):
        RegisterMemoryBankRequest.model_validate({"memory_bank_id": "b", "params": params})


@pytest.mark.parametrize("name", ["identifier", "memory_bank_id"])
def test_bank_is_asked_for_by_either_parameter(name: str) -> None:
    assert GetMemoryBankRequest.model_validate({name: "b"}).memory_bank_id == "b"
