"""Stop strings that a server leaves in its text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import Finish, FinishReason, TextDelta, TokenLogprob, ToolCallStart, Usage
from hitchpost_remote_openai.stop_text import without_stops

END = Finish(FinishReason.length)


def cut(stops: list[str], *events: Any) -> list[Any]:
    read = without_stops(lambda event: [event], stops)
    return [ours for event in events for ours in read(event)]


def pieces(*texts: str, choice: int = 0) -> list[TextDelta]:
    return [TextDelta(text, choice, [TokenLogprob(text, -0.5)]) for text in texts]


def text_of(events: list[Any], choice: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.choice == choice)


def test_text_ends_before_a_stop_string_that_spans_pieces() -> None:
    events = cut(["over and"], *pieces("game ", "ov", "er a", "nd out"), END)

    assert text_of(events) == "game "
    assert events[-1] == Finish(FinishReason.stop, 0, "over and")


def test_beginning_of_a_stop_string_that_does_not_come_is_told() -> None:
    events = cut(["over and"], *pieces("game ", "over", " now", " ov"), END)

    assert text_of(events) == "game over now ov"
    assert events[-1] == END


@pytest.mark.parametrize(
    ("stops", "text", "left"), [(["c", "b"], "a b c", "a "), (["b", "ab"], "cab", "c"), (["cab", "a"], "cab", "c")]
)
def test_stop_string_that_ends_first_counts_and_then_the_longest(stops: list[str], text: str, left: str) -> None:
    assert text_of(cut(stops, *pieces(text), END)) == left


def test_tokens_go_with_the_text_that_they_begin_in() -> None:
    events = cut(["over"], *pieces("game ", "ov", "er", " x"), END)

    assert [token.token for event in events[:-1] for token in event.logprobs or ()] == ["game "]


def test_choices_end_each_by_themselves_and_nothing_else_is_touched() -> None:
    events = cut(
        ["x"], *pieces("a"), *pieces("b", choice=1), *pieces("x"), *pieces("c"), *pieces("c", choice=1),
        ToolCallStart(0, "id", "f", 1), Finish(FinishReason.tool_calls, 1), END, Usage(1, 2),
    )  # fmt: skip

    assert (text_of(events, 0), text_of(events, 1)) == ("a", "bc")
    assert [event for event in events if isinstance(event, Finish)] == [
        Finish(FinishReason.stop, 0, "x"),
        Finish(FinishReason.tool_calls, 1),
    ]
    assert events[-1] == Usage(1, 2)


def test_without_stop_strings_nothing_is_held() -> None:
    def read(chunk: Any) -> list[Any]:
        return [chunk]

    assert without_stops(read, []) is read


@pytest.mark.parametrize("has_tokens", [True, False])
@given(
    st.lists(st.text("ab", min_size=1, max_size=3), max_size=8),
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1),
)
def test_however_the_text_is_cut_it_ends_at_the_first_stop_string(
    has_tokens: bool, texts: list[str], stops: list[str]
) -> None:
    told = cut(stops, *(pieces(*texts) if has_tokens else [TextDelta(text) for text in texts]), END)

    whole = "".join(texts)
    ends = [(place + len(stop), place) for stop in stops if (place := whole.find(stop)) >= 0]
    at = min(ends)[1] if ends else None
    assert text_of(told) == whole[:at]
    assert told[-1].reason is (FinishReason.length if at is None else FinishReason.stop)
