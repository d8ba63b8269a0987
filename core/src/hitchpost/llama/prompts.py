"""Prompts of the Llama families in Meta's format.

Source: the prompt format documents that were published with the models, and for the order of the system message what llama-stack 0.0.53 did.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from hitchpost.api import (
    ImageMedia,
    InterleavedContent,
    JsonObjectResponseFormat,
    JsonSchemaResponseFormat,
    Message,
    ResponseFormat,
    StopReason,
    SystemMessage,
    ToolChoice,
    ToolChoiceMode,
    ToolDefinition,
    ToolPromptFormat,
    UserMessage,
    content_items,
    content_text,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.llama.catalogue import LlamaFamily
from hitchpost.llama.llama2_prompt import llama2_chat_prompt
from hitchpost.llama.special_tokens import (
    BEGIN_OF_TEXT,
    END_HEADER,
    END_OF_MESSAGE,
    END_OF_TURN,
    IMAGE,
    LLAMA2_BEGIN,
    PYTHON_TAG,
    START_HEADER,
    Prompt,
    SpecialToken,
)
from hitchpost.llama.tool_calls import encode_tool_calls
from hitchpost.llama.tool_prompts import (
    builtin_tools_lines,
    custom_tools_prompt,
    is_builtin,
    tool_choice_lines,
    tool_prompt_format_for,
)

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def chat_prompt(
    messages: Sequence[Message],
    family: LlamaFamily,
    today: date,
    *,
    tools: Sequence[ToolDefinition] = (),
    tool_choice: ToolChoice | None = None,
    tool_prompt_format: ToolPromptFormat | None = None,
    response_format: ResponseFormat | None = None,
) -> Prompt:
    """The prompt of a conversation, up to where the model answers.

    Args: as of `chat_messages`.
    Raises: as `chat_messages`; and UnsupportedError where the family has no chat format, or none for the tool calls in `messages`.
    """
    built = chat_messages(
        messages,
        family,
        today,
        tools=tools,
        tool_choice=tool_choice,
        tool_prompt_format=tool_prompt_format,
        response_format=response_format,
    )
    if family is LlamaFamily.prompt_guard:
        raise UnsupportedError("Prompt Guard classifies text and can't chat", param="model_id")
    if not family.tool_prompt_formats:
        _refuse_tool_messages(messages, family)
    if family is LlamaFamily.llama2:
        return llama2_chat_prompt(built)
    prompt: Prompt = [BEGIN_OF_TEXT]
    for message in built:
        prompt += [*_header(message.role), *_body(message, family, tool_prompt_format), _end(message)]
    return [*prompt, *_header("assistant")]


def chat_messages(
    messages: Sequence[Message],
    family: LlamaFamily,
    today: date,
    *,
    tools: Sequence[ToolDefinition] = (),
    tool_choice: ToolChoice | None = None,
    tool_prompt_format: ToolPromptFormat | None = None,
    response_format: ResponseFormat | None = None,
) -> list[Message]:
    """The conversation with all that the family wants said in words: system message, tools, form of the answer.

    Args:
        today: the date that the model is told.
        tools: custom and built-in ones; ignored when `tool_choice` is `none`.
        tool_prompt_format: None takes the family's own.
        response_format: only for backends that can't constrain what they generate.
    Raises:
        BadRequestError: a system message that isn't the first message, a `tool_prompt_format` that the family doesn't understand, or a
            `tool_choice` that no tool fits.
        UnsupportedError: tools for a family that knows none, or a grammar as `response_format`.
    """
    for index, message in enumerate(messages):
        if index and message.role == "system":
            raise BadRequestError(
                "there can be one system message at most, and only as the first message", param=f"messages.{index}.role"
            )
    offered = () if tool_choice is ToolChoiceMode.none else tools
    has_system = bool(messages) and messages[0].role == "system"
    system_text = [content_text(messages[0].content, "\n")] if has_system else []
    rest = list(messages[1:] if has_system else messages)
    must_call = tool_choice_lines(tool_choice, offered)
    custom = [tool for tool in offered if not is_builtin(tool)]
    if offered:
        form = tool_prompt_format_for(family, tool_prompt_format if custom else None)
    if family is LlamaFamily.llama3_1 or family is LlamaFamily.llama3_2_vision:
        lines = [*(builtin_tools_lines(offered) if offered else ()), *_date_lines(today), *must_call, *system_text]
        described = [UserMessage(content=custom_tools_prompt(custom, form))] if custom else []
        rest = [SystemMessage(content="\n".join(lines)), *described, *rest]
    elif family is LlamaFamily.llama3_2_text:
        lines = [
            *(builtin_tools_lines(offered) if len(custom) < len(offered) else ()),
            *([custom_tools_prompt(custom, form)] if custom else ()),
            *must_call,
            *system_text,
        ]
        rest = [SystemMessage(content="\n".join(lines)), *rest] if lines else rest
    elif has_system:
        rest = [messages[0], *rest]
    return [*rest, UserMessage(content=response_format_text(response_format))] if response_format else rest


def completion_prompt(
    content: InterleavedContent, family: LlamaFamily, *, response_format: ResponseFormat | None = None
) -> Prompt:
    """The prompt for a model that continues a text.

    Args:
        response_format: only for backends that can't constrain what they generate.
    Raises:
        UnsupportedError: a grammar as `response_format`.
    """
    begin = LLAMA2_BEGIN if family is LlamaFamily.llama2 else BEGIN_OF_TEXT
    form = [f"\n{response_format_text(response_format)}"] if response_format else []
    return [begin, *_content(content, family), *form]


def response_format_text(response_format: ResponseFormat) -> str:
    """The sentence that asks for an answer of this form.

    Raises:
        UnsupportedError: words can't make a model follow a grammar.
    """
    if isinstance(response_format, JsonSchemaResponseFormat):
        schema = json.dumps(response_format.json_schema, ensure_ascii=False)
        return f"Answer with nothing but JSON that is valid for this JSON schema: {schema}"
    if isinstance(response_format, JsonObjectResponseFormat):
        return "Answer with nothing but one JSON object."
    raise UnsupportedError(
        "a grammar needs a backend that constrains what it generates; use 'json_schema'", param="response_format"
    )


def _date_lines(today: date) -> list[str]:
    # Not `strftime`, whose month names follow the locale.
    day = f"{today.day:02d} {_MONTHS[today.month - 1]} {today.year}"
    return ["Cutting Knowledge Date: December 2023", f"Today Date: {day}"]


def _refuse_tool_messages(messages: Sequence[Message], family: LlamaFamily) -> None:
    for index, message in enumerate(messages):
        if message.role == "ipython" or (message.role == "assistant" and message.tool_calls):
            raise UnsupportedError(
                f"models of the family {family} were not trained to call tools", param=f"messages.{index}"
            )


def _header(role: str) -> Prompt:
    return [START_HEADER, role, END_HEADER, "\n\n"]


def _body(message: Message, family: LlamaFamily, asked: ToolPromptFormat | None) -> Iterator[str | SpecialToken]:
    calls = message.tool_calls if message.role == "assistant" else []
    if calls:
        yield PYTHON_TAG
    yield from _content(message.content, family)
    if message.role == "user" and message.context is not None:
        yield "\n\n"
        yield from _content(message.context, family)
    if calls:
        formats = family.tool_prompt_formats
        yield encode_tool_calls(calls, asked if asked in formats else formats[0])


def _content(content: InterleavedContent, family: LlamaFamily) -> Iterable[str | SpecialToken]:
    """Texts side by side are joined by a space; an image stands where it is, for the text after it to see."""
    return _seen(content) if family is LlamaFamily.llama3_2_vision else (content_text(content),)


def _seen(content: InterleavedContent) -> Iterator[str | SpecialToken]:
    texts: list[str] = []
    for item in content_items(content):
        if not isinstance(item, ImageMedia):
            texts.append(item)
            continue
        if texts:
            yield " ".join(texts)
            texts = []
        yield IMAGE
    if texts:
        yield " ".join(texts)


def _end(message: Message) -> SpecialToken:
    goes_on = message.role == "assistant" and message.stop_reason is StopReason.end_of_message
    return END_OF_MESSAGE if goes_on else END_OF_TURN


__all__ = ["chat_messages", "chat_prompt", "completion_prompt", "response_format_text"]
