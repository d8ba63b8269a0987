"""Checks of documents: what becomes of each on its way in, and how they are listed, read, counted and let go."""

import asyncio
from collections.abc import Mapping
from typing import Any

from hitchpost.api import Capability, Chunk
from hitchpost.conformance.check import CheckFailed, NotApplicable, check, seen_error
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.memory.subject import Bank, MemorySubject, for_each_bank_type, found
from hitchpost.errors import HitchpostError, NotFoundError

UNREADABLE = "file:///hitchpost-conformance/there-is-no-such-file.txt"
TTL_S = 1
LATER_S = 1.1
"""After how long what was to live for `TTL_S` must be gone."""
METADATA = {"language": "en", "pages": 12, "draft": False}


class DocumentChecks(MemorySubject):
    """Each check runs for every type of bank that the provider type declares."""

    @for_each_bank_type
    @check(
        "documents.report",
        why="one bad file among a hundred must neither stop the others nor vanish unseen",
        advice="catch what reading one document raises, answer an InsertDocumentsResponse with a DocumentReport for each, and put the others in",
    )
    async def test_document_that_can_not_be_read_is_reported(self, harness: Harness, bank_type: str) -> None:
        """Of three documents one can't be read: it is reported with an error, in its place, and the other two are found."""
        first, second = list(self.documents)[:2]
        async with self.bank(harness, bank_type) as bank:
            contents = {first: self.documents[first], "unreadable": UNREADABLE, second: self.documents[second]}
            try:
                reports = (await bank.insert(contents)).documents
            except HitchpostError as error:
                raise CheckFailed(f"the insertion raised {seen_error(error)}") from error
            names = [report.document_id for report in reports]
            if names != list(contents):
                raise CheckFailed(f"there are reports of {names} for {list(contents)}")
            failed = [report.document_id for report in reports if report.error is not None]
            if failed != ["unreadable"]:
                raise CheckFailed(f"reported as not gone in are {failed or 'none'}, and not the one that can't be read")
            for document_id in (first, second):
                await self._must_find(bank, bank_type, document_id)

    @check(
        "documents.ttl",
        why="documents with a time to live are often those that must not be shown later",
        advice="keep with each document when it ends, leave it out of every answer from then on, and remove it",
    )
    async def test_documents_expire(self, harness: Harness) -> None:
        """A document with `ttl_seconds` 1 is found at first and later not, in every type of bank; one inserted again without it stays."""
        types = self.supported_types(harness)
        if not types:
            raise NotApplicable("no type of bank is declared")
        await asyncio.gather(*(self._expires(harness, bank_type) for bank_type in types))

    async def _expires(self, harness: Harness, bank_type: str) -> None:
        brief, lasting = list(self.documents)[:2]
        loop = asyncio.get_running_loop()
        async with self.bank(harness, bank_type) as bank:
            await bank.insert({lasting: self.documents[lasting]}, ttl_seconds=TTL_S)
            await bank.insert({lasting: self.documents[lasting]})
            began = loop.time()
            await bank.insert({brief: self.documents[brief]}, ttl_seconds=TTL_S)
            inserted = loop.time()
            names = await self._ids(bank, bank_type, brief)
            if brief not in names and loop.time() < began + TTL_S:
                raise CheckFailed(f"a document with {TTL_S} s to live can't be found when its insertion has returned")
            await asyncio.sleep(max(0.0, inserted + LATER_S - loop.time()))
            names = await self._ids(bank, bank_type, brief)
            if brief in names:
                raise CheckFailed(
                    f"in a {bank_type} bank {brief!r} is still found {LATER_S} s after it had 1 s to live"
                )
            if Capability.documents in harness.capabilities:
                listed = [document.document_id for document in (await bank.list_documents()).data]
                if listed != [lasting]:
                    raise CheckFailed(f"a {bank_type} bank lists {listed} when all but {lasting!r} have expired")
            await self._must_find(bank, bank_type, lasting)

    @for_each_bank_type
    @check(
        "documents.listed",
        why="an application that lists page by page must see every document once",
        advice="sort by document_id, begin after `after` whether or not it is there, and say has_more only where more follow",
        needs=Capability.documents,
    )
    async def test_documents_are_listed_in_pages(self, harness: Harness, bank_type: str) -> None:
        """Pages of the documents follow each other in the order of their ids; only the last has no `has_more`."""
        async with self.filled_bank(harness, bank_type) as bank:
            expected = sorted(self.documents)
            pages: list[list[str]] = []
            after: str | None = None
            for _ in expected:
                page = await bank.list_documents(after=after, limit=len(expected) - 1)
                pages.append([document.document_id for document in page.data])
                if not page.has_more or not page.data:
                    break
                after = page.data[-1].document_id
            if pages != [expected[:-1], expected[-1:]]:
                raise CheckFailed(f"the pages of {expected} by {len(expected) - 1} are {pages}")
            rest = await bank.list_documents(after=f"{expected[0]} ")
            if [document.document_id for document in rest.data] != expected[1:]:
                raise CheckFailed(f"after an id that is not there, behind {expected[0]!r}, come {rest.data!r}"[:500])

    @for_each_bank_type
    @check(
        "documents.read",
        why="an application shows where in which document something was found",
        advice="keep mime_type and metadata with the document, and each chunk's position, and answer them in both",
        needs=Capability.documents,
    )
    async def test_document_is_read_as_it_was_inserted(self, harness: Harness, bank_type: str) -> None:
        """get_document answers type, metadata and chunks in their order, and a query the same chunk; without the document, NotFoundError."""
        document_id = next(iter(self.documents))
        async with self.bank(harness, bank_type) as bank:
            await bank.insert(self.documents, metadata={document_id: METADATA})
            read = await bank.get_document(document_id)
            if (read.document_id, read.mime_type, read.metadata) != (document_id, "text/plain", METADATA):
                raise CheckFailed(f"{document_id!r}, text/plain, with {METADATA} is read as {_without_chunks(read)}")
            positions = [chunk.position for chunk in read.chunks]
            if not positions or positions != list(range(len(positions))) or read.chunk_count != len(positions):
                raise CheckFailed(f"its chunks, {read.chunk_count} of them, have the positions {positions}")
            query = await bank.query(self.query_for(bank_type, document_id), max_chunks=1)
            if not query.chunks or _seen(query.chunks[0]) not in [_seen(chunk) for chunk in read.chunks]:
                raise CheckFailed(f"a query finds {query.chunks!r}, which is none of {read.chunks!r}"[:900])
            try:
                nothing = await bank.get_document("nothing")
            except NotFoundError:
                return
        raise CheckFailed(f"a document that is not there is read as {nothing!r}"[:500])

    @for_each_bank_type
    @check(
        "documents.deleted",
        why="what somebody asked to delete must not be found again",
        advice="delete the document with its chunks, vectors and words in one transaction, and answer the ids of those that were there",
        needs=Capability.documents,
    )
    async def test_deleted_document_is_gone(self, harness: Harness, bank_type: str) -> None:
        """A deleted document is neither found, listed nor read; the others are, and deleting it again deletes nothing."""
        document_id, other = list(self.documents)[:2]
        async with self.filled_bank(harness, bank_type) as bank:
            deleted = (await bank.delete_documents([document_id, "nothing"])).deleted
            again = (await bank.delete_documents([document_id])).deleted
            if (deleted, again) != ([document_id], []):
                raise CheckFailed(f"deleting {document_id!r} and 'nothing' deletes {deleted}, and again {again}")
            if document_id in await self._ids(bank, bank_type, document_id):
                raise CheckFailed(f"{document_id!r} is found after it was deleted")
            if document_id in [document.document_id for document in (await bank.list_documents()).data]:
                raise CheckFailed(f"{document_id!r} is listed after it was deleted")
            await self._must_find(bank, bank_type, other)
            await bank.insert({document_id: self.documents[document_id]})
            await self._must_find(bank, bank_type, document_id)

    @for_each_bank_type
    @check(
        "documents.counted",
        why="figures that are wrong are worse than none",
        advice="count what can be found: neither what was replaced, deleted or has expired",
        needs=Capability.documents,
    )
    async def test_statistics_count_what_is_there(self, harness: Harness, bank_type: str) -> None:
        """Statistics say how many documents and chunks there are, after one was inserted again and one was deleted."""
        first, second = list(self.documents)[:2]
        async with self.filled_bank(harness, bank_type) as bank:
            await bank.insert({first: self.documents[first]})
            await bank.delete_documents([second])
            listed = (await bank.list_documents()).data
            counted = await bank.get_statistics()
        chunks, tokens = (sum(getattr(one, name) for one in listed) for name in ("chunk_count", "token_count"))
        seen = (counted.document_count, counted.chunk_count, counted.token_count)
        if len(listed) != len(self.documents) - 1 or seen != (len(listed), chunks, tokens):
            raise CheckFailed(
                f"{len(listed)} listed documents of {chunks} chunks, {tokens} tokens are counted as {seen}"
            )

    async def _ids(self, bank: Bank, bank_type: str, document_id: str) -> list[str]:
        return list(found(await bank.query(self.query_for(bank_type, document_id), max_chunks=len(self.documents))))

    async def _must_find(self, bank: Bank, bank_type: str, document_id: str) -> None:
        names = await self._ids(bank, bank_type, document_id)
        if document_id not in names:
            raise CheckFailed(f"in a {bank_type} bank {document_id!r} is not found, only {names}")


def _without_chunks(document: Any) -> Mapping[str, Any]:
    shown: Mapping[str, Any] = document.model_dump(exclude={"chunks"})
    return shown


def _seen(chunk: Chunk) -> tuple[Any, ...]:
    return chunk.document_id, chunk.content, chunk.token_count, chunk.position, chunk.metadata


__all__ = ["DocumentChecks"]
