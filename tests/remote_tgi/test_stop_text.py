"""Stop strings in text that comes in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import TokenLogprob
from hitchpost_remote_tgi.stop_text import StopText

LETTERS = st.text("ab", max_size=6)


def cut(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The text before the first stop string, and that; of several at one place the longest."""
    hits = [(text.find(stop), -len(stop), stop) for stop in stops if stop in text]
    return (text[: min(hits)[0]], min(hits)[2]) if hits else (text, None)


@given(st.lists(LETTERS, max_size=8), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_text_ends_before_the_stop_string_however_it_is_cut(pieces: list[str], stops: list[str]) -> None:
    stop_text, said, tokens = StopText(stops), "", []
    for piece in pieces:
        text, logprobs = stop_text.feed(piece, [TokenLogprob(piece, -1.0)])
        said += text
        tokens += logprobs
        if stop_text.found is not None:
            break
    else:
        text, logprobs = stop_text.rest()
        said += text
        tokens += logprobs

    fed = "".join(pieces)
    first = next((at for at in range(len(pieces) + 1) if cut("".join(pieces[:at]), stops)[1]), len(pieces))
    expected, found = cut("".join(pieces[:first]), stops) if first < len(pieces) else cut(fed, stops)
    assert (said, stop_text.found) == (expected, found)
    assert "".join(token.token for token in tokens).startswith(said)


def test_without_a_stop_string_nothing_is_held_back() -> None:
    assert StopText([]).feed("any") == ("any", [])


@pytest.mark.parametrize("pieces", [["Hello. STOP here"], ["Hello. S", "TOP here"], ["Hello. ", "ST", "OP"]])
def test_stop_string_is_not_part_of_the_text(pieces: list[str]) -> None:
    stop_text = StopText(["STOP"])

    said = "".join(stop_text.feed(piece)[0] for piece in pieces)

    assert (said, stop_text.found) == ("Hello. ", "STOP")


def test_what_might_have_become_a_stop_string_is_given_at_the_end() -> None:
    stop_text = StopText(["STOP"])

    assert stop_text.feed("no ST")[0] == "no "
    assert stop_text.rest()[0] == "ST"
