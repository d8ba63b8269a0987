"""Documents: put in, replaced, listed, read, counted, deleted, and gone when their time is over."""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from hitchpost.api import (
    DeleteDocumentsRequest,
    DocumentInfo,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    InsertDocumentsRequest,
    ListDocumentsRequest,
)
from hitchpost.errors import BadBackendAnswerError, NotFoundError, RateLimitedError
from hitchpost_weaviate import documents as documents_module
from hitchpost_weaviate import insertion, objects
from tests.fakes.weaviate.server import FakeWeaviate
from tests.plugged import until
from tests.weaviate.conftest import Bank, MakeBank, MakeProvider, WordInference, kept

LONG = " ".join(f"word{number}" for number in range(200))
"""More than one chunk of the banks of these tests."""


async def listed(bank: Bank, **fields: Any) -> list[DocumentInfo]:
    """A page of a bank's documents."""
    request = ListDocumentsRequest(bank_id="b", **fields)
    return (await bank.provider.list_documents(request, bank.context)).data


async def deleted(bank: Bank, *document_ids: str) -> list[str]:
    """What a deletion says was there."""
    request = DeleteDocumentsRequest(bank_id="b", document_ids=list(document_ids))
    return (await bank.provider.delete_documents(request, bank.context)).deleted


@pytest.mark.parametrize("kind", ["vector", "keyword", "keyvalue"])
async def test_document_is_read_back_with_all_that_was_said_of_it(kind: str, make_bank: MakeBank) -> None:
    bank = await make_bank(kind)
    metadata = {"year": 2024, "tags": ["a", {"b": None}], "share": 0.5, "is_new": True}

    await bank.insert({"d": LONG}, metadata=metadata, mime_type="text/plain", ttl_seconds=3600)
    document = await bank.provider.get_document(GetDocumentRequest(bank_id="b", document_id="d"), bank.context)

    assert document.metadata == metadata
    assert document.mime_type == "text/plain"
    assert document.chunk_count == len(document.chunks) == [chunk.position for chunk in document.chunks][-1] + 1
    assert " ".join(str(chunk.content) for chunk in document.chunks).split() == LONG.split()
    assert document.expires_at is not None
    assert 3590 < (document.expires_at - document.inserted_at).total_seconds() < 3610


async def test_document_that_is_not_there_is_not_found(make_bank: MakeBank) -> None:
    bank = await make_bank()

    with pytest.raises(NotFoundError, match="'gone'") as refused:
        await bank.provider.get_document(GetDocumentRequest(bank_id="b", document_id="gone"), bank.context)

    assert refused.value.param == "document_id"


async def test_insertion_that_is_repeated_writes_the_same_objects(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await bank.insert({"d": LONG, "e": "short"})
    before = {one.uuid for one in kept(fake) + kept(fake, "record")}

    await bank.insert({"d": LONG, "e": "short"})

    assert {one.uuid for one in kept(fake) + kept(fake, "record")} == before


async def test_replaced_document_leaves_nothing_behind(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await bank.insert({"d": LONG, "e": "another one"})

    await bank.insert({"d": "brand new"})

    assert sorted(one.properties["text"] for one in kept(fake)) == ["another one", "brand new"]
    assert len(kept(fake, "record")) == 2


async def test_query_sees_the_old_document_whole_until_the_new_one_is_whole(
    make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank()
    await bank.insert({"d": LONG})
    old = len((await bank.query("word1", max_chunks=100)).chunks)
    seen: list[set[str]] = []

    async with fake.faults.stall("BatchDelete"):
        insertion = asyncio.create_task(bank.insert({"d": f"brand {LONG} new"}))
        await until(lambda: fake.asked("BatchDelete"))
        # The new record is there, and the old chunks are still beside the new ones.
        assert len(kept(fake)) > old
        chunks = (await bank.query("word1", max_chunks=100)).chunks
        seen.append({str(chunk.content).split()[0] for chunk in chunks})
    await insertion

    assert "brand" in seen[0]
    assert "word0" not in seen[0]
    assert len(kept(fake)) == len(chunks)


@pytest.mark.parametrize("kind", ["chunk", "record"])
async def test_document_that_fails_half_way_leaves_the_old_one(
    kind: str, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank()
    await bank.insert({"d": LONG, "e": "short"})
    fake.faults.refuses = lambda properties: (
        "disk full"
        if properties["kind"] == kind and properties["document_id"] == "d" and properties.get("position") != 0
        else None
    )

    reports = await bank.insert({"d": f"brand {LONG} new", "e": "changed"})
    fake.faults.refuses = None

    assert "disk full" in str(reports["d"])
    assert reports["e"] is None
    assert (await bank.query("word0")).chunks[0].content == (await bank.query("word0 word1")).chunks[0].content
    texts = {one.properties["text"].split()[0] for one in kept(fake) if one.properties["document_id"] == "d"}
    assert "brand" not in texts
    assert "word0" in texts


async def test_same_text_that_fails_half_way_leaves_the_document_whole(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await bank.insert({"d": LONG})
    count = len(kept(fake))
    fake.faults.refuses = lambda properties: "disk full" if properties.get("position") == 1 else None

    reports = await bank.insert({"d": LONG})

    assert "disk full" in str(reports["d"])
    assert len((await bank.query("word1", max_chunks=100)).chunks) == count


async def test_insertion_without_an_end_is_invisible_and_healed_by_the_next(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank(at=await make_provider(write_timeout_s=0.3))
    fake.faults.refuses = lambda properties: "no" if properties["kind"] == "record" else None
    fake.faults.stalled.add("BatchDelete")
    await bank.insert({"d": LONG})
    orphans = len(kept(fake))
    found_meanwhile = await bank.found("word1")
    fake.faults.stalled.clear()
    fake.faults.refuses = None

    await bank.insert({"d": LONG})

    assert found_meanwhile == []
    assert orphans == len(kept(fake)) > 1
    assert await bank.found("word1", max_chunks=1) == ["d"]


async def test_orphans_of_a_document_go_when_it_is_deleted_later(
    make_bank: MakeBank, fake: FakeWeaviate, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = await make_bank()
    fake.faults.refuses = lambda properties: "no" if properties["kind"] == "record" else None
    monkeypatch.setattr(documents_module.Documents, "give_up", _nothing)
    await bank.insert({"d": LONG})
    monkeypatch.setattr(documents_module, "ORPHAN_AGE_S", 0.0)
    before = len(kept(fake))

    gone = await deleted(bank, "d")

    assert (before > 1, gone, kept(fake)) == (True, [], [])


async def _nothing(self: Any, records: Any) -> None:
    """As when the host ends there."""


async def test_documents_that_can_not_be_read_are_reported_in_their_places(make_bank: MakeBank) -> None:
    bank = await make_bank()
    contents = ["good", "data:application/x-nothing;base64,AAAA", "file:///etc/passwd", "also good"]
    sent: list[Any] = [{"document_id": str(place), "content": content} for place, content in enumerate(contents)]
    sent.append({"document_id": "4", "content": "too much", "metadata": {"long": "x" * 65_536}})

    request = InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": sent})
    reports = (await bank.provider.insert_documents(request, bank.context)).documents

    assert [report.document_id for report in reports] == ["0", "1", "2", "3", "4"]
    assert [report.error is None for report in reports] == [True, False, False, True, False]
    assert [report.chunk_count for report in reports] == [1, None, None, 1, None]
    assert sorted(await bank.found("good")) == ["0", "3"]


async def test_of_one_id_twice_the_last_counts(make_bank: MakeBank) -> None:
    bank = await make_bank("keyvalue")
    sent = [{"document_id": "d", "content": text} for text in ("first", "second")]

    request = InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": sent})
    reports = (await bank.provider.insert_documents(request, bank.context)).documents

    assert [(report.chunk_count, report.error) for report in reports] == [(0, None), (1, None)]
    assert (await bank.query("d")).chunks[0].content == "second"


async def test_of_one_id_twice_neither_goes_in_where_the_last_can_not(make_bank: MakeBank) -> None:
    bank = await make_bank("keyvalue")
    sent = [{"document_id": "d", "content": text} for text in ("first", "file:///etc/passwd")]

    request = InsertDocumentsRequest.model_validate({"bank_id": "b", "documents": sent})
    reports = (await bank.provider.insert_documents(request, bank.context)).documents

    assert all("file:// URLs may be read only" in str(report.error) for report in reports)
    assert str(reports[0].error).startswith("not inserted, as a later document")
    assert (await bank.query("d")).chunks == []


async def test_empty_document_is_there_and_found_by_nobody(make_bank: MakeBank) -> None:
    bank = await make_bank()

    await bank.insert({"d": " "})

    assert [(one.document_id, one.chunk_count) for one in await listed(bank)] == [("d", 0)]
    assert await bank.found("anything") == []


async def test_many_documents_are_given_vectors_and_written_in_few_calls(
    make_bank: MakeBank, fake: FakeWeaviate, inference: WordInference
) -> None:
    bank = await make_bank()
    inference.asked.clear()

    await bank.insert({f"d{number}": f"text {number}" for number in range(64)})

    assert sum(inference.asked) == 64
    assert len(inference.asked) <= 4
    assert len(fake.asked("BatchObjects")) == 4
    assert len(await listed(bank)) == 64


async def test_large_documents_are_sent_in_messages_that_the_server_takes(
    make_bank: MakeBank, fake: FakeWeaviate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insertion, "CHARACTERS_AT_A_TIME", 1000)
    bank = await make_bank("keyvalue")

    await bank.insert({f"d{number}": "x" * 400 for number in range(6)} | {"large": "x" * 3000})

    sizes = [request.ByteSize() for request in fake.asked("BatchObjects")[:-1]]
    assert len(sizes) == 4
    assert max(sizes[:-1]) < 3000
    assert len((await bank.query(["large"])).chunks) == 1


async def test_pages_list_documents_in_the_order_of_their_ids(make_bank: MakeBank) -> None:
    bank = await make_bank("keyword")
    names = ["b", "a", "B", " a", "ä", "a b", "aa", "日", "-"]
    await bank.insert(dict.fromkeys(names, "text"))
    pages: list[list[str]] = []

    while not pages or len(pages[-1]) == 4:
        after = pages[-1][-1] if pages else None
        pages.append([one.document_id for one in await listed(bank, after=after, limit=4)])

    assert [name for page in pages for name in page] == sorted(names)


async def test_last_page_says_that_it_is_the_last(make_bank: MakeBank) -> None:
    bank = await make_bank("keyword")
    await bank.insert({"a": "text", "b": "text"})
    ask = bank.provider.list_documents

    answers = [await ask(ListDocumentsRequest(bank_id="b", limit=limit), bank.context) for limit in (1, 2)]

    assert [answer.has_more for answer in answers] == [True, False]


@pytest.mark.parametrize("kind", ["vector", "keyword", "keyvalue"])
async def test_deleted_document_leaves_the_server(kind: str, make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank(kind)
    await bank.insert({"d": LONG, "e": "stays"})

    gone = await deleted(bank, "d", "never there", "d")

    assert gone == ["d"]
    assert {one.properties["document_id"] for one in kept(fake) + kept(fake, "record")} == {"e"}
    assert await deleted(bank, "d") == []


async def test_more_objects_than_one_call_deletes_are_deleted_by_more_calls(
    make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank()
    await bank.insert({"d": " ".join(f"w{number}" for number in range(1000))})
    many = len(kept(fake))
    fake.service.max_results = 5

    await deleted(bank, "d")

    assert many > 10
    assert kept(fake) == []


async def test_deletion_of_an_id_that_only_looks_alike_removes_nothing(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank()
    await bank.insert({"A-1": "text"})

    gone = await deleted(bank, "a 1", "A-1 ", "A_1")

    assert (gone, len(kept(fake))) == ([], 1)


async def test_statistics_count_what_has_not_expired(make_bank: MakeBank) -> None:
    bank = await make_bank()
    await bank.insert({"d": LONG, "e": "two words"})
    documents = await listed(bank)

    statistics = await bank.provider.get_bank_statistics(GetBankStatisticsRequest(bank_id="b"), bank.context)

    assert statistics.document_count == 2
    assert statistics.chunk_count == sum(one.chunk_count for one in documents)
    assert statistics.token_count == sum(one.token_count for one in documents)
    assert statistics.size_bytes is None


async def test_empty_bank_has_empty_statistics(make_bank: MakeBank) -> None:
    bank = await make_bank()

    statistics = await bank.provider.get_bank_statistics(GetBankStatisticsRequest(bank_id="b"), bank.context)

    assert (statistics.document_count, statistics.chunk_count, statistics.token_count) == (0, 0, 0)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the provider's clock on."""
    real = objects.time.time

    def move(seconds: float) -> None:
        monkeypatch.setattr(objects.time, "time", lambda: real() + seconds)

    return move


@pytest.mark.parametrize(("kind", "query"), [("vector", "text"), ("keyword", "text"), ("keyvalue", "d")])
async def test_expired_document_is_neither_found_nor_listed(
    kind: str, query: str, make_bank: MakeBank, later: Any
) -> None:
    bank = await make_bank(kind)
    await bank.insert({"d": "text"}, ttl_seconds=60)
    before = await bank.found(query)

    later(61)

    assert (before, await bank.found(query), await listed(bank), await deleted(bank, "d")) == (["d"], [], [], [])


async def test_expired_documents_are_removed_without_being_asked_for(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate, later: Any
) -> None:
    bank = await make_bank(at=await make_provider(sweep_interval_s=0.05))
    await bank.insert({"d": LONG}, ttl_seconds=60)
    await bank.insert({"e": "stays"})

    later(61)
    await until(lambda: len(kept(fake) + kept(fake, "record")) == 2)

    assert await bank.found("stays") == ["e"]


async def test_document_inserted_again_without_an_end_stays(make_bank: MakeBank, later: Any) -> None:
    bank = await make_bank()
    await bank.insert({"d": "text"}, ttl_seconds=60)
    await bank.insert({"d": "text"})

    later(10**6)

    assert await bank.found("text") == ["d"]


async def test_many_expired_chunks_do_not_hide_the_one_that_counts(make_bank: MakeBank, later: Any) -> None:
    bank = await make_bank("keyword")
    await bank.insert({f"old{number}": "dough" for number in range(60)}, ttl_seconds=60)
    await bank.insert({"new": "dough with a lot of other words"})

    later(61)

    assert await bank.found("dough", max_chunks=1) == ["new"]


async def test_insertions_of_one_document_at_the_same_moment_leave_one_of_them_whole(
    make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank()
    texts = [f"{LONG} {number}" for number in range(8)]

    await asyncio.gather(*(bank.insert({"d": text}) for text in texts))
    document = await bank.provider.get_document(GetDocumentRequest(bank_id="b", document_id="d"), bank.context)

    assert " ".join(str(chunk.content) for chunk in document.chunks) in texts
    assert len(kept(fake)) == len(document.chunks)


@pytest.mark.parametrize("attempts", [3])
async def test_deletions_among_insertions_never_leave_half_a_document(
    attempts: int, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank()

    await asyncio.gather(
        *(bank.insert({"d": LONG}) for _ in range(attempts)), *(deleted(bank, "d") for _ in range(attempts))
    )

    records = kept(fake, "record")
    assert len(kept(fake)) == sum(one.properties["chunk_count"] for one in records)


async def test_deletion_during_an_insertion_leaves_its_chunks_alone(
    make_bank: MakeBank, fake: FakeWeaviate, inference: WordInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insertion, "CHUNKS_AT_A_TIME", 1)
    bank = await make_bank()
    await bank.insert({"d": LONG})
    inference.held_from = len(inference.asked) + 1
    again = asyncio.create_task(bank.insert({"d": LONG}))
    await until(lambda: len(inference.asked) == (inference.held_from or 0) + 1)

    gone = await deleted(bank, "d")
    inference.go_on.set()
    await again

    [record] = kept(fake, "record")
    assert gone == ["d"]
    assert len(kept(fake)) == record.properties["chunk_count"] > 1


async def test_objects_that_are_not_ours_are_a_bad_answer(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank("keyword")
    await bank.insert({"d": "text"})
    [chunk] = kept(fake)
    del chunk.properties["position"]

    with pytest.raises(BadBackendAnswerError, match="did not put"):
        await bank.query("text")


async def test_second_half_of_an_insertion_that_fails_is_in_the_reports(
    make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank("keyword")

    def resource_is_short(properties: Mapping[str, Any]) -> str | None:
        if properties["document_id"] == "d31" and properties["kind"] == "record":
            fake.faults.codes["BatchObjects"] = (grpc.StatusCode.RESOURCE_EXHAUSTED, "memory pressure")
        return None

    fake.faults.refuses = resource_is_short
    reports = await bank.insert({f"d{number}": "text" for number in range(40)})

    assert [name for name, error in reports.items() if error is None] == [f"d{number}" for number in range(32)]
    assert "memory pressure" in str(reports["d39"])


async def test_insertion_of_which_nothing_went_in_is_an_error(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    bank = await make_bank("keyword")
    fake.faults.codes["BatchObjects"] = (grpc.StatusCode.RESOURCE_EXHAUSTED, "memory pressure")

    with pytest.raises(RateLimitedError, match="memory pressure"):
        await bank.insert({"d": "text"})
