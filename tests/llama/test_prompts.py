import datetime as dt

import pytest
from hypothesis import given

from hitchpost.api import (
    GrammarResponseFormat,
    ImageMedia,
    JsonObjectResponseFormat,
    JsonSchemaResponseFormat,
    Message,
    NamedToolChoice,
    StopReason,
    SystemMessage,
    ToolChoice,
    ToolChoiceMode,
    ToolDefinition,
    ToolPromptFormat,
    UserMessage,
    content_text,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.llama import (
    LlamaFamily,
    SpecialToken,
    chat_messages,
    chat_prompt,
    completion_prompt,
    prompt_text,
    response_format_text,
)
from tests.llama.conversations import (
    CODE,
    SEARCH,
    TODAY,
    WEATHER,
    assistant,
    call,
    system,
    tool_response,
    user,
)
from tests.llama.spellings import hostile_text

LLAMA3, LLAMA3_1 = LlamaFamily.llama3, LlamaFamily.llama3_1
TEXT, VISION, GUARD = LlamaFamily.llama3_2_text, LlamaFamily.llama3_2_vision, LlamaFamily.guard
IMAGE = ImageMedia(image="https://example.org/dog.png")
DATES = "Cutting Knowledge Date: December 2023\nToday Date: 20 November 2024"


def texts_of(messages: list[Message]) -> list[str]:
    return [content_text(message.content) for message in messages]


# --- layout ---


def test_a_conversation_is_laid_out_turn_by_turn() -> None:
    prompt = chat_prompt(
        [system("Be brief."), user("Hi"), assistant("Hello!"), user("Who are you?", "You are Bob.")], LLAMA3, TODAY
    )

    assert prompt_text(prompt) == (
        "<|begin_of_text|>"
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWho are you?\n\nYou are Bob.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_a_tool_call_and_its_result_are_laid_out_as_the_model_wrote_them() -> None:
    conversation = [
        user("Weather?"),
        assistant("", call("get_weather", {"city": "Rome"}), stop_reason=StopReason.end_of_message),
        tool_response("completed\n[stdout]25 C[/stdout]"),
    ]

    prompt = chat_prompt(conversation, LLAMA3_1, TODAY)

    assert prompt_text(prompt).endswith(
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
        '<|python_tag|>{"type": "function", "name": "get_weather", "parameters": {"city": "Rome"}}<|eom_id|>'
        "<|start_header_id|>ipython<|end_header_id|>\n\ncompleted\n[stdout]25 C[/stdout]<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


@pytest.mark.parametrize("stop_reason", [StopReason.end_of_turn, StopReason.out_of_tokens])
def test_an_assistant_message_that_did_not_go_on_ends_its_turn(stop_reason: StopReason) -> None:
    prompt = chat_prompt([user("a"), assistant("b", stop_reason=stop_reason), user("c")], LLAMA3, TODAY)

    assert SpecialToken("<|eom_id|>") not in prompt


@pytest.mark.parametrize(
    ("family", "tool_prompt_format", "text"),
    [
        (LLAMA3_1, None, '{"type": "function", "name": "get_weather", "parameters": {"city": "Rome"}}'),
        (LLAMA3_1, ToolPromptFormat.function_tag, '<function=get_weather>{"city": "Rome"}</function>'),
        (TEXT, None, '[get_weather(city="Rome")]'),
        (TEXT, ToolPromptFormat.json, '[get_weather(city="Rome")]'),
    ],
)
def test_earlier_calls_are_written_in_the_format_of_the_request(
    family: LlamaFamily, tool_prompt_format: ToolPromptFormat | None, text: str
) -> None:
    conversation = [user("a"), assistant("Wait. ", call("get_weather", '{"city": "Rome"}')), user("b")]

    prompt = chat_prompt(conversation, family, TODAY, tool_prompt_format=tool_prompt_format)

    start = prompt.index(SpecialToken("<|python_tag|>"))
    assert prompt[start + 1 : start + 3] == ["Wait. ", text]


def test_user_text_that_spells_special_tokens_stays_text() -> None:
    prompt = chat_prompt([user("<|eot_id|><|image|>")], LLAMA3, TODAY)

    assert "<|eot_id|><|image|>" in prompt
    assert prompt.count(SpecialToken("<|eot_id|>")) == 1


@given(hostile_text)
def test_no_user_text_changes_the_special_tokens_of_a_prompt(text: str) -> None:
    conversation = [
        system(text),
        user(text, text),
        assistant(text, call(text, {text: text})),
        tool_response(text, text),
        user(text),
    ]
    harmless = [system(""), user("", ""), assistant("", call("f", {})), tool_response(""), user("")]

    prompt, expected = (chat_prompt(messages, VISION, TODAY) for messages in (conversation, harmless))

    assert [one for one in prompt if isinstance(one, SpecialToken)] == [
        one for one in expected if isinstance(one, SpecialToken)
    ]


@pytest.mark.parametrize("family", [LLAMA3, GUARD])
def test_families_without_a_system_rule_get_the_messages_unchanged(family: LlamaFamily) -> None:
    conversation = [system("a"), user("b")]

    assert chat_messages(conversation, family, TODAY) == conversation


# --- images ---


def test_a_vision_model_sees_an_image_where_it_stands() -> None:
    prompt = chat_prompt([UserMessage(content=["Look", "here:", IMAGE, "what is it?"])], VISION, TODAY)

    assert prompt[-8:-4] == ["Look here:", SpecialToken("<|image|>"), "what is it?", SpecialToken("<|eot_id|>")]


@pytest.mark.parametrize("family", [LLAMA3, LLAMA3_1, TEXT, GUARD])
def test_other_models_read_a_word_for_an_image(family: LlamaFamily) -> None:
    prompt = chat_prompt([UserMessage(content=["Look", IMAGE])], family, TODAY)

    assert "Look <media>" in prompt


def test_an_image_in_a_system_message_is_a_word_for_vision_models_too() -> None:
    prompt = chat_prompt([SystemMessage(content=["a", IMAGE]), user("b")], VISION, TODAY)

    assert f"{DATES}\na\n<media>" in prompt


# --- system message and tools: Llama 3.1 and 3.2 vision ---


@pytest.mark.parametrize("family", [LLAMA3_1, VISION])
@pytest.mark.parametrize(
    ("tools", "lines"),
    [
        ([], []),
        ([SEARCH], ["Environment: ipython", "Tools: brave_search"]),
        (
            [SEARCH, ToolDefinition(tool_name="wolfram_alpha"), CODE],
            ["Environment: ipython", "Tools: brave_search, wolfram_alpha"],
        ),
        ([CODE], ["Environment: ipython", ""]),
        ([WEATHER], ["Environment: ipython", ""]),
        ([WEATHER, SEARCH], ["Environment: ipython", "Tools: brave_search"]),
    ],
)
@pytest.mark.parametrize("own", [[], ["Be brief."]])
def test_the_system_message_says_environment_tools_dates_and_the_caller_s_text(
    family: LlamaFamily, tools: list[ToolDefinition], lines: list[str], own: list[str]
) -> None:
    messages = chat_messages([*map(system, own), user("Hi")], family, TODAY, tools=tools)

    assert messages[0] == system("\n".join([*lines, DATES, *own]))
    assert messages[-1] == user("Hi")


def test_parts_of_the_system_text_are_joined_by_newlines() -> None:
    messages = chat_messages([SystemMessage(content=["a", "b"]), user("Hi")], LLAMA3_1, TODAY)

    assert messages[0] == system(f"{DATES}\na\nb")


@pytest.mark.parametrize(
    ("tools", "number"), [([], 2), ([SEARCH], 2), ([CODE, SEARCH], 2), ([WEATHER], 3), ([WEATHER, SEARCH, CODE], 3)]
)
def test_custom_tools_are_described_in_a_user_message_of_their_own(tools: list[ToolDefinition], number: int) -> None:
    messages = chat_messages([user("Hi")], LLAMA3_1, TODAY, tools=tools)

    assert [message.role for message in messages] == ["system", "user", "user"][:number]
    assert ["Return function calls in JSON format" in text for text in texts_of(messages)] == [
        False,
        number == 3,
        False,
    ][:number]


def test_custom_tools_can_be_described_as_function_tags() -> None:
    messages = chat_messages(
        [user("Hi")], LLAMA3_1, TODAY, tools=[WEATHER], tool_prompt_format=ToolPromptFormat.function_tag
    )

    assert "<function=example_function_name>" in texts_of(messages)[1]


def test_the_date_does_not_follow_the_locale() -> None:
    messages = chat_messages([user("Hi")], LLAMA3_1, dt.date(2025, 3, 4))

    assert texts_of(messages)[0].endswith("Today Date: 04 March 2025")


# --- system message and tools: Llama 3.2 text ---


@pytest.mark.parametrize("own", [[], ["Be brief."]])
def test_a_small_text_model_gets_only_the_caller_s_text_where_there_are_no_tools(own: list[str]) -> None:
    conversation = [*map(system, own), user("Hi")]

    assert chat_messages(conversation, TEXT, TODAY) == conversation


def test_a_small_text_model_gets_built_in_tools_custom_tools_and_the_caller_s_text_in_this_order() -> None:
    messages = chat_messages([system("Be brief."), user("Hi")], TEXT, TODAY, tools=[WEATHER, SEARCH])

    assert [message.role for message in messages] == ["system", "user"]
    text = texts_of(messages)[0]
    assert text.startswith("Environment: ipython\nTools: brave_search\nYou are an expert in composing functions.")
    assert text.endswith("\n]\nBe brief.")
    assert "Today Date" not in text


def test_a_small_text_model_gets_no_environment_line_for_custom_tools_alone() -> None:
    messages = chat_messages([user("Hi")], TEXT, TODAY, tools=[WEATHER])

    assert texts_of(messages)[0].startswith("You are an expert in composing functions.")


# --- refusals ---


@pytest.mark.parametrize(
    ("family", "asked", "understood"),
    [
        (LLAMA3_1, "python_list", "'json' or 'function_tag'"),
        (VISION, "python_list", "'json' or 'function_tag'"),
        (TEXT, "json", "'python_list'"),
        (TEXT, "function_tag", "'python_list'"),
    ],
)
def test_a_tool_format_that_the_family_does_not_understand_is_refused(
    family: LlamaFamily, asked: str, understood: str
) -> None:
    with pytest.raises(BadRequestError, match=f"use {understood}, or leave it out") as refused:
        chat_messages([user("Hi")], family, TODAY, tools=[WEATHER], tool_prompt_format=ToolPromptFormat(asked))

    assert refused.value.param == "tool_prompt_format"


@pytest.mark.parametrize("tools", [[], [SEARCH]])
def test_a_tool_format_does_not_matter_without_custom_tools(tools: list[ToolDefinition]) -> None:
    assert chat_messages([user("Hi")], TEXT, TODAY, tools=tools, tool_prompt_format=ToolPromptFormat.json)


@pytest.mark.parametrize("family", LlamaFamily)
@pytest.mark.parametrize(
    ("conversation", "index"),
    [
        ([user("a"), system("b")], 1),
        ([system("a"), system("b"), user("c")], 1),
        ([user("a"), assistant("b"), system("c")], 2),
    ],
)
def test_a_system_message_anywhere_but_first_is_refused(
    family: LlamaFamily, conversation: list[Message], index: int
) -> None:
    with pytest.raises(BadRequestError) as refused:
        chat_prompt(conversation, family, TODAY)

    assert refused.value.param == f"messages.{index}.role"


@pytest.mark.parametrize("family", [LlamaFamily.llama2, LLAMA3, GUARD])
@pytest.mark.parametrize("tool", [SEARCH, WEATHER])
def test_tools_for_a_family_without_them_are_unsupported(family: LlamaFamily, tool: ToolDefinition) -> None:
    with pytest.raises(UnsupportedError) as refused:
        chat_prompt([user("Hi")], family, TODAY, tools=[tool])

    assert refused.value.param == "tools"


@pytest.mark.parametrize("family", [LlamaFamily.llama2, LLAMA3, GUARD])
@pytest.mark.parametrize("message", [assistant("", call("f", {})), tool_response("x")])
def test_tool_messages_for_a_family_without_tools_are_unsupported(family: LlamaFamily, message: Message) -> None:
    with pytest.raises(UnsupportedError) as refused:
        chat_prompt([user("Hi"), message, user("Hi")], family, TODAY)

    assert refused.value.param == "messages.1"


def test_a_classifier_does_not_chat() -> None:
    with pytest.raises(UnsupportedError, match="Prompt Guard"):
        chat_prompt([user("Hi")], LlamaFamily.prompt_guard, TODAY)


# --- tool choice ---


@pytest.mark.parametrize("family", [LLAMA3_1, TEXT])
@pytest.mark.parametrize(
    ("tool_choice", "line"),
    [
        (ToolChoiceMode.required, "You must answer by calling at least one of the functions that you have."),
        (NamedToolChoice(tool_name="get_weather"), "You must answer by calling the function 'get_weather'."),
    ],
)
def test_a_tool_choice_is_an_instruction_before_the_caller_s_text(
    family: LlamaFamily, tool_choice: ToolChoice, line: str
) -> None:
    messages = chat_messages([system("Be brief."), user("Hi")], family, TODAY, tools=[WEATHER], tool_choice=tool_choice)

    assert texts_of(messages)[0].endswith(f"\n{line}\nBe brief.")


def test_a_choice_left_to_the_model_adds_nothing() -> None:
    messages = chat_messages([user("Hi")], TEXT, TODAY, tools=[SEARCH], tool_choice=ToolChoiceMode.auto)

    assert texts_of(messages)[0] == "Environment: ipython\nTools: brave_search"


@pytest.mark.parametrize("family", [LLAMA3, LLAMA3_1, TEXT])
def test_tools_that_must_not_be_called_are_not_shown(family: LlamaFamily) -> None:
    messages = chat_messages([user("Hi")], family, TODAY, tools=[WEATHER], tool_choice=ToolChoiceMode.none)

    assert messages == chat_messages([user("Hi")], family, TODAY)


@pytest.mark.parametrize(
    ("tool_choice", "tools"), [(ToolChoiceMode.required, []), (NamedToolChoice(tool_name="other"), [WEATHER])]
)
def test_a_tool_choice_that_no_tool_fits_is_refused(tool_choice: ToolChoice, tools: list[ToolDefinition]) -> None:
    with pytest.raises(BadRequestError) as refused:
        chat_messages([user("Hi")], LLAMA3_1, TODAY, tools=tools, tool_choice=tool_choice)

    assert refused.value.param == "tool_choice"


# --- form of the answer, completion ---


@pytest.mark.parametrize("family", [LLAMA3, LLAMA3_1, TEXT])
def test_a_schema_is_asked_for_in_a_last_user_message(family: LlamaFamily) -> None:
    form = JsonSchemaResponseFormat(json_schema={"type": "object", "title": "\u00e9"})

    messages = chat_messages([user("Hi")], family, TODAY, response_format=form)

    assert messages[-2:] == [user("Hi"), user(response_format_text(form))]
    assert '{"type": "object", "title": "\u00e9"}' in response_format_text(form)


def test_a_json_object_is_asked_for_in_words() -> None:
    assert "JSON object" in response_format_text(JsonObjectResponseFormat())


def test_a_grammar_can_t_be_asked_for_in_words() -> None:
    with pytest.raises(UnsupportedError) as refused:
        response_format_text(GrammarResponseFormat(bnf={}))

    assert refused.value.param == "response_format"


@pytest.mark.parametrize(
    ("family", "text"),
    [
        (LLAMA3_1, "<|begin_of_text|>Look <media>"),
        (VISION, "<|begin_of_text|>Look<|image|>"),
        (LlamaFamily.llama2, "<s>Look <media>"),
    ],
)
def test_a_text_to_continue_stands_after_the_first_token_alone(family: LlamaFamily, text: str) -> None:
    assert prompt_text(completion_prompt(["Look", IMAGE], family)) == text


def test_a_completion_can_ask_for_a_schema() -> None:
    form = JsonSchemaResponseFormat(json_schema={})

    prompt = completion_prompt("Data:", LLAMA3_1, response_format=form)

    assert prompt_text(prompt) == f"<|begin_of_text|>Data:\n{response_format_text(form)}"
