"""Requests and events between the API and the engine: every field arrives, and tool calls come out of text."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionMessage,
    Finish,
    FinishReason,
    InferenceEvent,
    LogProbConfig,
    Message,
    SamplingParams,
    StopReason,
    SystemMessage,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolDefinition,
    ToolParamDefinition,
    ToolResponseMessage,
    Usage,
    UserMessage,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.llama import BEGIN_OF_TEXT, PYTHON_TAG, START_HEADER, LlamaFamily
from hitchpost_meta_reference.engine.protocol import (
    Done,
    End,
    ModelFacts,
    Sampling,
    SegmentsPrompt,
    TemplatePrompt,
    Text,
)
from hitchpost_meta_reference.inference.prompt_style import PromptStyle, prompt_style
from hitchpost_meta_reference.inference.translate import ChatEvents, chat_submit, sampling, template_messages

TODAY = date(2024, 11, 20)
TEMPLATE = PromptStyle(family=None, has_template=True, template_knows_tools=True)
LLAMA31 = PromptStyle(family=LlamaFamily.llama3_1, has_template=True, template_knows_tools=True)
LLAMA31_META = PromptStyle(family=LlamaFamily.llama3_1, has_template=False, template_knows_tools=False)
WEATHER = ToolDefinition(
    tool_name="weather", description="Of a city", parameters={"city": ToolParamDefinition(param_type="string")}
)


def request(*messages: Message, **fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest(model_id="m", messages=list(messages) or [UserMessage(content="hi")], **fields)


def test_conversation_becomes_what_templates_read() -> None:
    call = ToolCall(call_id="c1", tool_name="weather", arguments_json='{"city": "Rome"}')
    messages = [
        SystemMessage(content="Be brief."),
        UserMessage(content=["What", "now?"], context="It is noon."),
        CompletionMessage(content="", stop_reason=StopReason.end_of_turn, tool_calls=[call]),
        ToolResponseMessage(call_id="c1", tool_name="weather", content="sunny"),
    ]

    assert template_messages(messages) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What now?\n\nIt is noon."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}
            ],
        },
        {"role": "tool", "name": "weather", "tool_call_id": "c1", "content": "sunny"},
    ]


def test_tools_go_to_the_template_as_functions_and_the_python_tag_can_be_seen() -> None:
    submit = chat_submit(request(tools=[WEATHER, ToolDefinition(tool_name="brave_search")]), TEMPLATE, TODAY)

    assert isinstance(submit.prompt, TemplatePrompt)
    assert submit.prompt.tools is not None
    functions = [tool["function"] for tool in submit.prompt.tools]
    assert [function["name"] for function in functions] == ["weather", "brave_search"]
    assert functions[0]["parameters"]["required"] == ["city"]
    assert functions[1]["parameters"]["required"] == ["query"]
    assert submit.visible_tokens == [PYTHON_TAG.token]


def test_tools_are_left_out_when_none_may_be_called() -> None:
    submit = chat_submit(request(tools=[WEATHER], tool_choice="none"), TEMPLATE, TODAY)

    assert submit.prompt == TemplatePrompt([{"role": "user", "content": "hi"}])
    assert submit.visible_tokens == []


@pytest.mark.parametrize(
    ("style", "fields", "is_llama"),
    [
        pytest.param(LLAMA31, {}, False, id="own template"),
        pytest.param(LLAMA31_META, {}, True, id="no template"),
        pytest.param(
            LLAMA31, {"tools": [WEATHER], "tool_prompt_format": "function_tag"}, True, id="Llama's tool format"
        ),
        pytest.param(LLAMA31, {"tools": [WEATHER], "tool_prompt_format": "json"}, False, id="the usual tool format"),
        pytest.param(LLAMA31, {"tools": [ToolDefinition(tool_name="brave_search")]}, True, id="Llama's built-in tool"),
        pytest.param(TEMPLATE, {"tool_prompt_format": "python_list"}, False, id="a tool format without tools"),
        pytest.param(PromptStyle(LlamaFamily.guard, True, False), {}, True, id="Llama Guard"),
    ],
)
def test_conversation_is_written_by_the_template_or_in_the_format_of_the_family(
    style: PromptStyle, fields: dict[str, Any], is_llama: bool
) -> None:
    prompt = chat_submit(request(**fields), style, TODAY).prompt

    assert isinstance(prompt, SegmentsPrompt if is_llama else TemplatePrompt)
    assert not isinstance(prompt, SegmentsPrompt) or prompt.segments[0] == BEGIN_OF_TEXT


def test_tool_format_that_a_template_does_not_know_is_refused() -> None:
    with pytest.raises(BadRequestError) as refused:
        chat_submit(request(tools=[WEATHER], tool_prompt_format="python_list"), TEMPLATE, TODAY)

    assert refused.value.param == "tool_prompt_format"


def test_chat_without_template_or_family_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="can only complete text"):
        chat_submit(request(), PromptStyle(None, False, False), TODAY)


def facts(special_tokens: Sequence[str], checkpoint_format: str = "meta", has_template: bool = False) -> ModelFacts:
    return ModelFacts(
        model_type="llm",
        embedding_dimension=64,
        context_length=8,
        vocabulary_size=8,
        eos_ids=[1],
        checkpoint_format=checkpoint_format,  # type: ignore[arg-type]
        has_chat_template=has_template,
        template_knows_tools=False,
        special_tokens=list(special_tokens),
        parameters=1,
        dtype="float32",
        device="cpu",
    )


LLAMA3_TOKENS = [BEGIN_OF_TEXT.token, START_HEADER.token]


@pytest.mark.parametrize(
    ("model", "facts_", "family"),
    [
        pytest.param("Llama3.1-8B-Instruct", facts(LLAMA3_TOKENS), LlamaFamily.llama3_1, id="known name"),
        pytest.param("mine", facts(LLAMA3_TOKENS), LlamaFamily.llama3, id="Meta's format of Llama 3"),
        pytest.param("mine", facts(["<s>", "</s>"]), LlamaFamily.llama2, id="Meta's format of Llama 2"),
        pytest.param("mine", facts(LLAMA3_TOKENS, "hugging_face"), None, id="unknown name"),
        pytest.param("Llama3.1-8B-Instruct", facts(["<s>"]), None, id="known name on other tokens"),
    ],
)
def test_family_follows_from_name_and_tokens(model: str, facts_: ModelFacts, family: LlamaFamily | None) -> None:
    assert prompt_style(model, facts_).family is family


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param(SamplingParams(), Sampling(0.0, 0.95, 0, 1.0), id="native defaults are greedy"),
        pytest.param(
            SamplingParams(temperature=None, top_p=None, top_k=None, repetition_penalty=None),
            Sampling(),
            id="nothing said",
        ),
        pytest.param(
            SamplingParams(strategy="greedy", temperature=0.7),
            Sampling(0.0, 0.95, 0, 1.0),
            id="greedy wins over temperature",
        ),
        pytest.param(
            SamplingParams(strategy="top_k", top_k=5, temperature=1.0),
            Sampling(1.0, 1.0, 5, 1.0),
            id="top_k without top_p",
        ),
        pytest.param(
            SamplingParams(strategy="top_k", top_k=5, top_p=0.5, temperature=1.0),
            Sampling(1.0, 0.5, 5, 1.0),
            id="top_k with top_p",
        ),
        pytest.param(
            SamplingParams(
                temperature=0.5,
                top_p=0.9,
                repetition_penalty=1.2,
                presence_penalty=0.1,
                frequency_penalty=0.2,
                logit_bias={5: 1.0},
                seed=9,
            ),
            Sampling(0.5, 0.9, 0, 1.2, 0.1, 0.2, {5: 1.0}, 9),
            id="everything said",
        ),
    ],
)
def test_sampling_says_what_the_caller_said(params: SamplingParams, expected: Sampling) -> None:
    assert sampling(params) == expected


def test_limits_of_a_request_reach_the_engine() -> None:
    params = SamplingParams(max_tokens=7, n=3, stop=["END"])

    submit = chat_submit(request(sampling_params=params, logprobs=LogProbConfig(top_k=4)), TEMPLATE, TODAY)

    assert (submit.max_tokens, submit.n, submit.stop, submit.top_logprobs) == (7, 3, ["END"], 4)


def translate(asked: ChatCompletionRequest, text: str, *, end: str = "stopped") -> list[InferenceEvent]:
    """The events of an answer that comes letter by letter."""
    chat = ChatEvents(asked)
    engine = [*(Text(1, 0, letter) for letter in text), End(1, 0, end), Done(1, 3, len(text))]  # type: ignore[arg-type]
    return [event for one in engine for event in chat.translate(one)]


CALLS = '{"type": "function", "name": "weather", "parameters": {"city": "Rome"}}; {"type": "function", "name": "weather", "parameters": {}}'


def test_call_in_the_text_becomes_events_of_a_call() -> None:
    events = translate(request(tools=[WEATHER]), CALLS)

    assert not [event for event in events if isinstance(event, TextDelta) and event.text]
    starts = [event for event in events if isinstance(event, ToolCallStart)]
    assert [(start.index, start.name) for start in starts] == [(0, "weather"), (1, "weather")]
    first = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta) and event.index == 0)
    assert first == '{"city": "Rome"}'
    assert [event for event in events if isinstance(event, Finish | Usage)] == [
        Finish(FinishReason.tool_calls),
        Usage(3, len(CALLS)),
    ]


def test_only_one_call_comes_when_parallel_ones_are_forbidden() -> None:
    events = translate(request(tools=[WEATHER], parallel_tool_calls=False), CALLS)

    assert [event.index for event in events if isinstance(event, ToolCallStart)] == [0]
    assert {event.index for event in events if isinstance(event, ToolCallDelta)} == {0}


def test_text_without_tools_is_passed_on_as_it_comes() -> None:
    events = translate(request(), "{ab}", end="length")

    assert events == [*(TextDelta(letter) for letter in "{ab}"), Finish(FinishReason.length), Usage(3, 4)]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (End(1, 0, "stopped"), Finish(FinishReason.stop)),
        (End(1, 0, "stop_string", "END"), Finish(FinishReason.stop, 0, "END")),
        (End(1, 0, "end_of_message"), Finish(FinishReason.end_of_message)),
        (End(1, 0, "length"), Finish(FinishReason.length)),
    ],
)
def test_end_of_a_choice_keeps_its_reason(end: End, reason: Finish) -> None:
    assert list(ChatEvents(request()).translate(end)) == [reason]
