"""Ollama's answers into events."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import (
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    TopLogprob,
    Usage,
)
from hitchpost.errors import BadBackendAnswerError
from hitchpost.plugin.collect import chat_of
from hitchpost_remote_ollama.events import ChatEvents, completion_events
from hitchpost_remote_ollama.wire import ChatAnswer, GenerateAnswer


def chat_events(*lines: dict[str, Any], only_one_call: bool = False) -> list[Any]:
    """The events of a conversation's answer, of which only `message` and what differs is written."""
    translation = ChatEvents(only_one_call=only_one_call)
    answers = [ChatAnswer.model_validate_json(json.dumps({"message": {"role": "assistant"}, **line})) for line in lines]
    return [event for answer in answers for event in translation.translate(answer)]


def said(content: str = "", **more: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **more}, "done": False}


def called(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"function": {"index": 0, "name": name, "arguments": arguments}, **more}


DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 2, "total_duration": 812345678}


def test_text_usage_and_end_are_told_in_this_order() -> None:
    assert chat_events(said("Hi"), said(" there"), {**said(), **DONE}) == [
        TextDelta("Hi"),
        TextDelta(" there"),
        Usage(11, 2),
        Finish(FinishReason.stop),
    ]


def test_text_of_the_last_line_is_not_lost() -> None:
    assert chat_events({**said("bye"), **DONE})[0] == TextDelta("bye")


def test_thoughts_are_reasoning() -> None:
    assert chat_events(said(thinking="Hm."), said("Hi"))[:2] == [ReasoningDelta("Hm."), TextDelta("Hi")]


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        ({"done": True, "done_reason": "stop"}, FinishReason.stop),
        ({"done": True, "done_reason": "length"}, FinishReason.length),
        ({"done": True}, FinishReason.stop),
    ],
)
def test_reason_of_the_end_is_translated(done: dict[str, Any], reason: FinishReason) -> None:
    assert chat_events({**said("Hi"), **done})[-1] == Finish(reason)


def test_counts_that_are_left_out_are_zero() -> None:
    assert Usage(0, 0) in chat_events({**said(), "done": True})


@pytest.mark.parametrize("reason", ["load", "unload", "tomorrow"])
def test_end_for_a_reason_that_is_none_is_an_error(reason: str) -> None:
    with pytest.raises(BadBackendAnswerError, match=reason):
        chat_events({**said(), "done": True, "done_reason": reason})


@pytest.mark.parametrize("is_in_last_line", [False, True])
def test_calls_are_found_in_a_middle_line_and_in_the_last(is_in_last_line: bool) -> None:
    call = said(tool_calls=[called("lunge", {"pace": "trot"}, id="call_1")])

    events = chat_events({**call, **DONE}) if is_in_last_line else chat_events(call, {**said(), **DONE})

    assert events[:2] == [ToolCallStart(0, "call_1", "lunge"), ToolCallDelta(0, '{"pace":"trot"}')]
    assert events[-1] == Finish(FinishReason.tool_calls)


def test_calls_of_several_lines_are_counted_through_and_have_ids_of_their_own() -> None:
    first = said(tool_calls=[called("a", {}), called("b", {}, id="same")])

    events = chat_events(first, said(tool_calls=[called("c", {}, id="same")]), {**said(), **DONE})

    starts = [event for event in events if isinstance(event, ToolCallStart)]
    assert [(start.index, start.name) for start in starts] == [(0, "a"), (1, "b"), (2, "c")]
    assert len({start.call_id for start in starts} - {""}) == 3


def test_second_call_is_left_out_where_only_one_is_wanted() -> None:
    calls = said(tool_calls=[called("a", {}), called("b", {})])

    events = chat_events(calls, {**said(), **DONE}, only_one_call=True)

    assert [event.name for event in events if isinstance(event, ToolCallStart)] == ["a"]


def test_call_that_was_cut_off_still_ends_for_its_length() -> None:
    events = chat_events(said(tool_calls=[called("a", {})]), {**said(), "done": True, "done_reason": "length"})

    assert events[-1] == Finish(FinishReason.length)


def test_log_probabilities_come_with_their_text() -> None:
    alternatives = [{"token": "Hi", "logprob": -0.1}, {"token": "Yo", "logprob": -3.0, "bytes": [89, 111]}]
    line = {**said("Hi"), "logprobs": [{"token": "Hi", "logprob": -0.1, "top_logprobs": alternatives}]}

    [event] = chat_events(line)

    tops = [TopLogprob("Hi", -0.1), TopLogprob("Yo", -3.0, [89, 111])]
    assert event == TextDelta("Hi", logprobs=[TokenLogprob("Hi", -0.1, None, tops)])


def test_log_probabilities_of_bytes_that_are_held_back_come_with_no_text() -> None:
    [event] = chat_events({**said(), "logprobs": [{"token": "\ufffd", "logprob": -0.5, "bytes": [240]}]})

    assert event == TextDelta("", logprobs=[TokenLogprob("\ufffd", -0.5, [240])])


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda below: st.dictionaries(st.text(), below))
)
def test_arguments_of_a_call_arrive_as_they_are(value: Any) -> None:
    arguments = {"given": value}

    answer = chat_of(chat_events(said(tool_calls=[called("a", arguments)]), {**said(), **DONE}), 1)

    assert answer.choices[0].tool_calls[0].find_arguments() == arguments


@given(st.lists(st.text()), st.lists(st.text(min_size=1)))
def test_whole_answer_says_what_its_stream_says(texts: list[str], thoughts: list[str]) -> None:
    lines = [said(thinking=thought) for thought in thoughts] + [said(text) for text in texts]
    whole = said("".join(texts), thinking="".join(thoughts))

    streamed = chat_of(chat_events(*lines, {**said(), **DONE}), 1)

    assert chat_of(chat_events({**whole, **DONE}), 1) == streamed


def test_completion_is_text_usage_and_end() -> None:
    lines = [{"response": "Once"}, {"response": " upon", **DONE}]

    events = [event for line in lines for event in completion_events(GenerateAnswer.model_validate(line))]

    assert events == [TextDelta("Once"), TextDelta(" upon"), Usage(11, 2), Finish(FinishReason.stop)]
