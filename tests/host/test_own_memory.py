"""/hitchpost/v1/memory-banks: documents go in with a report each, are listed, read, counted, deleted and found with all that is known."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from tests.host.served import ServedHost, served, until

BANKS = "/hitchpost/v1/memory-banks"
PARAMS = {"memory_bank_type": "vector", "embedding_model": "e", "chunk_size_in_tokens": 2, "overlap_size_in_tokens": 0}
GUIDE = {"document_id": "guide", "content": "one two three", "metadata": {"language": "en"}, "mime_type": "text/plain"}
BAD = {"document_id": "bad", "content": "https://example.com/x"}
FAULTS = [
    {"call": "insert", "when": "slow", "delay_s": 0.1},
    {"call": "insert", "when": "full", "fault": {"kind": "error", "code": "overloaded"}},
]


@pytest.fixture
async def host() -> AsyncIterator[ServedHost]:
    """A host with the vector bank `b`, whose chunks have two words."""
    entry = {"provider_id": "scripted", "provider_type": "inline::scripted", "config": {"script": FAULTS}}
    banks = [{"memory_bank_id": "b", "params": PARAMS}]
    async with served({"version": "2", "providers": {"memory": [entry]}, "memory_banks": banks}) as running:
        yield running


async def insert(host: ServedHost, *documents: Any, bank: str = "b", **fields: Any) -> Any:
    return await host.post(f"{BANKS}/{bank}/documents", {"documents": documents, **fields})


async def ended(host: ServedHost, job_id: str) -> Any:
    await until(lambda: host.stack.jobs.get(job_id).state != "running")
    return (await host.get(f"/hitchpost/v1/jobs/{job_id}")).json


# --- insertions ---


async def test_insertion_reports_each_document(host: ServedHost) -> None:
    answer = await insert(host, GUIDE, BAD)

    [good, bad] = answer.json["documents"]
    assert answer.status == 200
    assert good == {"document_id": "guide", "chunk_count": 2, "error": None}
    assert (bad["document_id"], bad["chunk_count"]) == ("bad", None)
    assert bad["error"].startswith("content: inline::scripted fetches nothing")


async def test_insertion_in_the_background_is_a_job_with_its_progress(host: ServedHost) -> None:
    documents = [{"document_id": f"{number:02}", "content": "x"} for number in range(40)]

    begun = await insert(host, *documents, BAD, background=True)
    job = await ended(host, begun.json["id"])

    assert begun.status == 202
    assert (begun.json["kind"], begun.json["subject"], begun.json["provider_id"]) == (
        "insert_documents", "b", "scripted",
    )  # fmt: skip
    assert (job["state"], job["done"], job["total"], job["unit"]) == ("succeeded", 41, 41, "documents")
    assert (job["result"]["inserted_count"], job["result"]["failed_count"]) == (40, 1)
    assert [report["document_id"] for report in job["result"]["failed"]] == ["bad"]
    assert job["message"] == "1 did not go in"
    assert (await host.get(f"{BANKS}/b/statistics")).json["document_count"] == 40


async def test_cancelled_insertion_finishes_its_batch_and_begins_no_more(host: ServedHost) -> None:
    documents = [{"document_id": f"{number:02}", "content": "x" if number < 20 else "slow"} for number in range(40)]
    [gate] = [gate for gate in host.stack.providers if gate.provider_id == "scripted"]

    job_id = (await insert(host, *documents, background=True)).json["id"]
    await until(lambda: host.stack.jobs.get(job_id).done == 16 and gate.running == 1)
    # Not over HTTP: until the request is there the batch may be over.
    await host.stack.jobs.cancel(job_id)
    cancelled = (await host.get(f"/hitchpost/v1/jobs/{job_id}")).json
    await until(lambda: gate.running == 0)

    assert (cancelled["state"], cancelled["done"], cancelled["total"]) == ("cancelled", 16, 40)
    assert (await host.get(f"{BANKS}/b/statistics")).json["document_count"] == 32


async def test_insertion_in_the_background_fails_with_its_batch(host: ServedHost) -> None:
    documents = [{"document_id": f"{number:02}", "content": "x" if number < 20 else "full"} for number in range(40)]

    job = await ended(host, (await insert(host, *documents, background=True)).json["id"])

    assert (job["state"], job["done"], job["error"]["code"]) == ("failed", 16, "overloaded")


@pytest.mark.parametrize("background", [False, True])
async def test_insertion_into_a_bank_that_is_not_there_is_a_404(background: bool, host: ServedHost) -> None:
    answer = await insert(host, GUIDE, bank="none", background=background)

    assert answer.status == 404
    assert answer.json["error"]["code"] == "not_found"
    assert host.stack.jobs.list_jobs() == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "documents"),
        ({"documents": [{"document_id": "d"}]}, "documents.0.content"),
        ({"documents": [{"document_id": "d", "content": {"uri": "ftp://example.org"}}]}, "documents.0.content.uri"),
        ({"documents": [], "ttl_seconds": 0}, "ttl_seconds"),
        ({"documents": [], "ttl_seconds": 10**18}, "ttl_seconds"),
        ({"documents": [], "ttl_seconds": 10**400}, "ttl_seconds"),
        ({"documents": [], "background": "maybe"}, "background"),
    ],
)
async def test_insertion_without_sense_is_refused_by_its_field(body: Any, param: str, host: ServedHost) -> None:
    answer = await host.post(f"{BANKS}/b/documents", body)

    assert (answer.status, answer.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("path", [f"{BANKS}/b/documents", "/alpha/memory/insert"])
async def test_metadata_that_would_be_read_back_as_null_are_refused(path: str, number: str, host: ServedHost) -> None:
    documents = f'[{{"document_id": "d", "content": "x", "metadata": {{"a": [{{"b": {number}}}]}}}}]'

    answer = await host.send(
        "POST", path, f'{{"bank_id": "b", "documents": {documents}}}', {"Content-Type": "application/json"}
    )

    assert answer.status == 400
    assert "metadata" in answer.text
    assert "holds NaN or an infinity" in answer.text
    assert (await host.get(f"{BANKS}/b/statistics")).json["document_count"] == 0


# --- queries ---


async def test_query_answers_whole_chunks(host: ServedHost) -> None:
    await insert(host, GUIDE)

    answer = await host.post(f"{BANKS}/b/query", {"query": "three", "params": {"max_chunks": 1}})

    assert answer.json == {
        "chunks": [
            {
                "content": "three", "token_count": 1, "document_id": "guide", "position": 1,
                "metadata": {"language": "en"},
            }
        ],
        "scores": [1.0],
    }  # fmt: skip


async def test_query_keeps_to_documents_whose_metadata_fit(host: ServedHost) -> None:
    await insert(host, GUIDE, {"document_id": "other", "content": "three"})

    answer = await host.post(f"{BANKS}/b/query", {"query": "three", "params": {"filter": {"language": "en"}}})

    assert {chunk["document_id"] for chunk in answer.json["chunks"]} == {"guide"}


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        (dict.fromkeys(map(str, range(101)), 1), "params.filter"),
        ({"a": list(range(1001))}, "params.filter.a"),
        ({"a": {"b": 1}}, "params.filter.a"),
    ],
    ids=["too many keys", "too many values", "an object"],
)
async def test_filter_without_sense_is_refused_by_its_field(wanted: Any, param: str, host: ServedHost) -> None:
    answer = await host.post(f"{BANKS}/b/query", {"query": "three", "params": {"filter": wanted}})

    assert (answer.status, answer.json["error"]["param"]) == (400, param)


async def test_mode_that_the_provider_lacks_is_refused_by_its_field(host: ServedHost) -> None:
    answer = await host.post(f"{BANKS}/b/query", {"query": "three", "params": {"mode": "hybrid"}})

    assert (answer.status, answer.json["error"]["code"]) == (400, "unsupported")
    assert answer.json["error"]["param"] == "params.mode"


# --- documents ---


async def test_documents_are_listed_page_by_page(host: ServedHost) -> None:
    await insert(host, *({"document_id": name, "content": "x"} for name in "cab"))

    first = (await host.get(f"{BANKS}/b/documents?limit=2")).json
    second = (await host.get(f"{BANKS}/b/documents?limit=2&after=b")).json

    assert ([document["document_id"] for document in first["data"]], first["has_more"]) == (["a", "b"], True)
    assert ([document["document_id"] for document in second["data"]], second["has_more"]) == (["c"], False)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=many"])
async def test_page_without_sense_is_refused(query: str, host: ServedHost) -> None:
    answer = await host.get(f"{BANKS}/b/documents?{query}")

    assert (answer.status, answer.json["error"]["param"]) == (400, "limit")


async def test_document_is_read_with_its_chunks(host: ServedHost) -> None:
    await insert(host, GUIDE, ttl_seconds=1000)

    read = (await host.get(f"{BANKS}/b/documents/guide")).json

    assert [chunk["content"] for chunk in read["chunks"]] == ["one two", "three"]
    assert (read["document_id"], read["mime_type"], read["metadata"]) == ("guide", "text/plain", {"language": "en"})
    assert read["expires_at"] > read["inserted_at"]


async def test_deleted_document_is_gone_and_may_be_deleted_again(host: ServedHost) -> None:
    await insert(host, GUIDE)

    first = await host.send("DELETE", f"{BANKS}/b/documents/guide", None, {})
    again = await host.send("DELETE", f"{BANKS}/b/documents/guide", None, {})
    read = await host.get(f"{BANKS}/b/documents/guide")

    assert (first.json, again.json) == ({"deleted": ["guide"]}, {"deleted": []})
    assert (read.status, read.json["error"]["param"]) == (404, "document_id")


async def test_documents_are_deleted_by_a_list(host: ServedHost) -> None:
    await insert(host, *({"document_id": name, "content": "x"} for name in "abc"))

    answer = await host.post(f"{BANKS}/b/documents/delete", {"document_ids": ["a", "c", "none", "x" * 600]})

    assert answer.json == {"deleted": ["a", "c"]}
    assert (await host.get(f"{BANKS}/b/statistics")).json == {
        "document_count": 1, "chunk_count": 1, "token_count": 1, "size_bytes": 1,
    }  # fmt: skip


# --- names ---


@pytest.mark.parametrize(
    "name",
    ["a/b", "docs/../c", "..", "100%", "a%2Fb", "a?b#c", "{x}", "delete", "über 🐎", "tab\tline\n", "a b/", " ", "\\"],
)
async def test_document_may_have_any_name(name: str, host: ServedHost) -> None:
    await insert(host, {"document_id": name, "content": "x"})
    url = URL(f"{host.url}{BANKS}/b/documents/{quote(name, safe='').replace('.', '%2E')}", encoded=True)

    async with host.http.get(url) as read:
        seen = (await read.json())["document_id"]
    async with host.http.delete(url) as gone:
        deleted = await gone.json()

    assert (seen, deleted) == (name, {"deleted": [name]})


@pytest.mark.parametrize("name", ["a/b", "100%", "{x}", "über 🐎", "a%2Fb"])
async def test_bank_may_have_any_name(name: str, host: ServedHost) -> None:
    await host.post("/alpha/memory-banks/register", {"memory_bank_id": name, "params": PARAMS})
    documents = URL(f"{host.url}{BANKS}/{quote(name, safe='')}/documents", encoded=True)

    async with host.http.post(documents, json={"documents": [GUIDE]}) as inserted:
        status = inserted.status
    async with host.http.get(documents) as listed:
        listing = await listed.json()

    assert (status, [document["document_id"] for document in listing["data"]]) == (200, ["guide"])


# --- description ---


async def test_routes_are_described_with_what_they_take_and_answer(host: ServedHost) -> None:
    paths = (await host.get("/openapi.json")).json["paths"]

    documents = paths[f"{BANKS}/{{bank_id}}/documents"]
    assert set(documents) == {"get", "post"}
    assert documents["post"]["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith("Job")
    assert [item["name"] for item in documents["get"]["parameters"] if item.get("in") == "query"] == ["after", "limit"]
    assert set(paths[f"{BANKS}/{{bank_id}}/documents/{{document_id}}"]) == {"get", "delete"}


async def test_host_without_memory_says_so(host: ServedHost) -> None:
    async with served({"version": "2", "providers": {}}) as bare:
        answer = await bare.get(f"{BANKS}/b/statistics")

    assert (answer.status, answer.json["error"]["code"]) == (400, "unsupported")


async def test_insertion_of_a_caller_who_left_is_finished(host: ServedHost) -> None:
    documents = [{"document_id": str(number), "content": "word " * 2_000} for number in range(20)]
    sending = asyncio.create_task(insert(host, *documents))
    [gate] = [gate for gate in host.stack.providers if gate.provider_id == "scripted"]
    await until(lambda: gate.running == 1)

    sending.cancel()
    await asyncio.wait([sending])
    await until(lambda: gate.running == 0)

    assert (await host.get(f"{BANKS}/b/statistics")).json["document_count"] == 20
