import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import FinishReason, TextDelta, TokenLogprob, ToolCall, ToolPromptFormat
from hitchpost.llama import encode_tool_calls
from tests.llama.json_values import argument_objects
from tests.llama.parsed_streams import BUILTIN_TOOLS, TOOLS, events_of, new_parser, parse, put_together, split

ALL_TOOLS = (*TOOLS, *BUILTIN_TOOLS)

FRAGMENTS = [
    "<|python_tag|>", "<function=f>", "<function=", "</function>", "<", ">", "{", "}", "[", "]", "(", ")", "f(", "[f(", "a=1",
    "a=", "b='x'", ",", ";", ":", "=", " ", "\n", '"', "'", '"""', "'''", "\\", "\\u00e9", '{"name": "f"', '{"name": "f", "parameters": ',
    '"name": "get_weather"', '"type": "function"', '"parameters": {', '"arguments": "{', "null", "1", "brave_search.call(", 'query="x")',
    "brave_search", "get_", "print(1)", "Hello", "\u00e9", "\U0001f600", "\ud800", "\x00", "<|eom_id|>",
]  # fmt: skip

answers = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=14).map("".join)
offers = st.sampled_from([(), TOOLS, BUILTIN_TOOLS, ALL_TOOLS])
reasons = st.sampled_from(FinishReason)


@given(answers, st.lists(st.integers(0, 80), max_size=8), offers, reasons)
def test_the_pieces_in_which_a_text_comes_never_change_the_result(
    text: str, cuts: list[int], tools: tuple[str, ...], reason: FinishReason
) -> None:
    parsed = put_together(events_of(split(text, cuts), tools, reason))

    assert parsed == parse(text, tools, reason)


@given(answers, offers)
def test_text_without_calls_is_neither_lost_nor_doubled(text: str, tools: tuple[str, ...]) -> None:
    parsed = put_together(events_of(text, tools))

    assert parsed.calls or parsed.text == text


@given(answers, offers)
def test_only_tools_that_were_offered_are_called(text: str, tools: tuple[str, ...]) -> None:
    assert {name for name, _ in parse(text, tools).calls} <= set(tools)


@given(st.text(), st.text())
def test_text_behind_prose_is_passed_on_at_once(begin: str, more: str) -> None:
    parser = new_parser(ALL_TOOLS)
    parser.feed("A " + begin.replace("<", "("))
    piece = more.replace("<", "(")

    events = parser.feed(piece)

    assert events == ([TextDelta(piece)] if piece else [])


@given(
    st.lists(st.tuples(st.sampled_from(TOOLS), argument_objects), min_size=1, max_size=3),
    st.sampled_from(ToolPromptFormat),
    st.booleans(),
)
def test_calls_survive_the_way_into_a_prompt_and_back(
    given_calls: list[tuple[str, dict[str, Any]]], tool_prompt_format: ToolPromptFormat, has_tag: bool
) -> None:
    calls = [ToolCall(call_id="", tool_name=name, arguments_json=arguments) for name, arguments in given_calls]

    parsed = parse("<|python_tag|>" * has_tag + encode_tool_calls(calls, tool_prompt_format), ALL_TOOLS)

    found = [
        (name, ToolCall(call_id="", tool_name=name, arguments_json=text).find_arguments())
        for name, text in parsed.calls
    ]
    assert (parsed.text, found) == ("", given_calls)


@given(
    st.sampled_from(["brave_search", "wolfram_alpha"]),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(ToolPromptFormat),
)
def test_searches_survive_the_way_into_a_prompt_and_back(
    name: str, query: str, tool_prompt_format: ToolPromptFormat
) -> None:
    call = ToolCall(call_id="call-0", tool_name=name, arguments_json={"query": query})

    parsed = parse("<|python_tag|>" + encode_tool_calls([call], tool_prompt_format), BUILTIN_TOOLS)

    assert [
        ToolCall(call_id="", tool_name=found, arguments_json=text).find_arguments() for found, text in parsed.calls
    ] == [{"query": query}]


@given(st.from_regex(r"[a-z]+ = [^<\ud800-\udfff]*", fullmatch=True), st.sampled_from(ToolPromptFormat))
def test_code_survives_the_way_into_a_prompt_and_back(code: str, tool_prompt_format: ToolPromptFormat) -> None:
    call = ToolCall(call_id="call-0", tool_name="code_interpreter", arguments_json={"code": code})

    parsed = parse("<|python_tag|>" + encode_tool_calls([call], tool_prompt_format), BUILTIN_TOOLS)

    assert [
        ToolCall(call_id="", tool_name=found, arguments_json=text).find_arguments() for found, text in parsed.calls
    ] == [{"code": code}]


@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=14))
def test_text_without_calls_keeps_each_log_probability_in_its_place(pieces: list[str]) -> None:
    parser = new_parser(TOOLS)
    sent = [TokenLogprob(piece, -float(index)) for index, piece in enumerate(pieces)]

    events = [event for token in sent for event in parser.feed(token.token, [token])] + parser.finish(FinishReason.stop)

    received = [token for event in events if isinstance(event, TextDelta) for token in event.logprobs or ()]
    assert put_together(events).calls or received == sent


HOSTILE = [
    "[", "{", '{"a":', '{"parameters":', '{"parameters":[', "<", "<function=", "<function=f>", "<function=f>{", '<function=f>{"a":[',
    "<|python_tag|>", "<|python_tag|>[", "[f(", "[f(a=", "[f(a=[", '[f(a="""', "[f(a='\\", "[f(a=1),", "f(", ";", ",", " ", "\\", '"',
    '{"name":"f"}', '{"name":"f","x":[', '{"name":"f",', '{"name":"f","parameters":"', '{"name":"f","parameters":{"a":', "brave_search.call(",
    'brave_search.call(query="x")', "brave_search", "<|python_tag|>brave_search.call(", "a<function=f>{}",
]  # fmt: skip


@pytest.mark.parametrize("fragment", HOSTILE)
def test_a_hundred_thousand_hostile_characters_are_parsed(fragment: str) -> None:
    text = fragment * (100_000 // len(fragment))

    parsed = parse(text, ALL_TOOLS)

    assert parsed.calls or parsed.text == text


@pytest.mark.parametrize("piece_chars", [1, 64, 100_000])
@pytest.mark.parametrize("fragment", HOSTILE)
def test_twice_the_text_is_twice_the_work(fragment: str, piece_chars: int) -> None:
    def feed_all(times: int) -> int:
        text = fragment * times
        pieces = [text[start : start + piece_chars] for start in range(0, len(text), piece_chars)]
        return calls_made_by(lambda: events_of(pieces, ALL_TOOLS))

    once, twice = feed_all(200), feed_all(400)

    assert twice <= 2.1 * once


def calls_made_by(function: Callable[[], object]) -> int:
    """How many functions are called or resumed on the way, those written in C included."""
    number = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal number
        number += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return number
