"""What can be asked of the documents in a bank of `inline::scripted`."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from hitchpost.api import (
    DeleteDocumentsRequest,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    ListDocumentsRequest,
    MemoryBank,
)
from hitchpost.errors import NotFoundError
from tests.scripted.banks import KEYVALUE, KEYWORD, vector
from tests.scripted.conftest import MakeBank

GUIDE = {"content": "one two three", "mime_type": "text/plain", "metadata": {"language": "en", "year": 2024}}
BRIEF = {"content": "two four", "metadata": {"language": "no"}}


async def test_documents_are_listed_page_by_page_in_the_order_of_their_ids(open_bank: MakeBank) -> None:
    bank = await open_bank(KEYWORD)
    await bank.insert(dict.fromkeys("dbeac", "x"))

    first = await bank.do("list_documents", ListDocumentsRequest, limit=2)
    rest = await bank.do("list_documents", ListDocumentsRequest, after="b", limit=3)

    assert ([document.document_id for document in first.data], first.has_more) == (["a", "b"], True)
    assert ([document.document_id for document in rest.data], rest.has_more) == (["c", "d", "e"], False)


async def test_page_after_an_id_that_is_gone_begins_where_it_was(open_bank: MakeBank) -> None:
    bank = await open_bank(KEYWORD)
    await bank.insert(dict.fromkeys("ac", "x"))

    page = await bank.do("list_documents", ListDocumentsRequest, after="b")

    assert [document.document_id for document in page.data] == ["c"]


async def test_document_is_read_with_its_chunks_and_what_was_said_of_it(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=2, overlap=0))
    await bank.insert({"guide": GUIDE}, ttl_seconds=60)

    read = await bank.do("get_document", GetDocumentRequest, document_id="guide")

    assert [(chunk.position, chunk.content) for chunk in read.chunks] == [(0, "one two"), (1, "three")]
    assert all(chunk.metadata == GUIDE["metadata"] for chunk in read.chunks)
    assert (read.mime_type, read.metadata) == ("text/plain", GUIDE["metadata"])
    assert (read.chunk_count, read.token_count) == (2, 3)
    assert read.expires_at - read.inserted_at == timedelta(seconds=60)


@pytest.mark.parametrize("bank", [vector(size=2, overlap=0), KEYWORD, KEYVALUE], ids=["vector", "keyword", "keyvalue"])
async def test_deleted_documents_are_found_no_more(bank: MemoryBank, open_bank: MakeBank) -> None:
    opened = await open_bank(bank)
    await opened.insert({"one": "one", "two": "two"})

    answer = await opened.do("delete_documents", DeleteDocumentsRequest, document_ids=["one", "nothing", "one"])

    assert answer.deleted == ["one"]
    assert await opened.ids(["one", "two"]) == ["two"]
    with pytest.raises(NotFoundError, match="there is no document 'one'"):
        await opened.do("get_document", GetDocumentRequest, document_id="one")


async def test_statistics_count_what_is_there(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=2, overlap=0))
    await bank.insert({"guide": GUIDE, "brief": BRIEF})
    await bank.insert({"brief": "fünf"})

    counted = await bank.do("get_bank_statistics", GetBankStatisticsRequest)

    assert counted.model_dump() == {
        "document_count": 2,
        "chunk_count": 3,
        "token_count": 4,
        "size_bytes": len("one twothreefünf".encode()),
    }


async def test_expired_document_is_nowhere(open_bank: MakeBank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = await open_bank(KEYVALUE)
    await bank.insert({"short": "x"}, ttl_seconds=1)
    loop = asyncio.get_running_loop()
    later = loop.time() + 2
    monkeypatch.setattr(loop, "time", lambda: later)

    listed = await bank.do("list_documents", ListDocumentsRequest)
    counted = await bank.do("get_bank_statistics", GetBankStatisticsRequest)
    deleted = await bank.do("delete_documents", DeleteDocumentsRequest, document_ids=["short"])

    assert (listed.data, counted.document_count, deleted.deleted) == ([], 0, [])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"language": "en"}, ["guide"]),
        ({"language": ["en", "no"]}, ["guide", "brief"]),
        ({"year": None}, ["brief"]),
        ({"language": "no", "year": 2024}, []),
    ],
)
async def test_query_keeps_to_documents_whose_metadata_fit(wanted: Any, found: list[str], open_bank: MakeBank) -> None:
    bank = await open_bank(KEYWORD)
    await bank.insert({"guide": GUIDE, "brief": BRIEF})

    assert await bank.ids("two", filter=wanted) == found


async def test_found_chunk_says_its_place_and_its_documents_metadata(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=2, overlap=0))
    await bank.insert({"guide": GUIDE})

    [chunk] = (await bank.query("three", max_chunks=1)).chunks

    assert (chunk.position, chunk.content, chunk.metadata) == (1, "three", GUIDE["metadata"])
