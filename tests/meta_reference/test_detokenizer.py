"""Tokens become whole characters: no broken one is ever shown, and no byte is lost."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost_meta_reference.engine.detokenizer import Detokenizer


def detokenizer(*tokens: bytes) -> Detokenizer:
    """One whose token n is the nth of `tokens`."""
    return Detokenizer(lambda token: tokens[token])


def test_character_that_lies_over_tokens_is_shown_when_it_is_whole() -> None:
    smile = "🙂".encode()
    text = detokenizer(b"a" + smile[:1], smile[1:3], smile[3:] + b"b")

    assert [text.push(0), text.push(1), text.push(2), text.finish()] == ["a", "", "🙂b", ""]


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        pytest.param([b"\xf0\x9f", b"a"], ["", "\ufffda"], id="a begun character that something else follows"),
        pytest.param([b"\x99"], ["\ufffd"], id="a byte that begins nothing"),
        pytest.param([b"\xff"], ["\ufffd"], id="a byte that UTF-8 doesn't have"),
    ],
)
def test_bytes_that_nothing_can_complete_become_the_replacement_character(
    tokens: list[bytes], shown: list[str]
) -> None:
    text = detokenizer(*tokens)

    assert [text.push(token) for token in range(len(tokens))] == shown


def test_begun_character_at_the_end_becomes_the_replacement_character() -> None:
    text = detokenizer(b"a\xe2\x82")

    assert [text.push(0), text.finish()] == ["a", "\ufffd"]


def test_token_without_text_breaks_no_character() -> None:
    text = detokenizer(b"\xc3", b"", b"\xbc")

    assert [text.push(0), text.push(1), text.push(2)] == ["", "", "ü"]


@given(data=st.binary(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=8))
def test_any_cut_of_any_bytes_gives_the_text_of_the_whole(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    tokens = [data[begin:end] for begin, end in itertools.pairwise(edges)]
    text = detokenizer(*tokens)

    shown = "".join(text.push(token) for token in range(len(tokens))) + text.finish()

    assert shown == data.decode("utf-8", "replace")
