"""Our requests in OpenAI's form. Pure functions; only what was asked for is sent, as strict servers refuse unknown and empty fields."""

from collections.abc import Iterator, Sequence
from typing import Any

from hitchpost.api import (
    BuiltinTool,
    ChatCompletionRequest,
    CompletionMessage,
    CompletionRequest,
    EmbeddingsRequest,
    ImageMedia,
    InterleavedContent,
    JsonSchemaResponseFormat,
    Message,
    NamedToolChoice,
    ResponseFormat,
    SamplingParams,
    SamplingStrategy,
    ToolChoiceMode,
    ToolDefinition,
    UserMessage,
    content_items,
    content_text,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost_remote_openai.services import MaxTokensField, SchemaForm

Body = dict[str, Any]

_ARGUMENT_OF_BUILTIN = {tool: "code" if tool is BuiltinTool.code_interpreter else "query" for tool in BuiltinTool}


def chat_body(
    request: ChatCompletionRequest,
    model: str,
    *,
    stream: bool,
    max_tokens: int | None = None,
    max_tokens_field: MaxTokensField = "max_completion_tokens",
    schema_form: SchemaForm = "json_schema",
    repetition_fields: Sequence[str] = ("repetition_penalty",),
) -> Body:
    """Body of POST /chat/completions.

    Args:
        request: what is asked.
        model: the server's name of the model.
        stream: whether the answer is to come in pieces.
        max_tokens: the bound of an answer where the request has none.
        max_tokens_field: the name by which the server takes that bound.
        schema_form: how it takes a JSON schema.
        repetition_fields: the names by which it may take the penalty of repetitions.

    Raises:
        BadRequestError, UnsupportedError: the form can't say it; with the field's path.
    """
    messages = [_message(message, index) for index, message in enumerate(request.messages)]
    body: Body = {"model": model, "messages": messages}
    body |= _sampling(request.sampling_params, max_tokens, max_tokens_field, repetition_fields)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body |= _tool_choice(request)
    if request.response_format is not None:
        body |= _response_format(request.response_format, schema_form)
    if request.logprobs is not None:
        body["logprobs"] = True
        if request.logprobs.top_k:
            body["top_logprobs"] = request.logprobs.top_k
    if stream:
        body |= _STREAMING
    return body


def completion_body(
    request: CompletionRequest,
    model: str,
    *,
    stream: bool,
    max_tokens: int | None = None,
    schema_form: SchemaForm = "json_schema",
    repetition_fields: Sequence[str] = ("repetition_penalty",),
) -> Body:
    """Body of POST /completions. Args and errors as for `chat_body`."""
    body: Body = {"model": model, "prompt": _only_text(request.content, "content")}
    body |= _sampling(request.sampling_params, max_tokens, "max_tokens", repetition_fields)
    if request.response_format is not None:
        body |= _response_format(request.response_format, schema_form)
    if request.echo:
        body["echo"] = True
    if request.logprobs is not None:
        body["logprobs"] = request.logprobs.top_k or 0
    if stream:
        body |= _STREAMING
    return body


def embeddings_bodies(request: EmbeddingsRequest, model: str, most: int = 2048) -> Iterator[Body]:
    """Bodies of POST /embeddings, each with at most `most` texts."""
    texts = [_only_text(content, f"contents.{index}") for index, content in enumerate(request.contents)]
    for start in range(0, len(texts), most):
        body: Body = {"model": model, "input": texts[start : start + most], "encoding_format": "float"}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        yield body


# --- messages ---


def _message(message: Message, index: int) -> Body:
    # By role, not by type: types of pydantic's are slow to tell apart.
    if message.role == "user":
        return {"role": "user", "content": _user_content(message)}
    if message.role == "assistant":
        return _assistant(message, index)
    content = _text_content(message.content, index)
    if message.role == "ipython":
        return {"role": "tool", "tool_call_id": message.call_id, "content": content}
    return {"role": "system", "content": content}


def _assistant(message: CompletionMessage, index: int) -> Body:
    content = _only_text(message.content, f"messages.{index}.content", "")
    if not message.tool_calls:
        return {"role": "assistant", "content": content}
    calls = [
        {
            "id": call.call_id,
            "type": "function",
            "function": {"name": call.tool_name, "arguments": call.arguments_json or "{}"},
        }
        for call in message.tool_calls
    ]
    return {"role": "assistant", "content": content or None, "tool_calls": calls}


def _user_content(message: UserMessage) -> str | list[Body]:
    if message.context is None:
        return _parts(message.content)
    # Retrieved text follows what the user says, after an empty line.
    if isinstance(message.content, str) and isinstance(message.context, str):
        return f"{message.content}\n\n{message.context}"
    return _parts([*content_items(message.content), "\n\n", *content_items(message.context)])


def _parts(content: InterleavedContent) -> str | list[Body]:
    return content if isinstance(content, str) else [_part(item) for item in content_items(content)]


def _part(item: str | ImageMedia) -> Body:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    uri = item.image.uri
    if uri[:7].lower() == "file://":
        raise BadRequestError("an image is a file of this machine; send it inline, as a data: URL", param="messages")
    return {"type": "image_url", "image_url": {"url": uri}}


def _text_content(content: InterleavedContent, index: int) -> str | list[Body]:
    if isinstance(content, str):
        return content
    _only_text(content, f"messages.{index}.content")
    return _parts(content)


def _only_text(content: InterleavedContent, path: str, separator: str = " ") -> str:
    if isinstance(content, str):
        return content
    if any(isinstance(item, ImageMedia) for item in content_items(content)):
        raise UnsupportedError(f"{path}: OpenAI's form takes images from the user of a chat only", param=path)
    return content_text(content, separator)


# --- tools and forms ---


def _tool(tool: ToolDefinition) -> Body:
    function: Body = {"name": tool.tool_name, "parameters": tool.arguments_schema()}
    if tool.parameters is None and tool.json_schema is None and tool.tool_name in _ARGUMENT_OF_BUILTIN:
        argument = _ARGUMENT_OF_BUILTIN[BuiltinTool(tool.tool_name)]
        function["parameters"] = {
            "type": "object",
            "properties": {argument: {"type": "string"}},
            "required": [argument],
        }
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(request: ChatCompletionRequest) -> Body:
    body: Body = {}
    choice = request.tool_choice
    if isinstance(choice, NamedToolChoice):
        body["tool_choice"] = {"type": "function", "function": {"name": choice.tool_name}}
    elif choice not in (None, ToolChoiceMode.auto):
        body["tool_choice"] = str(choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _response_format(form: ResponseFormat, schema_form: SchemaForm) -> Body:
    if not isinstance(form, JsonSchemaResponseFormat):
        return {"response_format": {"type": "json_object"}}
    schema = form.json_schema
    match schema_form:
        case "json_schema":
            return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}
        case "json_object":
            return {"response_format": {"type": "json_object", "schema": schema}}
        case "guided_json":
            return {"guided_json": schema}
        case "structured_outputs":
            return {"structured_outputs": {"json": schema}}


# --- sampling ---


def _sampling(
    params: SamplingParams, max_tokens: int | None, max_tokens_field: str, repetition_fields: Sequence[str]
) -> Body:
    limit = params.max_tokens or max_tokens
    body: Body = {} if limit is None else {max_tokens_field: limit}
    said = params.all_said()
    if not said:
        return body
    said.pop("max_tokens", None)
    if said.pop("strategy", None) is SamplingStrategy.greedy:
        said["temperature"] = 0.0
        said.pop("top_p", None)
    repetition_penalty = said.pop("repetition_penalty", None)
    if repetition_penalty not in (None, 0, 1):
        body |= dict.fromkeys(repetition_fields, repetition_penalty)
    if "logit_bias" in said:
        said["logit_bias"] = {str(token): bias for token, bias in said["logit_bias"].items()}
    return body | {name: value for name, value in said.items() if value != _NEUTRAL.get(name)}


_NEUTRAL: dict[str, Any] = {
    "top_k": 0,
    "stop": [],
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": {},
}
"""Values that change nothing. `top_k` is not OpenAI's own besides; it refuses it, open servers take it."""

_STREAMING = {"stream": True, "stream_options": {"include_usage": True}}


__all__ = ["Body", "chat_body", "completion_body", "embeddings_bodies"]
