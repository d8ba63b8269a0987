"""Requests for `/v1/chat/completions`, in the server's dialect of it. Pure functions."""

from typing import Any

from hitchpost.api import (
    BuiltinTool,
    ChatCompletionRequest,
    CompletionMessage,
    ImageMedia,
    Message,
    NamedToolChoice,
    SamplingParams,
    SystemMessage,
    ToolCall,
    ToolChoiceMode,
    ToolDefinition,
    ToolPromptFormat,
    ToolResponseMessage,
    content_items,
    content_text,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.llama import LlamaFamily, tool_prompt_format_for
from hitchpost_remote_tgi.call import Call
from hitchpost_remote_tgi.generate_request import offered_tools
from hitchpost_remote_tgi.grammar import grammar
from hitchpost_remote_tgi.sampling import limit_tokens, sampling
from hitchpost_remote_tgi.server_info import ServerInfo

SERVED_MODEL = "tgi"
"""Names the model that is served; any other name would be looked for among LoRA adapters, and silently not be found."""


def chat_call(request: ChatCompletionRequest, family: LlamaFamily | None, info: ServerInfo) -> Call:
    """What answers a conversation by the chat template of the server's model.

    Raises:
        BadRequestError: a `tool_prompt_format` that the model doesn't know, or an image that only this host could read.
        UnsupportedError: this wire has no way to say it.
    """
    tools = offered_tools(request)
    body: dict[str, Any] = {
        "model": SERVED_MODEL,
        "messages": [_message(message, index) for index, message in enumerate(request.messages)],
        **_sampling(request.sampling_params),
    }
    if tools:
        _check_tool_format(request.tool_prompt_format, family)
        body |= {"tools": [_tool(tool) for tool in tools], "tool_choice": _tool_choice(request)}
    if request.response_format is not None:
        body["response_format"] = grammar(request.response_format)
    if request.logprobs is not None:
        body |= {"logprobs": True} | ({"top_logprobs": request.logprobs.top_k} if request.logprobs.top_k else {})
    return Call(True, body, limit_tokens(request.sampling_params, info))


def _sampling(params: SamplingParams) -> dict[str, Any]:
    chosen = sampling(params)
    if chosen.top_k is not None:
        raise UnsupportedError(
            "this model is asked by its own chat template, and chat completions of text-generation-inference have no top_k",
            param="top_k",
        )
    said: dict[str, Any] = {
        "temperature": 0 if chosen.is_greedy else chosen.temperature,
        "top_p": chosen.top_p,
        # This wire has no repetition penalty of its own: the server makes one of this field, by adding 2.
        "presence_penalty": None if chosen.repetition_penalty is None else chosen.repetition_penalty - 2,
        "seed": chosen.seed,
        "stop": params.stop or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _check_tool_format(asked: ToolPromptFormat | None, family: LlamaFamily | None) -> None:
    if family is not None and family.tool_prompt_formats:
        tool_prompt_format_for(family, asked)
    elif asked not in (None, ToolPromptFormat.json):
        raise BadRequestError(
            f"this model's chat template has its own form for tools; tool_prompt_format {asked!s} needs a Llama 3.1 or 3.2 model",
            param="tool_prompt_format",
        )


# --- messages ---


def _message(message: Message, index: int) -> dict[str, Any]:
    if isinstance(message, SystemMessage):
        return {"role": "system", "content": content_text(message.content, "\n")}
    if isinstance(message, ToolResponseMessage):
        text = content_text(message.content)
        return {"role": "tool", "content": text, "name": message.tool_name, "tool_call_id": message.call_id}
    if isinstance(message, CompletionMessage):
        if message.tool_calls:
            # The server drops the calls of a message that has text too.
            return {"role": "assistant", "tool_calls": [_tool_call(call) for call in message.tool_calls]}
        return {"role": "assistant", "content": content_text(message.content)}
    contents = [message.content] if message.context is None else [message.content, message.context]
    items = [item for content in contents for item in content_items(content)]
    if not any(isinstance(item, ImageMedia) for item in items):
        return {"role": "user", "content": "\n\n".join(map(content_text, contents))}
    return {"role": "user", "content": [_part(item, index) for item in items]}


def _part(item: str | ImageMedia, index: int) -> dict[str, Any]:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    uri = item.image.uri
    if uri[:5].lower() == "file:":
        raise BadRequestError(
            "images are sent to text-generation-inference by data: or http(s) URL; it can't read files of others",
            param=f"messages.{index}.content",
        )
    return {"type": "image_url", "image_url": {"url": uri}}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.tool_name, "arguments": call.arguments_json or "{}"}
    return {"id": call.call_id, "type": "function", "function": function}


# --- tools ---


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    parameters = tool.arguments_schema()
    if tool.tool_name in set(BuiltinTool) and tool.json_schema is None and not tool.parameters:
        name = "code" if tool.tool_name == BuiltinTool.code_interpreter else "query"
        parameters = {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
    function = {"name": tool.tool_name, "description": tool.description or "", "parameters": parameters}
    return {"type": "function", "function": function}


def _tool_choice(request: ChatCompletionRequest) -> Any:
    if isinstance(request.tool_choice, NamedToolChoice):
        name = request.tool_choice.tool_name
        if name not in {tool.tool_name for tool in request.tools or ()}:
            raise BadRequestError("tool_choice names a tool that is not among the tools", param="tool_choice")
        return {"type": "function", "function": {"name": name}}
    return "required" if request.tool_choice is ToolChoiceMode.required else "auto"


__all__ = ["SERVED_MODEL", "chat_call"]
