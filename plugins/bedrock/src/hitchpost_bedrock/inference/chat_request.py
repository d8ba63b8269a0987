"""A request for chat as the arguments of Converse. Pure functions."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hitchpost.api import (
    BuiltinTool,
    ChatCompletionRequest,
    CompletionMessage,
    ImageMedia,
    InterleavedContent,
    JsonSchemaResponseFormat,
    Message,
    NamedToolChoice,
    ResponseFormat,
    SamplingParams,
    SamplingStrategy,
    SystemMessage,
    ToolCall,
    ToolChoiceMode,
    ToolDefinition,
    ToolPromptFormat,
    ToolResponseMessage,
    UserMessage,
    content_items,
    content_text,
)
from hitchpost.errors import BadRequestError, UnsupportedError, quoted
from hitchpost_bedrock.inference.config import GuardrailFields, ModelSettings
from hitchpost_bedrock.inference.model_names import vendor_of

Block = dict[str, Any]
_IMAGE_URL = re.compile(r"data:image/(png|jpeg|jpg|gif|webp);base64,(.*)", re.DOTALL | re.IGNORECASE)
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def converse_arguments(
    request: ChatCompletionRequest, model: str, settings: ModelSettings, guardrail: GuardrailFields, *, streams: bool
) -> dict[str, Any]:
    """What Converse, or ConverseStream, is called with.

    Raises:
        BadRequestError: Bedrock can't be told of this conversation.
        UnsupportedError: it can't be told of a field.
    """
    tools = [] if request.tool_choice is ToolChoiceMode.none else list(request.tools or ())
    if tools and request.tool_prompt_format not in (None, ToolPromptFormat.json):
        raise BadRequestError(
            "Bedrock writes tools into prompts by itself; leave tool_prompt_format out", param="tool_prompt_format"
        )
    extra = {
        **settings.additional_model_request_fields,
        **_top_k(request.sampling_params, settings.base_model or model),
    }
    arguments: dict[str, Any] = {
        "modelId": model,
        "messages": _messages(request.messages, with_tools=bool(tools)),
        "system": [{"text": text} for text in _system_texts(request.messages)],
        "inferenceConfig": inference_config(request.sampling_params),
        "toolConfig": _tool_config(tools, request),
        "outputConfig": _output_config(request.response_format),
        "guardrailConfig": _guardrail_config(guardrail, streams=streams),
        "additionalModelRequestFields": extra,
    }
    return {name: value for name, value in arguments.items() if value}


# --- messages ---


def _system_texts(messages: Sequence[Message]) -> Iterator[str]:
    """Bedrock has instructions beside the conversation, not within it."""
    for number, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            if any(isinstance(item, ImageMedia) for item in content_items(message.content)):
                raise UnsupportedError("Bedrock takes no images in system messages", param=f"messages.{number}.content")
            text = content_text(message.content)
            if text.strip():
                yield text


def _messages(messages: Sequence[Message], *, with_tools: bool) -> list[Block]:
    """Roles alternate, the user begins, and results of tools are what the user says."""
    turns: list[Block] = []
    for number, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            continue
        role = "assistant" if isinstance(message, CompletionMessage) else "user"
        blocks = _blocks(message, f"messages.{number}", with_tools=with_tools)
        if not blocks:
            if role == "user":
                raise BadRequestError("Bedrock takes no empty messages of the user", param=f"messages.{number}.content")
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns or turns[0]["role"] != "user":
        raise BadRequestError("Bedrock wants a message of the user before any of the assistant", param="messages")
    return turns


def _blocks(message: Message, where: str, *, with_tools: bool) -> list[Block]:
    match message:
        case ToolResponseMessage():
            result = _content(message.content, f"{where}.content")
            if not with_tools:
                return [{"text": f"{message.tool_name} answered:"}, *result]
            return [{"toolResult": {"toolUseId": _use_id(message.call_id), "content": result}}]
        case CompletionMessage():
            calls = [
                _tool_use(call, f"{where}.tool_calls.{index}", with_tools=with_tools)
                for index, call in enumerate(message.tool_calls)
            ]
            return [*_content(message.content, f"{where}.content"), *calls]
        case UserMessage(context=context) if context is not None:
            return [*_content(message.content, f"{where}.content"), *_content(context, f"{where}.context")]
    return _content(message.content, f"{where}.content")


def _content(content: InterleavedContent, where: str) -> list[Block]:
    blocks: list[Block] = []
    for item in content_items(content):
        if isinstance(item, ImageMedia):
            blocks.append(_image(item.image.uri, where))
        elif item.strip():
            blocks.append({"text": item})
    return blocks


def _image(uri: str, where: str) -> Block:
    found = _IMAGE_URL.fullmatch(uri)
    if found is None:
        message = "Bedrock takes images only inline: a data: URL with base64 of png, jpeg, gif or webp"
        raise UnsupportedError(message, param=where)
    try:
        data = base64.b64decode(found[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError("the data: URL of an image is not base64", param=where) from error
    kind = found[1].lower()
    return {"image": {"format": "jpeg" if kind == "jpg" else kind, "source": {"bytes": data}}}


# --- tools ---


def _tool_use(call: ToolCall, where: str, *, with_tools: bool) -> Block:
    if not with_tools:
        # Bedrock refuses calls in a conversation without tools, and has no way to forbid calls but to offer none.
        return {"text": f"{call.tool_name}({call.arguments_json or '{}'})"}
    arguments = call.find_arguments()
    if arguments is None:
        raise BadRequestError("the arguments of a call must be a JSON object for Bedrock", param=f"{where}.arguments")
    name = _checked_name(call.tool_name, f"{where}.tool_name")
    return {"toolUse": {"toolUseId": _use_id(call.call_id), "name": name, "input": arguments}}


def _use_id(call_id: str) -> str:
    """Calls that other backends made have ids that Bedrock may not take; call and result get the same in their place."""
    if _NAME.fullmatch(call_id):
        return call_id
    return f"call_{hashlib.sha256(call_id.encode(errors='surrogatepass')).hexdigest()[:24]}"


def _checked_name(name: str, where: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"Bedrock takes names of tools with 1 to 64 letters, digits, _ and -, not {quoted(name)}"
        raise BadRequestError(message, param=where)
    return name


def _tool_config(tools: Sequence[ToolDefinition], request: ChatCompletionRequest) -> Block:
    if not tools:
        return {}
    config: Block = {"tools": [{"toolSpec": _tool_spec(tool, f"tools.{i}")} for i, tool in enumerate(tools)]}
    match request.tool_choice:
        case ToolChoiceMode.required:
            config["toolChoice"] = {"any": {}}
        case NamedToolChoice(tool_name=name):
            config["toolChoice"] = {"tool": {"name": _checked_name(name, "tool_choice.tool_name")}}
    return config


def _tool_spec(tool: ToolDefinition, where: str) -> Block:
    schema = tool.arguments_schema()
    if tool.tool_name in set(BuiltinTool) and tool.json_schema is None and not tool.parameters:
        field = "code" if tool.tool_name == BuiltinTool.code_interpreter else "query"
        schema = {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    spec: Block = {"name": _checked_name(tool.tool_name, f"{where}.tool_name"), "inputSchema": {"json": schema}}
    if tool.description and tool.description.strip():
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
    return spec


# --- sampling and form ---


def inference_config(params: SamplingParams) -> Block:
    """What the caller said, as far as Bedrock knows it.

    Raises:
        UnsupportedError: a value that Bedrock doesn't know.
    """
    temperature = 0.0 if params.strategy is SamplingStrategy.greedy else params.said("temperature")
    check_sampling(params)
    config = {
        "maxTokens": params.max_tokens or None,
        "temperature": temperature,
        "topP": params.said("top_p"),
        "stopSequences": params.stop or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def check_sampling(params: SamplingParams) -> None:
    """Raises UnsupportedError where a sampling field says what no model of Bedrock takes."""
    temperature = params.said("temperature")
    if temperature is not None and temperature > 1 and params.strategy is not SamplingStrategy.greedy:
        raise UnsupportedError(f"Bedrock takes temperatures from 0 to 1, not {temperature:g}", param="temperature")
    if params.repetition_penalty not in (None, 0, 1):
        raise UnsupportedError("Bedrock has no repetition_penalty", param="repetition_penalty")


def _top_k(params: SamplingParams, model: str) -> Block:
    """Converse has no field for it; some vendors' models have."""
    top_k = params.said("top_k")
    if not top_k:
        return {}
    match vendor_of(model):
        case "anthropic" | "mistral":
            return {"top_k": top_k}
        case "cohere":
            return {"k": top_k}
        case "amazon":
            return {"inferenceConfig": {"topK": top_k}}
    raise UnsupportedError("this model of Bedrock has no top_k", param="top_k")


def _output_config(form: ResponseFormat | None) -> Block:
    if form is None:
        return {}
    schema = form.json_schema if isinstance(form, JsonSchemaResponseFormat) else {"type": "object"}
    structure = {"jsonSchema": {"schema": json.dumps(schema, ensure_ascii=False), "name": "answer"}}
    return {"textFormat": {"type": "json_schema", "structure": structure}}


def _guardrail_config(guardrail: GuardrailFields, *, streams: bool) -> Block:
    if guardrail.guardrail_identifier is None:
        return {}
    config = {
        "guardrailIdentifier": guardrail.guardrail_identifier,
        "guardrailVersion": guardrail.guardrail_version,
        "trace": guardrail.guardrail_trace,
        "streamProcessingMode": guardrail.guardrail_stream_mode if streams else None,
    }
    return {name: value for name, value in config.items() if value is not None}


__all__ = ["check_sampling", "converse_arguments", "inference_config"]
