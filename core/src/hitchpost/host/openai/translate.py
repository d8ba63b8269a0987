"""OpenAI's requests into Hitchpost's. Pure functions; what can't be done is refused by the name of its field, never ignored.

The types in `wire` hold every value to the bounds of Hitchpost's own, or to narrower ones, so that nothing is validated twice.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hitchpost import api
from hitchpost.api.wire_model import of_valid
from hitchpost.errors import BadRequestError, UnsupportedError, quoted
from hitchpost.host.openai import wire

if TYPE_CHECKING:
    from hitchpost.api import InterleavedContent

DEFAULT_COMPLETION_TOKENS = 16
MOST_CHOICES = 128
"""Of all prompts of a completion request together: as many as one prompt may have."""
MOST_INPUTS = 2048

_SAMPLING_FIELDS = ("temperature", "top_p", "top_k", "repetition_penalty", "stop", "seed", "n", "presence_penalty", "frequency_penalty",
                    "logit_bias")  # fmt: skip
_OTHER_FORMS = ("functions", "function_call", "modalities", "audio", "prediction", "web_search_options")


# --- chat completions ---


def to_chat_request(body: wire.ChatCompletionRequest) -> api.ChatCompletionRequest:
    """The chat request behind a body.

    Raises:
        BadRequestError, UnsupportedError: with the field's path.
    """
    _refuse_other_forms(body)
    _check_stream_options(body)
    return of_valid(
        api.ChatCompletionRequest,
        model_id=body.model,
        messages=_messages(body.messages),
        sampling_params=_sampling(body, body.max_completion_tokens or body.max_tokens),
        tools=[_tool(tool) for tool in _offered(body)] if body.tools else None,
        tool_choice=_tool_choice(body),
        response_format=_response_format(body.response_format),
        stream=body.stream,
        logprobs=_chat_logprobs(body),
        parallel_tool_calls=body.parallel_tool_calls,
    )


def _refuse_other_forms(body: wire.ChatCompletionRequest) -> None:
    if body.model_fields_set.isdisjoint(_OTHER_FORMS):
        return
    for field, instead in (("functions", "tools"), ("function_call", "tool_choice")):
        if getattr(body, field) is not None:
            raise BadRequestError(f"{field} is the older form of {instead}, which is served", param=field)
    if body.modalities not in (None, ["text"]):
        raise UnsupportedError("modalities: only text is answered", param="modalities")
    for field in ("audio", "prediction", "web_search_options"):
        if getattr(body, field) is not None:
            raise UnsupportedError(f"{field} is not supported", param=field)


def _check_stream_options(body: wire.SamplingFields) -> None:
    if body.stream_options is not None and not body.stream:
        raise BadRequestError("stream_options may only be given with stream: true", param="stream_options")


def includes_usage(body: wire.SamplingFields) -> bool:
    """Whether the last chunk of the stream is to tell the usage."""
    return body.stream_options is not None and bool(body.stream_options.include_usage)


def _sampling(body: wire.SamplingFields, max_tokens: int | None) -> api.SamplingParams:
    given = body.model_fields_set
    said = {name: value for name in _SAMPLING_FIELDS if name in given and (value := getattr(body, name)) is not None}
    if max_tokens:
        said["max_tokens"] = max_tokens
    if isinstance(body.stop, str):
        said["stop"] = [body.stop]
    return api.SamplingParams.of_said(said)


def _chat_logprobs(body: wire.ChatCompletionRequest) -> api.LogProbConfig | None:
    if body.logprobs:
        return of_valid(api.LogProbConfig, top_k=body.top_logprobs or 0)
    if body.top_logprobs:
        raise BadRequestError("top_logprobs needs logprobs: true", param="top_logprobs")
    return None


def _messages(messages: Sequence[wire.Message]) -> list[api.Message]:
    translated: list[api.Message] = []
    tool_names: dict[str, str] = {}
    for position, message in enumerate(messages):
        # By role, not by type: types of pydantic's are slow to tell apart.
        if message.role == "user":
            translated.append(of_valid(api.UserMessage, content=_user_content(message.content)))
        elif message.role == "assistant":
            tool_names.update({call.id: call.function.name for call in message.tool_calls or ()})
            translated.append(_assistant_message(message))
        elif message.role == "tool":
            translated.append(_tool_message(message, tool_names, f"messages.{position}.tool_call_id"))
        else:
            translated.append(of_valid(api.SystemMessage, content=_text(message.content)))
    return translated


def _assistant_message(message: wire.AssistantMessage) -> api.CompletionMessage:
    calls = [
        of_valid(api.ToolCall, call_id=call.id, tool_name=call.function.name, arguments_json=call.function.arguments)
        for call in message.tool_calls or ()
    ]
    content = message.content
    parts = [content] if isinstance(content, str) else [_part_text(part) for part in content or ()]
    return of_valid(
        api.CompletionMessage,
        content="".join([*parts, message.refusal or ""]),
        # After a call the model waits for its result; the turn isn't over.
        stop_reason=api.StopReason.end_of_message if calls else api.StopReason.end_of_turn,
        tool_calls=calls,
    )


def _part_text(part: wire.TextPart | wire.RefusalPart) -> str:
    return part.text if part.type == "text" else part.refusal


def _tool_message(message: wire.ToolMessage, tool_names: Mapping[str, str], param: str) -> api.ToolResponseMessage:
    tool_name = tool_names.get(message.tool_call_id)
    if tool_name is None:
        text = (
            f"{param}: no earlier message of the assistant has a tool call with the id {quoted(message.tool_call_id)}"
        )
        raise BadRequestError(text, param=param)
    return of_valid(
        api.ToolResponseMessage, call_id=message.tool_call_id, tool_name=tool_name, content=_text(message.content)
    )


def _text(content: wire.TextContent) -> "InterleavedContent":
    if isinstance(content, str):
        return content
    return content[0].text if len(content) == 1 else [part.text for part in content]


def _user_content(content: wire.UserContent) -> "InterleavedContent":
    if isinstance(content, str):
        return content
    items = [
        part.text if part.type == "text" else of_valid(api.ImageMedia, image=of_valid(api.URL, uri=part.image_url.url))
        for part in content
    ]
    return items[0] if len(items) == 1 else items


def _tool(tool: wire.Tool) -> api.ToolDefinition:
    function = tool.function
    return of_valid(
        api.ToolDefinition,
        tool_name=function.name,
        description=function.description,
        json_schema={"type": "object", "properties": {}} if function.parameters is None else function.parameters,
        strict=function.strict,
    )


def _offered(body: wire.ChatCompletionRequest) -> Sequence[wire.Tool]:
    """The tools that may be called: all, or those that `tool_choice` allows."""
    tools, choice = body.tools or (), body.tool_choice
    if choice is None or isinstance(choice, str) or choice.type == "function":
        return tools
    allowed = {tool.function.name for tool in choice.allowed_tools.tools}
    return [tool for tool in tools if tool.function.name in allowed]


def _tool_choice(body: wire.ChatCompletionRequest) -> api.ToolChoice:
    choice = body.tool_choice
    if choice is None:
        return api.ToolChoiceMode.auto
    names = {tool.function.name for tool in body.tools or ()}
    if not isinstance(choice, str):
        named = [choice] if choice.type == "function" else choice.allowed_tools.tools
        missing = next((tool.function.name for tool in named if tool.function.name not in names), None)
        if missing is not None:
            message = f"tool_choice names the function {quoted(missing)}, which tools does not have"
            raise BadRequestError(message, param="tool_choice")
        if choice.type == "function":
            return of_valid(api.NamedToolChoice, tool_name=choice.function.name)
        return api.ToolChoiceMode(choice.allowed_tools.mode)
    if choice == "required" and not names:
        raise BadRequestError("tool_choice 'required' needs tools", param="tool_choice")
    return api.ToolChoiceMode(choice)


def _response_format(form: wire.ResponseFormat | None) -> api.ResponseFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return of_valid(api.JsonObjectResponseFormat)
    return of_valid(api.JsonSchemaResponseFormat, json_schema=form.json_schema.json_schema)


# --- completions ---


def to_completion_requests(body: wire.CompletionRequest) -> list[api.CompletionRequest]:
    """One completion request per prompt of a body.

    Raises:
        BadRequestError, UnsupportedError: with the field's path.
    """
    n = body.n or 1
    _check_stream_options(body)
    if body.suffix:
        raise UnsupportedError("suffix is not supported", param="suffix")
    if body.best_of is not None and body.best_of > n:
        raise UnsupportedError(f"best_of {body.best_of} above n {n} is not supported", param="best_of")
    if body.echo and body.logprobs is not None:
        raise UnsupportedError("echo is not supported together with logprobs", param="echo")
    prompts = _texts(body.prompt, "prompt", MOST_CHOICES)
    if len(prompts) * n > MOST_CHOICES:
        message = (
            f"{len(prompts)} prompts with n {n} are {len(prompts) * n} choices; at most {MOST_CHOICES} are made at once"
        )
        raise BadRequestError(message, param="n")
    sampling = _sampling(body, body.max_tokens or DEFAULT_COMPLETION_TOKENS)
    logprobs = None if body.logprobs is None else of_valid(api.LogProbConfig, top_k=body.logprobs)
    return [
        of_valid(
            api.CompletionRequest,
            model_id=body.model,
            content=prompt,
            sampling_params=sampling,
            stream=body.stream,
            logprobs=logprobs,
            echo=bool(body.echo),
        )
        for prompt in prompts
    ]


def _texts(given: str | list[str] | list[int] | list[list[int]], field: str, most: int) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not texts:
        raise BadRequestError(f"{field} is empty", param=field)
    if len(texts) > most:
        raise BadRequestError(f"{field} has {len(texts)} entries; at most {most} are taken at once", param=field)
    strings = [text for text in texts if isinstance(text, str)]
    if len(strings) < len(texts):
        raise UnsupportedError(f"{field}: token ids are not supported, send text", param=field)
    return strings


# --- embeddings ---


def to_embeddings_request(body: wire.EmbeddingsRequest) -> api.EmbeddingsRequest:
    """The embeddings request behind a body.

    Raises:
        BadRequestError, UnsupportedError: with the field's path.
    """
    texts = _texts(body.input, "input", MOST_INPUTS)
    return of_valid(api.EmbeddingsRequest, model_id=body.model, contents=list(texts), dimensions=body.dimensions)


__all__ = [
    "DEFAULT_COMPLETION_TOKENS",
    "MOST_CHOICES",
    "MOST_INPUTS",
    "includes_usage",
    "to_chat_request",
    "to_completion_requests",
    "to_embeddings_request",
]
