"""Texts for patterns, compared with Python's own regular expressions."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hitchpost.scripted.pattern_text import PatternTooHardError, text_of_pattern

ESCAPES = st.sampled_from([r"\d", r"\w", r"\s", r"\S", r"\D", r"\W", r"\.", r"\\"])
ATOMS = ESCAPES | st.sampled_from(["a", "-", "é", " ", ".", "[a-z]", "[0-9_]", r"[\d.]", r"[\]x]", "[-+]"])
COUNTS = st.sampled_from(["", "", "*", "+", "?", "{3}", "{2,}", "{0,4}", "+?"])


@example([r"\\"], True, 0)
@given(st.lists(st.tuples(ATOMS, COUNTS).map("".join), max_size=6), st.booleans(), st.integers(0, 12))
def test_text_matches_its_pattern(parts: list[str], is_anchored: bool, min_length: int) -> None:
    pattern = f"^{''.join(parts)}$" if is_anchored else "".join(parts)

    text = text_of_pattern(pattern, min_length)

    assert re.search(pattern, text) is not None


@pytest.mark.parametrize(
    "pattern", ["(a)", "a|b", "[^a]", "a**", "(?=a)", r"\1", r"\b", "[a", "a{3", "a{500}{9}", "^^a"]
)
def test_pattern_that_is_not_simple_is_refused(pattern: str) -> None:
    with pytest.raises(PatternTooHardError):
        text_of_pattern(pattern)


@given(st.text(max_size=30))
def test_any_text_gives_a_match_or_a_refusal(pattern: str) -> None:
    try:
        text = text_of_pattern(pattern)
    except PatternTooHardError:
        return

    assert len(text) <= 1_000
