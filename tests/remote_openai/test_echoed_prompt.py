"""The prompt at the beginning of a text, whether or not a server repeats it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import Finish, FinishReason, TextDelta, TokenLogprob, Usage
from hitchpost_remote_openai.echoed_prompt import with_prompt

END = Finish(FinishReason.length)


def told(prompt: str, *pieces: str) -> list[object]:
    read = with_prompt(lambda event: [event], prompt)
    events = [*(TextDelta(piece, 0, [TokenLogprob(piece, -0.5)]) for piece in pieces), END, Usage(1, 2)]
    return [ours for event in events for ours in read(event)]


def text_of(events: list[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["one two", " three"], "one two three"),
        (["on", "e t", "wo", " three"], "one two three"),
        ([" three"], "one two three"),
        (["one", " three"], "one twoone three"),
        ([], "one two"),
        (["one"], "one twoone"),
    ],
    ids=["repeated", "repeated in pieces", "not repeated", "alike at first", "nothing said", "less than the prompt"],
)
def test_text_begins_with_the_prompt_once(pieces: list[str], text: str) -> None:
    events = told("one two", *pieces)

    assert text_of(events) == text
    assert events[-2:] == [END, Usage(1, 2)]


def test_every_token_is_told_once() -> None:
    events = told("ab", "a", "c", "d")

    assert [token.token for event in events if isinstance(event, TextDelta) for token in event.logprobs or ()] == [
        "a",
        "c",
        "d",
    ]


@given(st.text("ab", max_size=4), st.lists(st.text("ab", min_size=1, max_size=2), max_size=5), st.booleans())
def test_however_the_text_is_cut_nothing_is_lost(prompt: str, pieces: list[str], is_repeated: bool) -> None:
    said = "".join(pieces)
    sent = [*prompt, *pieces] if is_repeated else pieces

    text = text_of(told(prompt, *sent))

    assert text == prompt + said if is_repeated or not said.startswith(prompt) else text == said
