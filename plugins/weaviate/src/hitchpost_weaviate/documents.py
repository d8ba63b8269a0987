"""The documents of one bank: put in, listed, read, counted, deleted and swept.

Weaviate changes one object at a time. So that nobody sees half a document, chunks are written first and the record last: it names their
revision, and from then on they count and those before them don't. What went wrong in between leaves chunks that no record names; they are never
found, and go with the next change of their document. Only chunks of a revision that is known to be over are removed, and only those that are not
newer than its record: another insertion, also one of another host, may just be writing the same ones.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from weaviate.classes.aggregate import Metrics
from weaviate.classes.query import Filter, Sort
from weaviate.exceptions import WeaviateInsertManyAllFailedError

from hitchpost.api import BankStatistics
from hitchpost.errors import BadBackendAnswerError, HitchpostError
from hitchpost_weaviate.connection import Connection
from hitchpost_weaviate.failures import error_of_words
from hitchpost_weaviate.names import document_key, document_uuid
from hitchpost_weaviate.objects import (
    CHUNK_PROPERTIES,
    RECORD_PROPERTIES,
    KeptChunk,
    Record,
    read_chunk,
    read_record,
)

PAGE = 500
"""Objects that one call reads, and conditions that one filter has."""
ORPHAN_AGE_S = 3600.0
"""Chunks that no record names are of an insertion that failed when they are so much older than the record; younger ones may be of one that runs."""


class Documents:
    """The documents of a bank.

    Args:
        connection: to the server.
        collection: the client's handle of the bank's collection.
        lock: one for all who change this bank; held for the last step of a change only: records are read, written, and old chunks removed.
        log: what could not be removed is said here.
    """

    def __init__(self, connection: Connection, collection: Any, lock: asyncio.Lock, log: logging.Logger) -> None:
        self._connection = connection
        self._collection = collection
        self._lock = lock
        self._log = log

    # --- reading ---

    async def records(self, document_ids: Iterable[str]) -> dict[str, Record]:
        """What there is under these ids, expired documents too."""
        uuids = [document_uuid(document_id) for document_id in dict.fromkeys(document_ids)]
        found: dict[str, Record] = {}
        for start in range(0, len(uuids), PAGE):
            page = uuids[start : start + PAGE]
            answer = await self._connection.read(
                self._collection.query.fetch_objects_by_ids, page, limit=len(page), return_properties=RECORD_PROPERTIES
            )
            for record in _read(read_record, answer):
                found[record.document_id] = record
        return found

    async def page(self, after: str | None, limit: int) -> list[Record]:
        """Records of documents that have not expired, in the order of their ids."""
        where = _alive()
        if after is not None:
            where = Filter.all_of([where, Filter.by_property("document_key").greater_than(document_key(after))])
        answer = await self._connection.read(
            self._collection.query.fetch_objects,
            filters=where,
            sort=Sort.by_property("document_key", ascending=True),
            limit=limit,
            return_properties=RECORD_PROPERTIES,
        )
        return _read(read_record, answer)

    async def chunks(self, record: Record) -> list[KeptChunk]:
        """All chunks of a document, in their order."""
        found: list[KeptChunk] = []
        while len(found) < record.chunk_count:
            start = found[-1].position + 1 if found else 0
            answer = await self._connection.read(
                self._collection.query.fetch_objects,
                filters=Filter.all_of(
                    [
                        Filter.by_property("revision").equal(record.revision),
                        Filter.by_property("kind").equal("chunk"),
                        Filter.by_property("position").greater_or_equal(start),
                    ]
                ),
                sort=Sort.by_property("position", ascending=True),
                limit=PAGE,
                return_properties=CHUNK_PROPERTIES,
            )
            page = _read(read_chunk, answer)
            if not page:
                break
            found += page
        return found

    async def statistics(self) -> BankStatistics:
        """How much there is that has not expired."""
        answer = await self._connection.read(
            self._collection.aggregate.over_all,
            filters=_alive(),
            total_count=True,
            return_metrics=[Metrics(name).integer(sum_=True) for name in ("chunk_count", "token_count")],
        )
        sums = {name: int(metric.sum_ or 0) for name, metric in answer.properties.items()}
        return BankStatistics(
            document_count=answer.total_count or 0,
            chunk_count=sums.get("chunk_count", 0),
            token_count=sums.get("token_count", 0),
        )

    # --- changing ---

    async def write(self, objects: Sequence[Any]) -> dict[int, str]:
        """Send objects, in place of those with the same UUIDs; answers by their place why some were refused."""
        return await self._connection.write(_inserted, self._collection, objects)

    async def commit(self, records: Sequence[Record]) -> dict[int, str]:
        """Let these documents be what the bank has under their ids: all their chunks are written. Answers as `write` does."""
        async with self._lock:
            before = await self.records(record.document_id for record in records)
            failed = await self.write([record.to_object() for record in records])
            done = [record for place, record in enumerate(records) if place not in failed]
            over = {record.document_id: before[record.document_id] for record in done if record.document_id in before}
            changed = {record.document_id: record.revision for record in done}
            old = [record for document_id, record in over.items() if record.revision != changed[document_id]]
            try:
                await self._remove_chunks(old)
                if done:
                    await self._remove_orphans(over, min(record.inserted_at for record in done))
            except HitchpostError as error:
                self._log.warning("old chunks of %d documents stay until these change again: %s", len(over), error)
        return failed

    async def give_up(self, records: Sequence[Record]) -> None:
        """Remove what was written of documents that did not go in."""
        if not records:
            return
        try:
            async with self._lock:
                before = await self.records(record.document_id for record in records)
                current = {document_id: record.revision for document_id, record in before.items()}
                # The same text may be there already: then these chunks are its own.
                await self._remove_chunks([one for one in records if current.get(one.document_id) != one.revision])
        except HitchpostError as error:
            self._log.warning("chunks of %d documents that did not go in stay: %s", len(records), error)

    async def delete(self, document_ids: Sequence[str]) -> list[str]:
        """Remove documents, and everything that is left of earlier tries to insert them; answers those that were there."""
        deleted: list[str] = []
        for start in range(0, len(document_ids), PAGE):
            page = document_ids[start : start + PAGE]
            async with self._lock:
                now = time.time()
                there = await self.records(page)
                await self._remove_records(there.values())
                await self._remove_chunks(there.values())
                await self._remove_orphans(page, now)
            deleted += [name for name in dict.fromkeys(page) if name in there and there[name].is_alive]
        return deleted

    async def sweep(self) -> int:
        """Remove what has expired; answers how many documents that were."""
        count = 0
        while True:
            async with self._lock:
                now = time.time()
                answer = await self._connection.read(
                    self._collection.query.fetch_objects,
                    filters=Filter.all_of(
                        [
                            Filter.by_property("kind").equal("record"),
                            Filter.by_property("expires_at").less_or_equal(now),
                        ]
                    ),
                    limit=PAGE,
                    return_properties=RECORD_PROPERTIES,
                )
                expired = _read(read_record, answer)
                await self._remove_records(expired)
                await self._remove_chunks(expired)
            count += len(expired)
            if len(expired) < PAGE:
                return count

    # --- removing objects ---

    async def _remove_records(self, records: Iterable[Record]) -> None:
        await self._remove(
            Filter.all_of(
                [
                    Filter.by_id().equal(str(document_uuid(record.document_id))),
                    Filter.by_property("inserted_at").equal(record.inserted_at),
                ]
            )
            for record in records
        )

    async def _remove_chunks(self, records: Iterable[Record]) -> None:
        await self._remove(
            Filter.all_of(
                [
                    Filter.by_property("kind").equal("chunk"),
                    Filter.by_property("revision").equal(record.revision),
                    Filter.by_property("inserted_at").less_or_equal(record.inserted_at),
                ]
            )
            for record in records
            if record.chunk_count
        )

    async def _remove_orphans(self, document_ids: Iterable[str], before: float) -> None:
        keys = [document_key(document_id) for document_id in document_ids]
        if keys:
            await self._remove(
                [
                    Filter.all_of(
                        [
                            Filter.by_property("kind").equal("chunk"),
                            Filter.by_property("document_key").contains_any(keys),
                            Filter.by_property("inserted_at").less_than(before - ORPHAN_AGE_S),
                        ]
                    )
                ]
            )

    async def _remove(self, wheres: Iterable[Any]) -> None:
        conditions = list(wheres)
        for start in range(0, len(conditions), PAGE):
            page = conditions[start : start + PAGE]
            where = page[0] if len(page) == 1 else Filter.any_of(page)
            # One call deletes no more than the server's limit of results, and says how many there were.
            while True:
                outcome = await self._connection.write(self._collection.data.delete_many, where=where)
                if outcome.failed:
                    raise BadBackendAnswerError(f"Weaviate could not delete {outcome.failed} objects of a bank")
                if outcome.matches <= outcome.successful or not outcome.successful:
                    break


def _alive() -> Any:
    return Filter.all_of(
        [Filter.by_property("kind").equal("record"), Filter.by_property("expires_at").greater_than(time.time())]
    )


def _read(read: Any, answer: Any) -> list[Any]:
    try:
        return [read(one.properties) for one in answer.objects]
    except (KeyError, TypeError, ValueError) as error:
        raise BadBackendAnswerError("Weaviate has objects in a bank that this provider did not put there") from error


async def _inserted(collection: Any, objects: Sequence[Any]) -> dict[int, str]:
    if not objects:
        return {}
    try:
        outcome = await collection.data.insert_many(objects)
    except WeaviateInsertManyAllFailedError as error:
        _, _, words = error.message.rpartition("set of all errors: ")
        return dict.fromkeys(range(len(objects)), _message(words))
    return {place: _message(error.message) for place, error in outcome.errors.items()}


def _message(words: str) -> str:
    return error_of_words("Weaviate", words).message


__all__ = ["PAGE", "Documents"]
