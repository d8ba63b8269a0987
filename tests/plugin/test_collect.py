from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import (
    ChatChoice,
    ChatCompletionResponse,
    Finish,
    FinishReason,
    InferenceEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from hitchpost.errors import BadBackendAnswerError
from hitchpost.plugin import collect_chat, collect_completion

STOP = Finish(FinishReason.stop)


async def play(events: Sequence[Any]) -> AsyncIterator[Any]:
    for event in events:
        yield event


async def chat(*events: InferenceEvent, n: int = 1) -> ChatCompletionResponse:
    return await collect_chat(play(events), n)


async def only(*events: InferenceEvent) -> ChatChoice:
    [choice] = (await chat(*events)).choices
    return choice


async def test_pieces_of_each_kind_are_joined_by_themselves() -> None:
    choice = await only(
        ReasoningDelta("think"),
        TextDelta("a"),
        RefusalDelta("no"),
        TextDelta(""),
        ReasoningDelta("ing"),
        TextDelta("b"),
        STOP,
    )

    assert (choice.text, choice.reasoning, choice.refusal) == ("ab", "thinking", "no")
    assert choice.finish_reason is FinishReason.stop


async def test_choices_that_come_interleaved_are_told_apart_and_ordered() -> None:
    answer = await chat(
        TextDelta("b", 1),
        TextDelta("a", 0),
        Finish(FinishReason.length, 1),
        TextDelta("a", 0),
        Finish(FinishReason.stop, 0, "end"),
        n=2,
    )

    assert [(choice.index, choice.text, choice.finish_reason, choice.stop_text) for choice in answer.choices] == [
        (0, "aa", FinishReason.stop, "end"),
        (1, "b", FinishReason.length, None),
    ]


async def test_calls_keep_their_arguments_word_for_word_in_the_order_of_their_index() -> None:
    choice = await only(
        ToolCallStart(1, "id1", "second"),
        ToolCallStart(0, "id0", "first"),
        ToolCallDelta(0, '{"a" :'),
        ToolCallDelta(1, "{not json"),
        ToolCallDelta(0, " 1}"),
        Finish(FinishReason.tool_calls),
    )

    assert [(call.call_id, call.tool_name, call.arguments_json) for call in choice.tool_calls] == [
        ("id0", "first", '{"a" : 1}'),
        ("id1", "second", "{not json"),
    ]


async def test_call_without_any_argument_text_is_an_empty_object() -> None:
    choice = await only(ToolCallStart(0, "id", "f"), Finish(FinishReason.tool_calls))

    assert choice.tool_calls[0].arguments_json == "{}"


@pytest.mark.parametrize(
    ("said", "collected"),
    [
        (FinishReason.stop, FinishReason.tool_calls),
        *((reason, reason) for reason in FinishReason if reason is not FinishReason.stop),
    ],
)
async def test_answer_with_calls_that_only_says_stop_ended_for_the_calls(
    said: FinishReason, collected: FinishReason
) -> None:
    assert (await only(ToolCallStart(0, "id", "f"), Finish(said))).finish_reason is collected


async def test_log_probabilities_are_joined_and_none_without_any() -> None:
    first, second = TokenLogprob("a", -0.1), TokenLogprob("b", -0.2)

    assert (await only(TextDelta("a", logprobs=[first]), TextDelta("b", logprobs=[second]), STOP)).logprobs == [
        first,
        second,
    ]
    assert (await only(TextDelta("a"), STOP)).logprobs is None
    assert (await only(TextDelta("", logprobs=[]), STOP)).logprobs == []


async def test_collecting_leaves_the_events_as_they_were() -> None:
    event = TextDelta("a", logprobs=[TokenLogprob("a", -0.1)])

    await only(event, TextDelta("b", logprobs=[TokenLogprob("b", -0.2)]), STOP)

    assert event.logprobs == [TokenLogprob("a", -0.1)]


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_usage_may_come_anywhere(position: int) -> None:
    events: list[InferenceEvent] = [TextDelta("a"), STOP]
    events.insert(position, Usage(3, 1))

    assert (await chat(*events)).usage == Usage(3, 1)


async def test_extra_fields_of_all_events_are_collected() -> None:
    answer = await chat(
        TextDelta("a", extra={"x": 1}), Usage(1, 1, extra={"y": 2}), Finish(FinishReason.stop, extra={"x": 3})
    )

    assert answer.extra == {"x": 3, "y": 2}
    assert (await chat(STOP)).extra is None


@pytest.mark.parametrize(
    ("events", "n", "which"),
    [
        ([], 1, "the answer broke off"),
        ([TextDelta("a")], 1, "the answer broke off"),
        ([TextDelta("a"), Usage(1, 1)], 1, "the answer broke off"),
        ([STOP], 3, "the answer of choice 1, 2 broke off"),
        ([STOP, TextDelta("b", 1)], 1, "the answer of choice 1 broke off"),
    ],
)
@pytest.mark.parametrize("collect", [collect_chat, collect_completion])
async def test_answer_without_the_end_of_every_choice_has_failed(
    events: list[Any], n: int, which: str, collect: Any
) -> None:
    with pytest.raises(BadBackendAnswerError, match=which):
        await collect(play(events), n)


async def test_completion_has_text_reason_and_usage() -> None:
    answer = await collect_completion(
        play([TextDelta("a"), TextDelta("b"), Usage(1, 2), Finish(FinishReason.length, stop_text=None)]), 1
    )

    [choice] = answer.choices
    assert (choice.text, choice.finish_reason, answer.usage) == ("ab", FinishReason.length, Usage(1, 2))


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["text", "reasoning", "call"]), st.text(max_size=5)), max_size=30
    )
)
async def test_whole_answer_holds_exactly_what_the_stream_said(pieces: list[tuple[int, str, str]]) -> None:
    events: list[InferenceEvent] = []
    for choice, kind, text in pieces:
        made = {
            "text": TextDelta(text, choice),
            "reasoning": ReasoningDelta(text, choice),
            "call": ToolCallDelta(0, text, choice),
        }
        events.append(made[kind])  # type: ignore[arg-type]
    starts = [ToolCallStart(0, "id", "f", choice) for choice in range(3)]
    ends = [Finish(FinishReason.length, choice) for choice in range(3)]

    answer = await chat(*starts, *events, *ends, n=3)

    def said(choice: int, kind: str) -> str:
        return "".join(text for at, what, text in pieces if (at, what) == (choice, kind))

    for choice in answer.choices:
        assert choice.text == said(choice.index, "text")
        assert choice.reasoning == said(choice.index, "reasoning")
        assert choice.tool_calls[0].arguments_json == (said(choice.index, "call") or "{}")
