"""How `inline::scripted` gets text from documents, cuts it, and compares words."""

import base64
from contextlib import suppress
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import URL
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.scripted.memory.documents import MAX_DOCUMENT_CHARACTERS, chunk_texts, document_text
from hitchpost.scripted.memory.words import stem, stems_of, words_of

# --- text ---


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain text", "plain text"),
        (["two", "parts"], "two parts"),
        ("see https://example.com for more", "see https://example.com for more"),
        ("data: a word and a colon", None),
        ("data:,a%20b", "a b"),
        ("DATA:text/plain;charset=utf-8,%C3%A9", "é"),
        ("data:text/markdown;base64," + base64.b64encode("# Titel é".encode()).decode(), "# Titel é"),
        ("data:text/plain;charset=iso-8859-1;base64," + base64.b64encode("é".encode("latin-1")).decode(), "é"),
        ("data:application/json,%7B%7D", "{}"),
        ("data:;base64,aGk%3D", "hi"),
        (URL(uri="data:text/plain,hi"), "hi"),
    ],
)
def test_content_and_data_urls_are_read_as_text(content: Any, text: str | None) -> None:
    if text is None:
        with pytest.raises(BadRequestError, match="comma"):
            document_text(content, "content")
    else:
        assert document_text(content, "content") == text


@pytest.mark.parametrize(
    "content",
    [
        "http://127.0.0.1/", "HTTPS://example.com/a.txt", "file:///etc/passwd", URL(uri="https://example.com"),
        "data:image/png;base64,iVBORw0KGgo=", "data:application/pdf,x",
    ],
)  # fmt: skip
def test_what_would_be_fetched_or_is_no_text_is_refused(content: Any) -> None:
    with pytest.raises(UnsupportedError) as refused:
        document_text(content, "documents.0.content")

    assert refused.value.param == "documents.0.content"


@pytest.mark.parametrize(
    "content",
    [
        "data:text/plain", "data:text/plain;base64,%%%", "data:;base64,abc", "data:,%FF", "data:;charset=idna,x", "data:;charset=rot13,x",
        "data:;charset=unknown,x", "data:," + "x" * (MAX_DOCUMENT_CHARACTERS + 1), "x" * (MAX_DOCUMENT_CHARACTERS + 1),
    ],
    ids=lambda content: content[:30],
)  # fmt: skip
def test_what_cannot_be_decoded_or_is_too_long_is_refused(content: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        document_text(content, "documents.0.content")

    assert len(refused.value.message) < 300


@given(st.text(), st.sampled_from(["utf-8", "utf-16"]), st.booleans())
def test_every_text_survives_a_data_url(text: str, charset: str, is_base64: bool) -> None:
    payload = text.encode(charset)
    written = ";base64," + base64.b64encode(payload).decode() if is_base64 else "," + quote(payload, safe="")

    assert document_text(f"data:text/plain;charset={charset}{written}", "content") == text


@given(st.text(alphabet="data:;,=%base64 charset/textplutf-8\n\x00é"))
def test_any_data_url_is_read_or_refused_by_our_own_errors(rest: str) -> None:
    with suppress(BadRequestError, UnsupportedError):
        assert isinstance(document_text("data:" + rest, "content"), str)


# --- chunks ---

SIZES = st.integers(1, 20).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


@given(st.text(alphabet="ab \n\té", max_size=200), SIZES)
def test_chunks_hold_every_word_in_its_order_and_share_just_the_overlap(text: str, sizes: tuple[int, int]) -> None:
    size, overlap = sizes

    chunks = list(chunk_texts(text, size, overlap))

    words = [chunk.split() for chunk, _ in chunks]
    assert [len(held) for held in words] == [count for _, count in chunks]
    assert all(len(held) == size for held in words[:-1])
    assert all(left[len(left) - overlap :] == right[:overlap] for left, right in pairwise(words))
    assert [word for number, held in enumerate(words) for word in held[overlap if number else 0 :]] == text.split()


@given(st.text(alphabet="ab \n", max_size=200))
def test_a_chunk_is_a_piece_of_the_text_as_it_was_written(text: str) -> None:
    assert all(chunk in text for chunk, _ in chunk_texts(text, 3, 1))


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_text_without_words_has_no_chunks(text: str) -> None:
    assert list(chunk_texts(text, 4, 1)) == []


# --- words ---


@pytest.mark.parametrize(
    "family",
    [
        ("compute", "computer", "computers", "computing", "computed"),
        ("program", "programs", "programming"),
        ("language", "languages"),
        ("inspire", "inspires", "inspired"),
        ("class", "classes"),
        ("call", "calls", "calling"),
    ],
)
def test_forms_of_a_word_have_one_stem(family: tuple[str, ...]) -> None:
    assert len({stem(word) for word in family}) == 1


@pytest.mark.parametrize("word", ["ring", "red", "is", "bee", "os"])
def test_short_words_stay_as_they_are(word: str) -> None:
    assert stem(word) == word


def test_little_words_and_case_do_not_count() -> None:
    assert words_of("The Cat and the HAT") == {"cat", "hat"}


@given(st.text())
def test_stems_are_those_of_the_words(text: str) -> None:
    assert stems_of(text) == {stem(word) for word in words_of(text)}
