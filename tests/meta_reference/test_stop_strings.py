"""Stop strings end an answer at the same place, whatever pieces its text comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost_meta_reference.engine.stop_strings import StopStrings


def search(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    """What is shown of a text that comes in pieces, and which stop string ended it."""
    matcher = StopStrings(stops).matcher()
    shown = "".join([*(matcher.push(piece) for piece in pieces), matcher.finish()])
    return shown, matcher.stop_text


def search_whole(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The definition: the match that ends first, of those the longest."""
    ends = [(text.find(stop) + len(stop), -len(stop), stop) for stop in stops if stop in text]
    if not ends:
        return text, None
    end, _, stop = min(ends)
    return text[: end - len(stop)], stop


@pytest.mark.parametrize(
    ("pieces", "stops", "shown", "stop_text"),
    [
        pytest.param(["one ", "END two"], ["END"], "one ", "END", id="within a piece"),
        pytest.param(["one E", "N", "D two"], ["END"], "one ", "END", id="over three pieces"),
        pytest.param(["EN", "EN", "D"], ["END"], "EN", "END", id="begun twice"),
        pytest.param(["a", "b", "c", "d"], ["abcd", "c"], "ab", "c", id="the one that ends first"),
        pytest.param(["a", "b"], ["b", "ab"], "", "ab", id="of two that end together the longer"),
        pytest.param(["END"], ["END"], "", "END", id="nothing but the stop"),
        pytest.param(["aab", "aab"], ["abaa"], "a", "abaa", id="a beginning inside of a beginning"),
    ],
)
def test_text_before_the_stop_string_is_all_that_is_shown(
    pieces: list[str], stops: list[str], shown: str, stop_text: str
) -> None:
    assert search(pieces, stops) == (shown, stop_text)


def test_text_that_may_begin_a_stop_string_is_held_back() -> None:
    matcher = StopStrings(["\n\nUser:"]).matcher()

    shown = [matcher.push("fine\n"), matcher.push("\n"), matcher.push("Us"), matcher.push("ing it")]

    assert shown == ["fine", "", "", "\n\nUsing it"]


def test_held_back_text_is_shown_when_the_answer_ends() -> None:
    matcher = StopStrings(["END"]).matcher()
    matcher.push("the EN")

    assert matcher.finish() == "EN"
    assert matcher.stop_text is None


def test_nothing_is_shown_after_the_stop_string() -> None:
    matcher = StopStrings(["END"]).matcher()
    matcher.push("a END b")

    assert [matcher.push("c"), matcher.finish()] == ["", ""]


def test_choices_of_a_request_are_searched_apart() -> None:
    stops = StopStrings(["ab"])
    first, second = stops.matcher(), stops.matcher()
    first.push("a")

    assert second.push("b") == "b"
    assert first.stop_text is None


@given(
    pieces=st.lists(st.text("ab", max_size=4), max_size=8),
    stops=st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=4),
)
def test_any_pieces_give_what_a_search_of_the_whole_text_gives(pieces: list[str], stops: list[str]) -> None:
    assert search(pieces, stops) == search_whole("".join(pieces), stops)


@given(text=st.text("ab", max_size=12), stops=st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=4))
def test_no_more_is_held_back_than_may_begin_a_stop_string(text: str, stops: list[str]) -> None:
    matcher = StopStrings(stops).matcher()
    shown = matcher.push(text)

    held = text[len(shown) :]
    may_begin = [text[at:] for at in range(len(text)) if any(stop.startswith(text[at:]) for stop in stops)]
    assert matcher.stop_text is not None or held == max(may_begin, key=len, default="")
