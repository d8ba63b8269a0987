"""The file of a bank: what is wrong with it is said, and it is left as it is; what was deleted is gone from its bytes."""

import random
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.errors import BackendUnavailableError
from hitchpost_meta_reference.memory.bank import Bank
from hitchpost_meta_reference.memory.bank_file import APPLICATION_ID, bank_path
from hitchpost_meta_reference.memory.records import NewDocument
from tests.meta_reference_memory.banks import DIMENSION, LIMITS, SAMPLE, ask, bytes_of, document, fill, open_bank


def closed_bank(folder: Path) -> Path:
    """The file of a bank that is not open."""
    bank = open_bank(folder)
    fill(bank, SAMPLE)
    bank.file.close()
    return bank.file.path


def overwrite(path: Path, start: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def of_a_newer_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def of_something_else(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    ("newer", of_a_newer_version, "format 99, and this version reads format 1"),
    ("other", of_something_else, "database of something else"),
    ("damaged", lambda path: overwrite(path, 8192 * 2, b"\xff" * 8192 * 3), "damaged"),
    ("no database", lambda path: path.write_bytes(b"no database at all" * 1000), "no SQLite database"),
    ("short", lambda path: path.write_bytes(b"too short"), "no SQLite database"),
]


@pytest.mark.parametrize(("spoil", "said"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_wrong_file_is_refused_with_what_to_do_and_left_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    path = closed_bank(tmp_path)
    spoil(path)
    before = path.read_bytes()

    with pytest.raises(BackendUnavailableError, match=said) as caught:
        open_bank(tmp_path)

    assert caught.value.is_permanent
    assert path.name in caught.value.message
    assert str(tmp_path) not in caught.value.message
    assert path.read_bytes() == before


def test_damage_that_shows_later_is_said_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = closed_bank(tmp_path)
    monkeypatch.setattr("hitchpost_meta_reference.memory.bank_file.MAX_CHECKED_BYTES", 0)
    bank = open_bank(tmp_path)
    overwrite(path, 8192 * 2, b"\xff" * (path.stat().st_size - 8192 * 2))

    with pytest.raises(BackendUnavailableError, match="damaged"):
        ask(bank, "Norway", "hybrid")

    bank.file.close()


def test_file_is_for_its_owner_only(tmp_path: Path) -> None:
    assert closed_bank(tmp_path / "folder").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700


def test_log_of_a_deleted_bank_is_not_played_into_the_next_of_its_name(tmp_path: Path) -> None:
    bank = open_bank(tmp_path)
    fill(bank, SAMPLE)
    log = bank.file.path.with_name(f"{bank.file.path.name}-wal")
    left_behind = log.read_bytes()
    bank.file.delete()
    log.write_bytes(left_behind)

    again = open_bank(tmp_path)

    assert ask(again, "Norway") == []
    again.file.close()


@given(st.lists(st.text(max_size=600), min_size=2, max_size=2, unique=True))
def test_any_name_has_a_file_of_its_own_below_the_folder(given_names: list[str]) -> None:
    first, second = (bank_path(Path("folder"), name) for name in given_names)

    assert first != second
    assert first.parent == Path("folder")
    assert first.name.isascii()
    assert len(first.name) < 100


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "\0", "CON", "é" * 512, "x" * 512, "-rf"])
def test_bank_of_a_strange_name_is_a_bank(tmp_path: Path, name: str) -> None:
    bank = open_bank(tmp_path / "below", name)
    fill(bank, {name or "empty": "Norway"})

    assert bank.header.name == name
    assert [found for found, _ in ask(bank, "Norway")] == [name or "empty"]
    assert [path.name for path in tmp_path.iterdir()] == ["below"]
    bank.file.close()


def scrub(bank: Bank) -> bool:
    goes_on = bank.merge_words(is_first=True)
    while goes_on:
        goes_on = bank.merge_words(is_first=False)
    return bank.finish_scrubbing()


def secret(number: int) -> NewDocument:
    """A document of which every part is known by its number."""
    word = f"sekret{number:05}"
    made = document(f"id-{word}", f"first {word}", f"{word} {'filler ' * (number % 7) * 300}", metadata={"about": word})
    made.vectors[:] = np.random.default_rng(number).standard_normal((2, DIMENSION))
    return made


def traces_of(bank: Bank, numbers: Iterable[int]) -> set[int]:
    """Of which numbers the text, words, id, metadata or a vector is in the bank's bytes."""
    content = bytes_of(bank)
    parts = {number: (f"sekret{number:05}".encode(), *map(bytes, secret(number).vectors)) for number in numbers}
    return {number for number in numbers if any(part in content for part in parts[number])}


def test_nothing_deleted_or_replaced_is_left_in_the_bytes(empty_bank: Bank) -> None:
    chance = random.Random(7)
    alive: set[int] = set()
    for number in range(150):
        empty_bank.insert([secret(number)], LIMITS)
        alive.add(number)
        if number % 3 == 0:
            gone = chance.sample(sorted(alive), min(2, len(alive)))
            empty_bank.delete([f"id-sekret{one:05}" for one in gone])
            alive -= set(gone)
    for number in sorted(alive)[::4]:
        empty_bank.insert([document(f"id-sekret{number:05}", "said no more")], LIMITS)
    replaced = sorted(alive)[::4]
    assert empty_bank.has_traces

    assert scrub(empty_bank)

    assert traces_of(empty_bank, range(150)) == alive
    content = bytes_of(empty_bank)
    assert not [number for number in replaced if f"first sekret{number:05}".encode() in content]
    assert not [number for number in replaced if bytes(secret(number).vectors[0]) in content]
    assert not empty_bank.has_traces


def test_traces_that_a_killed_host_left_are_known_to_the_next(tmp_path: Path, sample_bank: Bank) -> None:
    sample_bank.delete(["oslo"])

    again = open_bank(tmp_path)

    assert again.has_traces
    assert scrub(again)
    assert b"Norway" not in bytes_of(again)
    again.file.close()


def test_what_is_deleted_during_the_scrubbing_is_not_forgotten(sample_bank: Bank) -> None:
    sample_bank.delete(["oslo"])
    sample_bank.merge_words(is_first=True)
    sample_bank.delete(["python"])

    assert not sample_bank.finish_scrubbing()
    assert sample_bank.has_traces


def test_header_names_the_application(tmp_path: Path) -> None:
    assert closed_bank(tmp_path).read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")
