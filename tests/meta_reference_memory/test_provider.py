"""Documents in and out of the embedded memory, through the methods that the host calls."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api.memory import MAX_FILTER_KEYS
from hitchpost.errors import BackendUnavailableError, BadRequestError, NotFoundError, UnsupportedError
from hitchpost_meta_reference.memory import indexing
from hitchpost_meta_reference.memory.config import FaissMemoryConfig
from hitchpost_meta_reference.memory.declarations import memory_presets
from hitchpost_meta_reference.memory.insertion import DOCUMENTS_AT_A_TIME
from hitchpost_meta_reference.plugin import presets, provider_specs
from tests.meta_reference_memory.conftest import OpenAny, Start
from tests.meta_reference_memory.providers import (
    WordModels,
    content_of,
    keyvalue,
    keyword,
    vector,
)

TYPES = [vector, keyword, keyvalue]
LONG = " ".join(f"word{number}" for number in range(400))


async def until(is_so: Any, limit_s: float = 10.0) -> None:
    """Wait for what comes by itself."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_s
    while not is_so():
        assert loop.time() < end, "it did not come"
        await asyncio.sleep(0.01)


# --- inserting ---


async def test_report_says_what_went_in_and_what_did_not(opened: OpenAny) -> None:
    bank = await opened(vector())

    reports = await bank.insert({"good": LONG, "bad": [{"image": "data:image/png;base64,AAAA"}], "empty": ""})

    assert [(report.document_id, report.error is None) for report in reports] == [
        ("good", True),
        ("bad", False),
        ("empty", True),
    ]
    assert (reports[0].chunk_count or 0) > 3
    assert reports[2].chunk_count == 0
    assert await bank.listed() == ["empty", "good"]


async def test_text_that_the_model_refuses_keeps_only_its_document_out(opened: OpenAny, models: WordModels) -> None:
    models.refused_text = "too long"
    bank = await opened(vector())

    reports = await bank.insert({"a": "alpha", "b": "a text too long", "c": "gamma"})

    assert [report.error for report in reports] == [None, "the text is too long for the model", None]
    assert await bank.listed() == ["a", "c"]


async def test_model_that_is_down_from_the_beginning_is_an_error_and_nothing_went_in(
    opened: OpenAny, models: WordModels
) -> None:
    bank = await opened(vector())
    models.error = BackendUnavailableError("the engine is starting")

    with pytest.raises(BackendUnavailableError, match="engine is starting"):
        await bank.insert({"a": "alpha"})

    assert await bank.listed() == []


async def test_model_that_goes_down_on_the_way_is_told_for_the_documents_that_are_left(
    opened: OpenAny, models: WordModels
) -> None:
    bank = await opened(vector())
    models.error = BackendUnavailableError("the engine died")
    models.error_after_texts = DOCUMENTS_AT_A_TIME
    names = [f"d{number:03}" for number in range(DOCUMENTS_AT_A_TIME + 5)]

    reports = await bank.insert({name: f"text of {name}" for name in names})
    models.error = None
    again = await bank.insert({name: f"text of {name}" for name in names})

    assert [report.document_id for report in reports] == names
    assert [report.error for report in reports[DOCUMENTS_AT_A_TIME:]] == ["not inserted: the engine died"] * 5
    assert not [report for report in reports[:DOCUMENTS_AT_A_TIME] if report.error]
    assert not [report for report in again if report.error]
    assert await bank.count() == (len(names), len(names))


async def test_model_that_is_gone_is_the_requests_error_and_not_each_documents(
    opened: OpenAny, models: WordModels
) -> None:
    bank = await opened(vector())
    models.dimensions.clear()

    with pytest.raises(BadRequestError, match="unknown"):
        await bank.insert({"a": "alpha", "b": "beta"})


async def test_full_bank_says_so_and_still_replaces(opened: OpenAny) -> None:
    bank = await opened(keyword(), max_documents_per_bank=2)

    reports = await bank.insert({"a": "alpha", "b": "beta", "c": "gamma"})
    again = await bank.insert({"a": "alpha changed"})

    assert reports[2].error is not None
    assert "max_documents_per_bank" in reports[2].error
    assert again[0].error is None
    assert await bank.ids("changed") == ["a"]


async def test_metadata_have_a_limit(opened: OpenAny) -> None:
    bank = await opened(keyword())

    [report] = await bank.insert({"a": {"content": "alpha", "metadata": {"long": "x" * 70_000}}})

    assert report.error is not None
    assert "65,536" in report.error


@pytest.mark.parametrize("bank_type", TYPES)
async def test_document_is_read_as_it_was_inserted(opened: OpenAny, bank_type: Any) -> None:
    bank = await opened(bank_type())
    metadata = {"language": "en", "pages": [1, 2], "nested": {"a": None}}

    await bank.insert({"a/ä\0": {"content": ["first\0", "second ‮ \U0001f600"], "metadata": metadata}}, ttl_seconds=1000)
    document = await bank.get("a/ä\0")

    assert document.metadata == metadata
    assert document.mime_type == "text/plain"
    assert (document.expires_at - document.inserted_at).total_seconds() == pytest.approx(1000, abs=5)
    assert [chunk.position for chunk in document.chunks] == [0]
    assert "second ‮ \U0001f600" in document.chunks[0].content
    assert document.token_count == sum(chunk.token_count for chunk in document.chunks) > 0


async def test_document_that_expires_in_centuries_is_listed_with_its_moment(opened: OpenAny) -> None:
    bank = await opened(keyword())

    await bank.insert({"a": "text"}, ttl_seconds=10_000_000_000)

    assert await bank.listed() == ["a"]
    assert (await bank.get("a")).expires_at.year > 2300


async def test_page_after_page_lists_every_document_once_in_the_order_of_ids(opened: OpenAny) -> None:
    bank = await opened(keyvalue())
    names = ["B", "a", "b", "ä", "z\0", "z", "\U0001f600"]
    await bank.insert(dict.fromkeys(names, "text"))

    listed: list[str] = []
    while page := await bank.listed(limit=2, after=listed[-1] if listed else None):
        listed += page

    assert listed == sorted(names)


async def test_concurrent_insertions_of_one_document_leave_one_of_them_whole(opened: OpenAny) -> None:
    bank = await opened(vector())
    texts = [f"{LONG} number{number:02}" for number in range(12)]

    await asyncio.gather(*(bank.insert({"same": text}) for text in texts))

    document = await bank.get("same")
    [number] = {text.split()[-1] for text in texts if text.split()[-1] in document.chunks[-1].content}
    assert await bank.count() == (1, len(document.chunks))
    assert (await bank.ids(number, mode="keyword")) == ["same"]


async def test_caller_who_leaves_does_not_break_the_bank(opened: OpenAny) -> None:
    bank = await opened(vector())
    leaving = [asyncio.create_task(bank.insert({f"d{number}": LONG})) for number in range(8)]
    asking = [asyncio.create_task(bank.ids("word1")) for _ in range(8)]
    await until(lambda: any(task.done() for task in leaving))

    for task in (*leaving, *asking):
        task.cancel()
    await asyncio.gather(*leaving, *asking, return_exceptions=True)

    await bank.insert({"last": "alpha"})
    assert "last" in await bank.listed()
    assert await bank.ids("alpha", max_chunks=1) == ["last"]


# --- asking ---


async def test_key_value_bank_answers_in_the_order_of_the_keys(opened: OpenAny) -> None:
    bank = await opened(keyvalue())
    await bank.insert({"a": LONG, "b": {"content": "beta", "metadata": {"x": 1}}, "c": "gamma"})

    assert await bank.ids(["c", "nobody", "a", "c", "b"]) == ["c", "a", "b"]
    assert await bank.ids(["c", "a", "b"], max_chunks=2) == ["c", "a"]
    assert await bank.ids(["c", "a", "b"], filter={"x": 1}) == ["b"]
    assert (await bank.query("b")).scores == [1.0]
    assert await bank.ids("b", score_threshold=1.1) == []


async def test_chunks_carry_position_metadata_and_tokens(opened: OpenAny) -> None:
    bank = await opened(vector(chunk_size_in_tokens=16))
    await bank.insert({"a": {"content": LONG, "metadata": {"x": 1}}})

    [chunk] = (await bank.query("word399", mode="keyword")).chunks

    assert "word399" in chunk.content
    assert chunk.metadata == {"x": 1}
    assert chunk.position == (await bank.count())[1] - 1
    assert 0 < chunk.token_count <= 16


async def test_overlap_that_is_left_out_is_a_quarter(opened: OpenAny) -> None:
    apart = await opened(vector("apart", chunk_size_in_tokens=40, overlap_size_in_tokens=0))
    default = await opened(vector("default", chunk_size_in_tokens=40, overlap_size_in_tokens=None), apart.provider)
    quarter = await opened(vector("quarter", chunk_size_in_tokens=40, overlap_size_in_tokens=10), apart.provider)
    for bank in (apart, default, quarter):
        await bank.insert({"a": LONG})

    assert (await default.get("a")).chunks == (await quarter.get("a")).chunks
    assert await default.count() > await apart.count()


async def test_images_are_no_query(opened: OpenAny) -> None:
    bank = await opened(keyword())

    with pytest.raises(UnsupportedError, match="no images"):
        await bank.query([{"image": "data:image/png;base64,AAAA"}])


async def test_filter_may_be_as_large_as_the_api_allows(opened: OpenAny) -> None:
    bank = await opened(keyword())
    keys = [str(number) for number in range(MAX_FILTER_KEYS)]
    await bank.insert({"a": {"content": "text", "metadata": dict.fromkeys(keys, -1)}, "b": "text"})

    wanted = {key: [None, *range(999)] for key in keys}

    assert await bank.ids("text", filter={**wanted, "0": -1}) == []
    assert await bank.ids("text", filter=wanted) == ["b"]


async def test_document_that_is_not_there_is_not_found(opened: OpenAny) -> None:
    bank = await opened(keyword())

    with pytest.raises(NotFoundError, match="no document 'nobody'"):
        await bank.get("nobody")


# --- leaving ---


@pytest.mark.parametrize("bank_type", TYPES)
async def test_deleted_document_is_gone_from_the_disk_when_the_answer_comes(
    opened: OpenAny, tmp_path: Path, bank_type: Any
) -> None:
    bank = await opened(bank_type())
    await bank.insert({"a": {"content": "sekretone", "metadata": {"k": "sekrettwo"}}, "b": "other"})

    assert await bank.delete("a", "nobody", "a") == ["a"]

    assert b"sekret" not in content_of(tmp_path)
    assert await bank.listed() == ["b"]


async def test_replaced_text_is_soon_gone_from_the_disk(opened: OpenAny, tmp_path: Path) -> None:
    bank = await opened(vector())
    await bank.insert({"a": "sekret"})

    await bank.insert({"a": "other"})

    await until(lambda: b"sekret" not in content_of(tmp_path))


@pytest.mark.parametrize("bank_type", TYPES)
async def test_expired_document_is_removed_by_itself(opened: OpenAny, tmp_path: Path, bank_type: Any) -> None:
    bank = await opened(bank_type())
    await bank.insert({"a": "sekret", "b": "sekret too"}, ttl_seconds=1)
    await bank.insert({"b": "stays", "c": "other"})

    await until(lambda: b"sekret" not in content_of(tmp_path))

    assert await bank.listed() == ["b", "c"]
    assert {metric.name: metric.value for metric in bank.provider.metrics()}["documents_expired_total"] == 1


async def test_expired_document_is_removed_after_a_restart_though_nobody_asks(
    opened: OpenAny, start: Start, tmp_path: Path
) -> None:
    first = await opened(keyword())
    await first.insert({"a": "sekret"}, ttl_seconds=1)
    await first.provider.stop()
    provider = await start(max_open_banks=1)

    await provider.register_memory_bank(keyword(), None)
    await provider.register_memory_bank(keyword("another"), None)

    await until(lambda: b"sekret" not in content_of(tmp_path))


# --- through faiss ---


async def test_large_bank_is_searched_through_an_index_that_is_made_meanwhile(opened: OpenAny) -> None:
    bank = await opened(vector(), faiss_above_chunks=300)
    many = {f"d{number:03}": f"subject{number % 40} text{number}" for number in range(400)}
    await bank.insert(many)

    # The first query has the vectors loaded, and then the index made.
    await bank.ids("anything")
    await bank.provider._indexing.wait()
    await bank.insert({"late": "zebra"})
    await bank.delete("d007")
    open_bank = bank.provider._banks._open["b"].its
    assert open_bank.index is not None
    indexed = await bank.query("subject7 text7", max_chunks=5)
    late, many_found = await bank.ids("zebra", max_chunks=1), await bank.ids("subject7 text7", max_chunks=50)
    open_bank.index = None

    assert indexed.scores == pytest.approx((await bank.query("subject7 text7", max_chunks=5)).scores, abs=1e-5)
    assert late == ["late"]
    assert "d007" not in many_found


async def test_without_faiss_search_stays_exact_and_the_log_says_what_to_install(
    opened: OpenAny, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(indexing, "is_faiss_installed", lambda: False)
    bank = await opened(vector(), faiss_above_chunks=2)

    with caplog.at_level(logging.WARNING):
        await bank.insert({f"d{number}": f"text {number}" for number in range(5)})
        await bank.insert({"late": "zebra"})

    assert await bank.ids("zebra", max_chunks=1) == ["late"]
    [said] = [record.getMessage() for record in caplog.records]
    assert said.endswith("pip install 'hitchpost-meta-reference[faiss]'")


def test_config_of_published_run_configs_is_accepted() -> None:
    config = FaissMemoryConfig.model_validate(
        {"kvstore": {"type": "sqlite", "db_path": "/tmp/faiss_store.db", "namespace": None}}
    )

    assert config.faiss_above_chunks == 10_000


# --- loop ---


async def test_event_loop_goes_on_while_much_is_inserted_and_asked(opened: OpenAny) -> None:
    bank = await opened(vector())
    loop = asyncio.get_running_loop()
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    beating = loop.create_task(beat())
    await asyncio.gather(
        *(bank.insert({f"d{number}-{part}": LONG for part in range(20)}) for number in range(3)),
        *(bank.ids("word1 word2", mode="hybrid") for _ in range(10)),
    )
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)

    assert beats > 100
    assert (await bank.count())[0] == 60


def test_pytorch_is_not_loaded() -> None:
    code = "import sys, hitchpost_meta_reference.memory.provider; print('torch' in sys.modules, 'numpy' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.split() == ["False", "True"]


def test_preset_is_the_provider_with_nothing_configured() -> None:
    [preset] = memory_presets()

    assert (preset.name, preset.provider_id, preset.config) == ("sqlite", "sqlite", {})
    assert preset.provider_type in [spec.provider_type for spec in provider_specs()]
    assert preset in presets()
