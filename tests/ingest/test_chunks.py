"""Texts are cut into chunks without a loss, within their bounds, and at good places."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.errors import BadRequestError
from hitchpost.ingest import TextChunk, count_tokens
from hitchpost.ingest.chunks import ChunkSettings, Cutting, chunks_of, cut
from hitchpost.ingest.documents import Heading, ParsedText

PIECES = st.sampled_from(
    [
        "word ",
        "Sentence. ",
        "\n\n",
        "\n",
        "# H",
        "    ",
        "émigré ",
        "人人生而自由。",
        "😀👩‍👩‍👧",
        "x" * 60,
        "שלום ",
        "1234567",
        "\u200f",
        "a\u0301",
        "()..,",
    ]
)
TEXTS = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=60).map("".join))
SIZES = st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


def settings_of(
    size: int | None, overlap: int = 0, max_chunks: int = 10_000, max_characters: int = 10**7
) -> ChunkSettings:
    return ChunkSettings(size, overlap, max_chunks, max_characters)


def chunks(parsed: ParsedText, size: int, overlap: int = 0) -> tuple[TextChunk, ...]:
    return chunks_of(parsed.text, cut(parsed, settings_of(size, overlap)).spans, parsed.headings)


@given(TEXTS, SIZES)
def test_nothing_but_white_space_is_left_out(text: str, sizes: tuple[int, int]) -> None:
    spans = cut(ParsedText(text), settings_of(*sizes)).spans

    covered = {place for span in spans for place in range(span.start, span.end)}
    assert not "".join(character for place, character in enumerate(text) if place not in covered).strip()


@given(TEXTS, st.integers(1, 40))
def test_without_overlap_the_chunks_are_the_text(text: str, size: int) -> None:
    joined = "".join(chunk.text for chunk in chunks(ParsedText(text), size))

    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", text)


@given(TEXTS, SIZES)
def test_chunks_hold_as_many_tokens_as_they_say_and_no_more_than_asked(text: str, sizes: tuple[int, int]) -> None:
    cutting = cut(ParsedText(text), settings_of(*sizes))

    assert all(1 <= span.token_count <= sizes[0] for span in cutting.spans)
    assert cutting.token_count == count_tokens(text)
    assert sum(span.token_count for span in cutting.spans) >= cutting.token_count


@given(TEXTS, SIZES)
def test_each_chunk_goes_on_further_than_the_one_before_and_shares_no_more_than_the_overlap(
    text: str, sizes: tuple[int, int]
) -> None:
    spans = cut(ParsedText(text), settings_of(*sizes)).spans

    assert all(first.start < second.start and first.end < second.end for first, second in pairwise(spans))
    assert all(
        count_tokens(text[second.start : first.end]) <= sizes[1]
        for first, second in pairwise(spans)
        if second.start < first.end
    )


@given(TEXTS)
def test_uncut_text_is_one_chunk_to_the_letter(text: str) -> None:
    cutting = cut(ParsedText(text), settings_of(None))

    assert [(span.start, span.end) for span in cutting.spans] == [(0, len(text))]
    assert cutting.token_count == count_tokens(text)


@pytest.mark.parametrize(
    ("text", "size", "first"),
    [
        ("One two. Three four five six seven", 6, "One two."),
        ("One two three\n\nfour five six seven", 6, "One two three"),
        ("One two three four five six", 4, "One two three four"),
        ("def one():\n    pass\n\ndef two():\n    pass\n", 7, "def one():\n    pass"),
        ("First, he said. «Yes!» Then he left and was gone", 8, "First, he said. «Yes!»"),
        ("天地玄黄。宇宙洪荒日月盈昃", 8, "天地玄黄。"),
    ],
    ids=["sentence", "paragraph", "word", "code", "quotes", "chinese"],
)
def test_text_is_cut_at_the_best_place_within_reach(text: str, size: int, first: str) -> None:
    assert chunks(ParsedText(text), size)[0].text == first


def test_heading_is_the_best_place_to_cut_at() -> None:
    parsed = ParsedText("One. Two.\n\nTitle\n\nThree. Four. Five.", (Heading(11, "Title"),))

    found = chunks(parsed, 7)

    assert [(chunk.text, chunk.heading) for chunk in found] == [
        ("One. Two.", None),
        ("Title\n\nThree. Four. Five.", "Title"),
    ]


def test_chunk_stands_under_the_heading_of_what_is_new_in_it() -> None:
    parsed = ParsedText("a b c d e f g h\n\nTitle\n\ni j k l", (Heading(17, "Title"),))

    found = chunks(parsed, 8, overlap=3)

    assert [chunk.heading for chunk in found] == [None, "Title"]
    assert found[1].text.startswith(("f g h", "g h", "h"))


def test_overlap_begins_with_a_sentence_where_it_can() -> None:
    text = "Alpha beta gamma delta. Epsilon zeta eta. Theta iota. Kappa lambda my ny."

    first, second, *_ = chunks(ParsedText(text), 12, overlap=6)

    assert first.text.endswith(second.text[: second.text.index(".") + 1])
    assert second.text[0].isupper()


def test_first_line_of_a_chunk_of_code_keeps_its_indentation() -> None:
    text = "class A:\n    x = 1\n\n    def f(self):\n        return 1\n"

    assert chunks(ParsedText(text), 10)[1].text.startswith("    def f")


def test_white_space_makes_no_chunk() -> None:
    assert cut(ParsedText(" \n\t "), settings_of(5)) == Cutting([], 0)


def test_more_chunks_than_allowed_are_refused() -> None:
    with pytest.raises(BadRequestError, match="more than 3 chunks of 2 tokens"):
        cut(ParsedText("word " * 100), settings_of(2, max_chunks=3))


def test_chunks_that_repeat_the_text_too_often_are_refused() -> None:
    with pytest.raises(BadRequestError, match="lower the overlap"):
        cut(ParsedText("word " * 1000), settings_of(500, 499, max_characters=20_000))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("hello world", 2),
        ("internationalization", 3),
        ("1234567", 3),
        ("a, b.", 4),
        ("........", 3),
        ("人人生", 3),
        ("😀😀", 2),
    ],
)
def test_tokens_are_pieces_of_words_numbers_and_punctuation(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens
