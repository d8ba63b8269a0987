"""Shields and memory banks natively: registered, found, listed, unregistered, with every field and with null where there is nothing."""

from typing import Any

import pytest

from tests.host.served import ServedHost

GUARD = {
    "identifier": "guard",
    "provider_resource_id": "scripted",
    "provider_id": "scripted",
    "type": "shield",
    "params": {},
}
VECTOR_FIELDS = {"embedding_model": "all-MiniLM-L6-v2", "chunk_size_in_tokens": 512}
VECTOR = {"memory_bank_type": "vector", **VECTOR_FIELDS}
KEYS = ("identifier", "provider_resource_id", "provider_id", "type")


def bank(**fields: Any) -> dict[str, Any]:
    return {"identifier": "b", "provider_resource_id": "b", "provider_id": "scripted", "type": "memory_bank", **fields}


# --- shields ---


async def test_shields_are_listed_found_and_null_where_there_is_none(every_api: ServedHost) -> None:
    listed = await every_api.get("/alpha/shields/list")
    found = await every_api.get("/alpha/shields/get?identifier=guard")
    absent = await every_api.get("/alpha/shields/get?identifier=none")

    assert listed.json == [GUARD]
    assert found.json == GUARD
    assert (absent.status, absent.text, absent.headers["Content-Type"]) == (200, "null", "application/json")


@pytest.mark.parametrize("fields", [{}, {"provider_shield_id": None, "provider_id": None, "params": None}])
async def test_shield_is_registered_with_the_defaults(fields: dict[str, Any], every_api: ServedHost) -> None:
    answer = await every_api.post("/alpha/shields/register", {"shield_id": "s", **fields})

    assert answer.json == {**GUARD, "identifier": "s", "provider_resource_id": "s"}


async def test_shield_is_unregistered_and_gone(every_api: ServedHost) -> None:
    await every_api.post("/alpha/shields/register", {"shield_id": "s"})

    answer = await every_api.post("/alpha/shields/unregister", {"shield_id": "s"})

    assert (answer.status, answer.text) == (200, "null")
    assert (await every_api.get("/alpha/shields/list")).json == [GUARD]


async def test_params_may_come_as_the_json_text_that_the_client_program_sends(every_api: ServedHost) -> None:
    answer = await every_api.post("/alpha/shields/register", {"shield_id": "s", "params": '{"a": 1}'})

    assert answer.json["params"] == {"a": 1}


# --- banks ---


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        (VECTOR, {**VECTOR, "overlap_size_in_tokens": None}),
        ({**VECTOR, "overlap_size_in_tokens": 64}, {**VECTOR, "overlap_size_in_tokens": 64}),
        (VECTOR_FIELDS, {**VECTOR, "overlap_size_in_tokens": None}),
        ({"memory_bank_type": "keyvalue", "embedding_model": "ignored"}, {"memory_bank_type": "keyvalue"}),
        ({"memory_bank_type": "keyword"}, {"memory_bank_type": "keyword"}),
    ],
)
async def test_bank_is_registered_with_the_fields_of_its_type(
    params: dict[str, Any], fields: dict[str, Any], every_api: ServedHost
) -> None:
    registered = await every_api.post("/alpha/memory-banks/register", {"memory_bank_id": "b", "params": params})
    again = await every_api.post("/alpha/memory-banks/register", {"memory_bank_id": "b", "params": params})

    assert registered.json == again.json == bank(**fields)
    assert (await every_api.get("/alpha/memory-banks/list")).json == [bank(**fields)]
    assert (await every_api.get("/alpha/memory-banks/get?memory_bank_id=b")).json == bank(**fields)


async def test_bank_is_unregistered_and_gone(every_api: ServedHost) -> None:
    await every_api.post("/alpha/memory-banks/register", {"memory_bank_id": "b", "params": VECTOR})

    answer = await every_api.post("/alpha/memory-banks/unregister", {"memory_bank_id": "b"})
    absent = await every_api.get("/alpha/memory-banks/get?memory_bank_id=b")

    assert [(one.status, one.text) for one in (answer, absent)] == [(200, "null"), (200, "null")]


async def test_bank_of_a_type_that_the_provider_lacks_is_not_implemented(every_api: ServedHost) -> None:
    body = {"memory_bank_id": "b", "params": {"memory_bank_type": "graph"}}

    answer = await every_api.post("/alpha/memory-banks/register", body)

    assert answer.status == 501
    assert answer.json["detail"].startswith("Not implemented: ")
    assert "has no banks of type 'graph'; it has: vector, keyvalue, keyword" in answer.json["detail"]
    assert (await every_api.get("/alpha/memory-banks/list")).json == []


# --- what is said where something isn't there ---


@pytest.mark.parametrize(
    ("path", "body", "begin"),
    [
        (
            "/alpha/safety/run-shield",
            {"shield_id": "x", "messages": [{"role": "user", "content": ""}]},
            "Shield `x` not served by provider: `scripted`. ",
        ),
        (
            "/alpha/memory/insert",
            {"bank_id": "x", "documents": []},
            "Memory_bank `x` not served by provider: `scripted`. ",
        ),
        ("/alpha/memory/query", {"bank_id": "x", "query": ""}, "Memory_bank `x` not served by provider: `scripted`. "),
        ("/alpha/shields/register", {"shield_id": "s", "provider_id": "x"}, "Provider `x` not found"),
        (
            "/alpha/memory-banks/register",
            {"memory_bank_id": "b", "params": VECTOR, "provider_id": "x"},
            "Provider `x` not found",
        ),
        ("/alpha/models/unregister", {"model_id": "x"}, "Model x not found"),
        ("/alpha/shields/unregister", {"shield_id": "x"}, "Shield x not found"),
        ("/alpha/memory-banks/unregister", {"memory_bank_id": "x"}, "Memory bank x not found"),
        ("/alpha/agents/session/create", {"agent_id": "x", "session_name": ""}, "Could not find agent config for x"),
        ("/alpha/batch-inference/completion", {"model": "x", "content_batch": ["a"]}, "Model `x` not served by"),
        ("/alpha/batch-inference/completion", {"model": "m", "content_batch": []}, "content_batch: is empty"),
    ],
)
async def test_unknown_is_a_400_in_the_words_that_clients_know(
    path: str, body: dict[str, Any], begin: str, every_api: ServedHost
) -> None:
    answer = await every_api.post(path, body)

    assert answer.status == 400
    assert answer.json["detail"].startswith(f"Invalid value: {begin}"), answer.json
