"""What is registered, what is refused, and what becomes of a bank whose registrations end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import AnyMemoryBank, GraphMemoryBank
from hitchpost.errors import (
    BackendUnavailableError,
    BadRequestError,
    ConflictError,
    HitchpostError,
    NotFoundError,
    UnsupportedError,
)
from tests.meta_reference_memory.conftest import OpenAny, Start
from tests.meta_reference_memory.providers import (
    CONTEXT,
    WordModels,
    bank_files,
    content_of,
    keyvalue,
    keyword,
    made,
    vector,
)

DOWN = BackendUnavailableError("the engine is starting")


@pytest.mark.parametrize(
    ("resource", "error", "said"),
    [
        (vector(embedding_model="nobody"), BadRequestError, "unknown"),
        (vector(chunk_size_in_tokens=10, overlap_size_in_tokens=10), BadRequestError, "must be less than"),
        (
            GraphMemoryBank(identifier="b", provider_resource_id="b"),
            UnsupportedError,
            "register one of the types vector",
        ),
    ],
    ids=["model", "overlap", "graph"],
)
async def test_what_can_not_be_is_refused_and_leaves_nothing_behind(
    start: Start, tmp_path: Path, resource: AnyMemoryBank, error: type[HitchpostError], said: str
) -> None:
    provider = await start()

    with pytest.raises(error, match=said):
        await provider.register_memory_bank(resource, CONTEXT)

    assert bank_files(tmp_path) == []


async def test_vector_bank_needs_a_model_but_a_keyword_bank_does_not(tmp_path: Path) -> None:
    provider = made(tmp_path, None)  # type: ignore[arg-type]
    await provider.start()

    await provider.register_memory_bank(keyword(), CONTEXT)
    with pytest.raises(BadRequestError, match="no inference provider"):
        await provider.register_memory_bank(vector("v"), CONTEXT)

    await provider.stop()


@pytest.mark.parametrize(
    ("again", "said"),
    [
        (keyword(), "is there already, as a vector bank"),
        (vector(embedding_model="others"), "of the model 'words', and those of 'others'"),
        (vector(), "have 64 numbers, and those of 'words' now have 32"),
    ],
    ids=["type", "model", "dimension"],
)
async def test_bank_that_is_there_as_another_is_refused_with_what_to_do(
    opened: OpenAny, models: WordModels, again: AnyMemoryBank, said: str
) -> None:
    bank = await opened(vector())
    await bank.insert({"a": "alpha"})
    models.dimensions |= {"others": 64} if getattr(again, "embedding_model", "") == "others" else {"words": 32}

    with pytest.raises(ConflictError, match=said) as caught:
        await bank.provider.register_memory_bank(again, None)

    assert "another provider_memory_bank_id" in caught.value.message
    assert await bank.count() == (1, 1)


async def test_known_bank_is_announced_again_while_its_model_can_not_be_asked(
    opened: OpenAny, start: Start, models: WordModels
) -> None:
    first = await opened(vector())
    await first.insert({"a": "alpha"})
    await first.provider.stop()
    models.error = DOWN
    provider = await start()

    await provider.register_memory_bank(vector(), None)
    with pytest.raises(BackendUnavailableError):
        await provider.register_memory_bank(vector("new"), None)

    models.error = None
    assert await (await opened(vector(), provider)).ids("alpha") == ["a"]


async def test_bank_goes_with_its_last_registration(opened: OpenAny, tmp_path: Path) -> None:
    bank = await opened(vector(identifier="one"))
    await bank.provider.register_memory_bank(vector(identifier="two"), CONTEXT)
    await bank.insert({"a": "alpha"})

    await bank.provider.unregister_memory_bank(vector(identifier="one"), CONTEXT)
    assert await bank.ids("alpha") == ["a"]
    await bank.provider.unregister_memory_bank(vector(identifier="two"), None)

    assert bank_files(tmp_path) == []
    with pytest.raises(NotFoundError, match="register it again"):
        await bank.query("alpha")


async def test_end_that_is_told_before_the_others_are_announced_takes_nothing_from_them(
    opened: OpenAny, start: Start
) -> None:
    first = await opened(keyvalue(identifier="ended"))
    await first.provider.register_memory_bank(keyvalue(identifier="kept"), CONTEXT)
    await first.insert({"a": "alpha"})
    await first.provider.stop()
    provider = await start()

    await provider.unregister_memory_bank(keyvalue(identifier="ended"), None)

    assert await (await opened(keyvalue(identifier="kept"), provider)).ids("a") == ["a"]


async def test_end_of_what_is_not_there_is_no_error(start: Start) -> None:
    provider = await start()

    await provider.unregister_memory_bank(vector("never"), None)
    await provider.unregister_memory_bank(vector("never"), CONTEXT)


async def test_bank_registered_anew_is_empty(opened: OpenAny) -> None:
    bank = await opened(vector())
    await bank.insert({"a": "alpha"})
    await bank.provider.unregister_memory_bank(bank.resource, CONTEXT)

    await bank.provider.register_memory_bank(bank.resource, CONTEXT)

    assert await bank.count() == (0, 0)
    assert await bank.ids("alpha") == []


async def test_banks_registered_and_ended_side_by_side_end_as_the_last_call_says(
    opened: OpenAny, tmp_path: Path
) -> None:
    bank = await opened(keyword("busy"))
    provider, resource = bank.provider, bank.resource

    async def ask() -> None:
        for _ in range(10):
            try:
                await bank.insert({"a": "alpha"})
                await bank.ids("alpha")
            except NotFoundError:
                await asyncio.sleep(0)

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    for _ in range(10):
        await provider.unregister_memory_bank(resource, CONTEXT)
        await provider.register_memory_bank(resource, CONTEXT)
    await asyncio.gather(*asking)
    await provider.unregister_memory_bank(resource, CONTEXT)

    assert bank_files(tmp_path) == []


async def test_bank_that_ends_during_an_insertion_takes_no_more_of_it(opened: OpenAny, tmp_path: Path) -> None:
    bank = await opened(keyword())
    inserting = asyncio.create_task(bank.insert({f"d{number:05}": "text" for number in range(2000)}))
    while not (await bank.count())[0]:
        await asyncio.sleep(0.001)

    await bank.provider.unregister_memory_bank(bank.resource, CONTEXT)
    reports = await inserting

    assert reports[0].error is None
    assert "not inserted: there is no memory bank 'b' any more" in (reports[-1].error or "")
    assert bank_files(tmp_path) == []


async def test_damaged_bank_is_refused_while_the_others_serve_and_is_never_thrown_away(
    opened: OpenAny, start: Start, tmp_path: Path
) -> None:
    first = await opened(keyword("broken"))
    await (await opened(keyword("sound"), first.provider)).insert({"a": "alpha"})
    await first.provider.stop()
    [path] = (tmp_path / "banks").glob("broken-*.sqlite")
    path.write_bytes(b"not a database " * 2000)
    before = path.read_bytes()
    provider = await start()

    with pytest.raises(BackendUnavailableError, match="'broken' can't be served: its file is no SQLite database"):
        await provider.register_memory_bank(keyword("broken"), None)
    await provider.unregister_memory_bank(keyword("broken"), None)

    assert await (await opened(keyword("sound"), provider)).ids("alpha") == ["a"]
    assert path.read_bytes() == before


async def test_folder_has_one_provider_at_a_time(start: Start, tmp_path: Path, models: WordModels) -> None:
    await start()
    second = made(tmp_path, models)

    with pytest.raises(BackendUnavailableError, match="another process"):
        await second.start()

    await second.stop()


async def test_more_banks_than_are_kept_open_all_serve(opened: OpenAny) -> None:
    first = await opened(vector("bank-0"), max_open_banks=2)
    banks = [first, *[await opened(vector(f"bank-{number}"), first.provider) for number in range(1, 8)]]
    await asyncio.gather(*(bank.insert({bank.resource.identifier: "alpha"}) for bank in banks))

    found = await asyncio.gather(*(bank.ids("alpha") for bank in banks for _ in range(3)))

    assert found == [[bank.resource.identifier] for bank in banks for _ in range(3)]
    assert figures(first.provider)["open_banks"] <= 2


async def test_vectors_beyond_the_limit_leave_memory_and_come_back(opened: OpenAny) -> None:
    first = await opened(vector("one"), max_vectors_mib=1)
    second = await opened(vector("two"), first.provider)
    many = {f"d{number:04}": f"text {number}" for number in range(2500)}
    for bank in (first, second):
        await bank.insert(many)
        await bank.ids("text 7")

    assert figures(first.provider)["vectors_bytes"] <= 2 * 2**20
    assert (await first.query("text 7", max_chunks=1)).scores == [pytest.approx(1)]
    assert (await second.query("text 7", max_chunks=1)).scores == [pytest.approx(1)]


async def test_started_twice_and_stopped_twice_is_once(start: Start) -> None:
    provider = await start()
    await provider.start()
    await provider.health()

    await provider.stop()
    await provider.stop()

    with pytest.raises(BackendUnavailableError):
        await provider.register_memory_bank(keyword(), CONTEXT)


async def test_folder_that_is_gone_shows_in_the_health(start: Start, tmp_path: Path) -> None:
    provider = await start()
    (tmp_path / "banks").rename(tmp_path / "elsewhere")

    with pytest.raises(BackendUnavailableError, match="can't be written"):
        await provider.health()


async def test_nothing_of_an_ended_bank_is_in_the_folder(opened: OpenAny, tmp_path: Path) -> None:
    bank = await opened(vector("kept"))
    ended = await opened(vector("ended"), bank.provider)
    await ended.insert({"a": "sekret text"})
    await bank.insert({"a": "other text"})

    await bank.provider.unregister_memory_bank(ended.resource, CONTEXT)

    assert b"sekret" not in content_of(tmp_path)
    assert b"other text" in content_of(tmp_path)


def figures(provider: Any) -> dict[str, float]:
    return {metric.name: metric.value for metric in provider.metrics()}
