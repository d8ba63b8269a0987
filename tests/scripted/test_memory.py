"""What the banks of `inline::scripted` keep and find, through the methods that the host calls."""

import asyncio
from typing import Any

import pytest

from hitchpost.api import (
    GraphMemoryBank,
)
from hitchpost.errors import (
    BadRequestError,
    ConflictError,
    HitchpostError,
    NotFoundError,
    OverloadedError,
    UnsupportedError,
)
from tests.scripted.banks import KEYVALUE, KEYWORD, vector
from tests.scripted.conftest import MakeBank, MakeMemory

PYTHON = "Python is a high-level programming language."
LEARNING = "Machine learning is a subset of artificial intelligence."
STRUCTURES = "Data structures are fundamental to computer science."
NETWORKS = "Neural networks are inspired by biological neural networks."
SAMPLE = {"python": PYTHON, "learning": LEARNING, "structures": STRUCTURES, "networks": NETWORKS}


# --- vector banks ---


@pytest.mark.parametrize(
    ("query", "best"),
    [("programming language", "python"), ("AI and brain-inspired computing", "networks"), ("computers", "structures")],
)
async def test_vector_bank_finds_what_shares_the_most_words_with_a_query(
    query: str, best: str, open_bank: MakeBank
) -> None:
    bank = await open_bank(vector())
    await bank.insert(SAMPLE)

    found = await bank.query(query)

    assert found.chunks[0].document_id == best
    assert found.chunks[0].content == SAMPLE[best]
    assert len(found.scores) == len(found.chunks) == 3
    assert found.scores == sorted(found.scores, reverse=True)


async def test_text_that_is_the_query_scores_one_and_unrelated_text_zero(open_bank: MakeBank) -> None:
    bank = await open_bank(vector())
    await bank.insert({"same": "Quick brown foxes", "other": "lazy dogs"})

    found = await bank.query("quick brown fox")

    assert found.scores == pytest.approx([1.0, 0.0])


async def test_no_more_chunks_come_than_were_asked_for(open_bank: MakeBank) -> None:
    bank = await open_bank(vector())
    await bank.insert(SAMPLE)

    assert len(await bank.ids("computer", max_chunks=2)) == 2


async def test_chunks_below_the_threshold_are_left_out(open_bank: MakeBank) -> None:
    bank = await open_bank(vector())
    await bank.insert(SAMPLE)

    found = await bank.query("quantum computing", score_threshold=0.2)

    assert [chunk.document_id for chunk in found.chunks] == ["structures"]
    assert all(score >= 0.2 for score in found.scores)


async def test_documents_are_cut_into_overlapping_chunks_of_words(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=4, overlap=1))
    await bank.insert({"count": "one two three  four five\nsix seven eight"})

    found = await bank.query("one", max_chunks=10)

    assert [(chunk.content, chunk.token_count) for chunk in found.chunks] == [
        ("one two three  four", 4),
        ("four five\nsix seven", 4),
        ("seven eight", 2),
    ]


@pytest.mark.parametrize(("overlap", "second"), [(None, "d e f g"), (0, "e f g h"), (3, "b c d e")])
async def test_overlap_is_a_quarter_unless_it_is_given(overlap: int | None, second: str, open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=4, overlap=overlap))
    await bank.insert({"letters": "a b c d e f g h"})

    chunks = (await bank.query("z", max_chunks=10)).chunks

    assert chunks[1].content == second


async def test_overlap_of_a_whole_chunk_is_refused(open_bank: MakeBank) -> None:
    with pytest.raises(BadRequestError) as refused:
        await open_bank(vector(size=4, overlap=4))

    assert refused.value.param == "params.overlap_size_in_tokens"


# --- the other types ---


async def test_keyword_bank_finds_whole_documents_by_the_words_as_written(open_bank: MakeBank) -> None:
    bank = await open_bank(KEYWORD)
    await bank.insert({"both": "red apples and green pears", "one": "RED wine", "neither": "apple"})

    found = await bank.query("red apples")

    assert [chunk.document_id for chunk in found.chunks] == ["both", "one"]
    assert found.scores == [1.0, 0.5]
    assert found.chunks[0].content == "red apples and green pears"


@pytest.mark.parametrize(("query", "found"), [("b", ["b"]), (["c", "a"], ["a", "c"]), ("text", []), ("a c", [])])
async def test_keyvalue_bank_finds_documents_by_their_ids(query: Any, found: list[str], open_bank: MakeBank) -> None:
    bank = await open_bank(KEYVALUE)
    await bank.insert({"a": "text", "b": "text", "c": ""})

    assert await bank.ids(query) == found


async def test_graph_bank_is_refused_with_what_to_use(scripted_memory: MakeMemory) -> None:
    bank = GraphMemoryBank(identifier="b", provider_resource_id="b")

    with pytest.raises(UnsupportedError, match="register one of vector, keyvalue, keyword"):
        await scripted_memory().register_memory_bank(bank, None)


# --- registration ---


async def test_bank_that_is_announced_again_keeps_its_documents(open_bank: MakeBank) -> None:
    bank = await open_bank(vector())
    await bank.insert(SAMPLE)

    await bank.provider.register_memory_bank(vector(), None)

    assert bank.figure("documents") == 4


async def test_bank_goes_with_its_last_registration(open_bank: MakeBank) -> None:
    bank = await open_bank(vector("first"))
    await bank.provider.register_memory_bank(vector("second"), None)
    await bank.insert(SAMPLE)

    await bank.provider.unregister_memory_bank(vector("first"), None)
    kept = bank.figure("documents")
    await bank.provider.unregister_memory_bank(vector("second"), None)

    assert kept == 4
    with pytest.raises(NotFoundError):
        await bank.query("x")


async def test_bank_of_another_type_under_the_same_name_is_refused(open_bank: MakeBank) -> None:
    bank = await open_bank(vector())

    with pytest.raises(ConflictError):
        await bank.provider.register_memory_bank(KEYWORD, None)


async def test_stop_forgets_everything(open_bank: MakeBank) -> None:
    bank = await open_bank(vector())
    await bank.insert(SAMPLE)

    await bank.provider.stop()
    await bank.provider.start()
    await bank.provider.register_memory_bank(vector(), None)

    assert (await bank.query("programming")).chunks == []


# --- insertion ---


async def test_document_with_the_same_id_replaces_the_one_before(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=2, overlap=0))
    await bank.insert({"doc": "one two three four five"})

    await bank.insert({"doc": "six"})

    assert [chunk.content for chunk in (await bank.query("one six", max_chunks=10)).chunks] == ["six"]


@pytest.mark.parametrize(("later_s", "is_there"), [(9.0, True), (10.5, False)])
async def test_documents_vanish_after_their_time(
    later_s: float, is_there: bool, open_bank: MakeBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = await open_bank(KEYVALUE)
    await bank.insert({"short": "x"}, ttl_seconds=10)
    await bank.insert({"for ever": "x"})
    loop = asyncio.get_running_loop()
    later = loop.time() + later_s
    monkeypatch.setattr(loop, "time", lambda: later)

    found = await bank.ids(["short", "for ever"])

    assert found == (["short", "for ever"] if is_there else ["for ever"])
    assert bank.figure("documents") == len(found)


async def test_document_inserted_again_without_a_time_stays(
    open_bank: MakeBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = await open_bank(KEYVALUE)
    await bank.insert({"doc": "x"}, ttl_seconds=1)
    await bank.insert({"doc": "y"})
    loop = asyncio.get_running_loop()
    later = loop.time() + 100
    monkeypatch.setattr(loop, "time", lambda: later)

    assert await bank.ids("doc") == ["doc"]


async def test_document_that_can_not_be_read_is_reported_and_the_others_go_in(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=1, overlap=0))

    answer = await bank.insert({"good": "a text", "bad": "https://example.com/x", "late": "a text"})

    assert [(report.document_id, report.chunk_count) for report in answer.documents] == [
        ("good", 2),
        ("bad", None),
        ("late", 2),
    ]
    [failed] = answer.failed
    assert (failed.error or "").startswith("content: inline::scripted fetches nothing")
    assert bank.figure("documents") == 2


async def test_document_that_can_not_be_read_leaves_the_one_of_its_id_alone(open_bank: MakeBank) -> None:
    bank = await open_bank(KEYVALUE)
    await bank.insert({"doc": "old"})

    await bank.insert({"doc": "https://example.com/x"})

    assert [chunk.content for chunk in (await bank.query("doc")).chunks] == ["old"]


@pytest.mark.parametrize(
    ("documents", "too_many"),
    [({"a": "x" * 101}, ["a"]), ({"a": "x" * 60, "b": "x" * 60, "c": "x"}, ["b"])],
    ids=["one", "two"],
)
async def test_document_for_which_there_is_no_room_is_reported(
    documents: dict[str, str], too_many: list[str], open_bank: MakeBank
) -> None:
    bank = await open_bank(KEYVALUE, max_characters=100)

    refused = await bank.refused(documents)

    assert list(refused) == too_many
    assert all("at most 100 characters" in reason for reason in refused.values())
    assert bank.figure("documents") == len(documents) - 1


async def test_replaced_and_expired_text_makes_room(open_bank: MakeBank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = await open_bank(KEYVALUE, max_characters=100)
    await bank.insert({"a": "x" * 90}, ttl_seconds=1)
    await bank.insert({"a": "y" * 90}, ttl_seconds=1)
    loop = asyncio.get_running_loop()
    later = loop.time() + 2
    monkeypatch.setattr(loop, "time", lambda: later)

    await bank.insert({"b": "z" * 90})

    assert await bank.ids(["a", "b"]) == ["b"]


async def test_overlap_does_not_multiply_text_beyond_the_room(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=5_000, overlap=4_999), max_characters=1_000_000)

    refused = await bank.refused({"wide": "w " * 10_000})

    assert "at most 1,000,000 characters" in refused["wide"]


async def test_others_run_while_a_large_document_is_cut_and_searched(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(size=2, overlap=0))
    turns = 0

    async def count_turns_of(work: asyncio.Task[Any]) -> None:
        nonlocal turns
        while not work.done():
            turns += 1
            await asyncio.sleep(0)

    inserting = asyncio.create_task(bank.insert({"large": "word " * 10_000}))
    await count_turns_of(inserting)
    turns_of_insertion, turns = turns, 0
    await count_turns_of(asyncio.create_task(bank.query("word")))

    assert turns_of_insertion > 20
    assert turns > 20


@pytest.mark.parametrize("image", [{"image": {"uri": "https://example.com/x.png"}}, ["x", {"image": "data:,x"}]])
async def test_images_are_refused_in_documents_and_queries(image: Any, open_bank: MakeBank) -> None:
    bank = await open_bank(vector())

    refused = await bank.refused({"doc": image})

    assert refused["doc"].startswith("content: inline::scripted keeps and finds text only")
    with pytest.raises(UnsupportedError, match="query"):
        await bank.query(image)


# --- faults ---


@pytest.mark.parametrize(
    ("rule", "insert_fails", "query_fails"),
    [
        ({}, True, True),
        ({"call": "insert"}, True, False),
        ({"call": "query"}, False, True),
        ({"bank": "other"}, False, False),
        ({"when": "apple"}, True, False),
        ({"when": "pear", "bank": "b"}, False, True),
        ({"times": 1}, True, False),
    ],
)
async def test_rule_fails_the_calls_that_it_is_for(
    rule: dict[str, Any], insert_fails: bool, query_fails: bool, open_bank: MakeBank
) -> None:
    bank = await open_bank(vector(), script=[{"fault": {"kind": "error", "code": "overloaded"}, **rule}])

    insertion, query = await asyncio.gather(bank.insert({"a": "an apple"}), bank.query("pear"), return_exceptions=True)

    assert isinstance(insertion, OverloadedError) is insert_fails
    assert isinstance(query, OverloadedError) is query_fails


async def test_rule_that_passes_keeps_the_rules_below_from_holding(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(), script=[{"when": "fine", "passes": True}, {"fault": {"kind": "defect"}}])

    await bank.insert({"a": "fine"})
    with pytest.raises(RuntimeError) as raised:
        await bank.insert({"a": "broken"})

    assert not isinstance(raised.value, HitchpostError)


async def test_stalled_query_ends_by_being_cancelled(open_bank: MakeBank) -> None:
    bank = await open_bank(vector(), script=[{"call": "query", "fault": {"kind": "stall"}}])
    task = asyncio.create_task(bank.query("x"))
    for _ in range(3):
        await asyncio.sleep(0)
    running = bank.figure("calls_running")

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (running, bank.figure("calls_running")) == (1, 0)
