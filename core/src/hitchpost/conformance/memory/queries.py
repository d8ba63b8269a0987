"""Checks of what is found: the right documents, their scores, and the limits of a query."""

import asyncio
import math
from typing import Any

from hitchpost.api import Capability, QueryMode
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.memory.subject import Bank, MemorySubject, for_each_bank_type, found

SIDE_BY_SIDE = 12
MANY = 100


class QueryChecks(MemorySubject):
    """Each check runs for every type of bank that the provider type declares."""

    @for_each_bank_type
    @check(
        "query.shape",
        why="callers pair chunks and scores by their place, and read them from the best on",
        advice="answer as many scores as chunks, the highest first, each chunk with its text, document_id and token_count",
    )
    async def test_chunks_and_scores_belong_together(self, harness: Harness, bank_type: str) -> None:
        """A query answers chunks of inserted documents and as many finite scores, best first."""
        async with self.filled_bank(harness, bank_type) as bank:
            answer = await bank.query(self.query_for(bank_type, next(iter(self.documents))))
        if not answer.chunks or len(answer.chunks) != len(answer.scores):
            raise CheckFailed(f"the query has {len(answer.chunks)} chunks and {len(answer.scores)} scores")
        if not all(math.isfinite(score) for score in answer.scores):
            raise CheckFailed(f"the scores are {answer.scores}")
        if answer.scores != sorted(answer.scores, reverse=True):
            raise CheckFailed(f"the scores come in the order {answer.scores}")
        for chunk in answer.chunks:
            if chunk.document_id not in self.documents or chunk.token_count < 0 or not chunk.content:
                raise CheckFailed(f"a chunk is {chunk!r}"[:500])

    @for_each_bank_type
    @check(
        "query.finds",
        why="it is what memory is for",
        advice="look at how documents are cut and compared, or set `documents` and `queries` to ones that the bank tells apart",
    )
    async def test_query_finds_its_document_first(self, harness: Harness, bank_type: str) -> None:
        """Each of `queries` finds its document before all others."""
        async with self.filled_bank(harness, bank_type) as bank:
            for document_id in self.queries:
                query = self.query_for(bank_type, document_id)
                names = found(await bank.query(query))
                if names[:1] != [document_id]:
                    raise CheckFailed(f"{query!r} finds {', '.join(names) or 'nothing'}, not {document_id} first")

    @for_each_bank_type
    @check(
        "query.max-chunks",
        why="what is found goes into a prompt, whose length is bounded",
        advice="cut the answer to params.max_chunks after it was sorted",
    )
    async def test_max_chunks_bounds_the_answer(self, harness: Harness, bank_type: str) -> None:
        """With `max_chunks` 1 and 2 there are at most that many chunks, the best of those that come without."""
        async with self.filled_bank(harness, bank_type) as bank:
            query = self.query_for(bank_type, next(iter(self.documents)))
            best = found(await bank.query(query, max_chunks=MANY))
            for limit in (1, 2):
                names = found(await bank.query(query, max_chunks=limit))
                if len(names) > limit or names[:1] != best[:1]:
                    raise CheckFailed(f"with max_chunks {limit} it finds {names}; without, {best}")

    @for_each_bank_type
    @check(
        "query.threshold",
        why="chunks below it are noise in a prompt",
        advice="leave out chunks whose score is below params.score_threshold, and compare by the score that you answer",
    )
    async def test_score_threshold_is_kept(self, harness: Harness, bank_type: str) -> None:
        """With `score_threshold` exactly the chunks with at least that score are found: the best at its own score, none above."""
        async with self.filled_bank(harness, bank_type) as bank:
            query = self.query_for(bank_type, next(iter(self.documents)))
            scores = (await bank.query(query, max_chunks=MANY)).scores
            middle = (scores[0] + scores[-1]) / 2
            for threshold in (middle, scores[0] + 1):
                kept = (await bank.query(query, max_chunks=MANY, score_threshold=threshold)).scores
                expected = [score for score in scores if score >= threshold]
                if len(kept) != len(expected) or any(score < threshold for score in kept):
                    raise CheckFailed(f"of the scores {scores} the threshold {threshold} leaves {kept}")

    @for_each_bank_type
    @check(
        "query.filter",
        why="an application keeps the documents of several people or languages in one bank, and asks for those of one",
        advice="choose documents by hitchpost.api.metadata_fits, or the same in the backend's words, before you take the best",
        needs=Capability.metadata_filter,
    )
    async def test_filter_leaves_only_documents_that_fit(self, harness: Harness, bank_type: str) -> None:
        """With `filter` only documents are found whose metadata have the value, or one of the list; null is a key that isn't there."""
        first, second, third, *_ = self.documents
        metadata: dict[str, dict[str, Any]] = {
            first: {"team": "a", "year": 1},
            second: {"team": "b", "year": 2},
            third: {"team": "c"},
        }
        expected: list[tuple[dict[str, Any], set[str]]] = [
            ({"team": "a"}, {first}),
            ({"team": ["a", "b"]}, {first, second}),
            ({"team": ["a", "b"], "year": 1}, {first}),
            ({"team": ["a", "c"], "year": None}, {third}),
            ({"team": "A"}, set()),
        ]
        async with self.bank(harness, bank_type) as bank:
            await bank.insert(self.documents, metadata=metadata)
            for wanted, ids in expected:
                names: set[str] = set()
                for document_id in (first, second, third):
                    query = self.query_for(bank_type, document_id)
                    names |= set(found(await bank.query(query, max_chunks=MANY, filter=wanted)))
                if names != ids:
                    raise CheckFailed(f"of the metadata {metadata} the filter {wanted} leaves {sorted(names)}")

    @check(
        "query.modes",
        why="words find what vectors miss, such as names and numbers, and both together find more than each alone",
        advice="search the same chunks by their words (BM25), and fuse the two rankings by reciprocal rank for hybrid",
        needs=(Capability.vector_bank, Capability.hybrid_query),
    )
    async def test_every_mode_finds(self, harness: Harness) -> None:
        """In a vector bank the modes vector, keyword and hybrid find each document before all others, within `max_chunks`."""
        async with self.filled_bank(harness, "vector") as bank:
            for mode in QueryMode:
                for document_id, query in self.queries.items():
                    answer = await bank.query(query, mode=mode, max_chunks=2)
                    if found(answer)[:1] != [document_id] or len(answer.chunks) > 2:
                        raise CheckFailed(f"by {mode} {query!r} finds {found(answer)}, not {document_id} first")
                    if len(answer.scores) != len(answer.chunks) or answer.scores != sorted(answer.scores)[::-1]:
                        raise CheckFailed(f"by {mode} {len(answer.chunks)} chunks have the scores {answer.scores}")
            nothing = await bank.query("xyzzyplugh", mode=QueryMode.keyword)
        if nothing.chunks:
            raise CheckFailed(f"by keyword a word that is nowhere finds {found(nothing)}")

    @for_each_bank_type
    @check(
        "query.empty-bank",
        why="an application asks before anything is there",
        advice="answer no chunks and no scores",
    )
    async def test_empty_bank_finds_nothing(self, harness: Harness, bank_type: str) -> None:
        """A bank without documents answers no chunks and no scores."""
        async with self.bank(harness, bank_type) as bank:
            answer = await bank.query("anything")
        if answer.chunks or answer.scores:
            raise CheckFailed(f"an empty bank finds {answer!r}"[:500])

    @for_each_bank_type
    @check(
        "query.other-banks",
        why="banks hold the documents of different people",
        advice="store the bank's provider_resource_id with each document, and look only there",
    )
    async def test_banks_do_not_see_each_others_documents(self, harness: Harness, bank_type: str) -> None:
        """What was inserted into one bank is not found in another."""
        async with self.filled_bank(harness, bank_type), self.bank(harness, bank_type) as other:
            for document_id in self.queries:
                names = found(await other.query(self.query_for(bank_type, document_id)))
                if names:
                    raise CheckFailed(f"a bank in which nothing was put finds {', '.join(names)}")

    @for_each_bank_type
    @check(
        "documents.replaced",
        why="an application inserts a document again when it has changed; the old text is wrong then",
        advice="delete all chunks of a document_id before you insert the new ones, in one transaction",
    )
    async def test_same_document_id_replaces_the_document(self, harness: Harness, bank_type: str) -> None:
        """A document inserted again under its id is found with its new text only."""
        first, second, *_ = self.documents
        async with self.bank(harness, bank_type) as bank:
            await bank.insert({first: self.documents[first]})
            await bank.insert({first: self.documents[second]})
            query = first if bank_type == "keyvalue" else self.queries[second]
            texts = [str(chunk.content) for chunk in (await bank.query(query, max_chunks=MANY)).chunks]
        old = self.documents[first]
        if not texts or any(text in old or old in text for text in texts):
            raise CheckFailed(f"after {first!r} was inserted again it is found as {texts}"[:500])

    @for_each_bank_type
    @check(
        "documents.concurrent",
        why="insertions and queries of many callers come at the same time",
        advice="guard what several requests change, by a lock per bank or a transaction, and never let a query see half an insertion",
    )
    async def test_concurrent_insertions_and_queries_all_count(self, harness: Harness, bank_type: str) -> None:
        """Of 12 concurrent insertions among queries every one is found afterwards, once."""
        async with self.bank(harness, bank_type) as bank:
            texts = {f"{name}-{number}": text for number in range(3) for name, text in self.documents.items()}
            some = dict(list(texts.items())[:SIDE_BY_SIDE])
            await asyncio.gather(*(self._insert_and_ask(bank, bank_type, *item) for item in some.items()))
            for document_id in some:
                name = document_id.rpartition("-")[0]
                query = document_id if bank_type == "keyvalue" else self.queries.get(name, name)
                names = found(await bank.query(query, max_chunks=MANY))
                if names.count(document_id) != 1:
                    raise CheckFailed(f"{query!r} finds {document_id!r} {names.count(document_id)} times, of {names}")

    async def _insert_and_ask(self, bank: Bank, bank_type: str, document_id: str, text: str) -> None:
        await bank.insert({document_id: text})
        query = document_id if bank_type == "keyvalue" else text
        if document_id not in found(await bank.query(query, max_chunks=MANY)):
            raise CheckFailed(f"{document_id!r} can't be found when its insertion has returned")


__all__ = ["QueryChecks"]
