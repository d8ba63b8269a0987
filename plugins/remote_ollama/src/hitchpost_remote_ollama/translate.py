"""Requests into what Ollama is sent. Pure functions."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from hitchpost.api import (
    BuiltinTool,
    ChatCompletionRequest,
    CompletionMessage,
    CompletionRequest,
    EmbeddingsRequest,
    ImageMedia,
    InterleavedContent,
    JsonSchemaResponseFormat,
    LogProbConfig,
    Message,
    ResponseFormat,
    SamplingParams,
    SamplingStrategy,
    ToolChoiceMode,
    ToolDefinition,
    ToolPromptFormat,
    content_items,
    content_text,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.llama import response_format_text
from hitchpost_remote_ollama.model_settings import ModelFacts, ModelSettings

Body = dict[str, Any]

# --- requests ---


def chat_body(
    request: ChatCompletionRequest, model: str, settings: ModelSettings, facts: ModelFacts, *, truncate: bool
) -> Body:
    """The body for `/api/chat`, but for `stream`.

    Args:
        model: Ollama's name of it.
        settings: of the model, completed by the config.
        facts: what is known of the model.
        truncate: whether messages that don't fit may be left out.

    Raises:
        BadRequestError: an image that is no base64, or arguments of a call that are no JSON object.
        UnsupportedError: an image by address, or a `tool_prompt_format` of which Ollama knows nothing.
    """
    messages = [_message(message, index) for index, message in enumerate(request.messages)]
    body: Body = {"model": model, "messages": messages}
    tools = _offered_tools(request)
    if tools:
        body["tools"] = [_tool(tool) for tool in tools]
    if request.response_format is not None:
        # The schema only constrains; nothing tells the model what it is to write.
        messages.append({"role": "user", "content": response_format_text(request.response_format)})
    if settings.think is not None and (not settings.think or facts.can is None or "thinking" in facts.can):
        body["think"] = settings.think
    body.update(_bounds(request.sampling_params, request.response_format, request.logprobs, facts, truncate))
    return with_settings(body, settings)


def completion_body(
    request: CompletionRequest, model: str, settings: ModelSettings, facts: ModelFacts, *, truncate: bool
) -> Body:
    """The body for `/api/generate`, but for `stream`. Arguments and errors as of `chat_body`."""
    if _images([request.content]):
        raise UnsupportedError("Ollama continues text only; ask about images by chat completion", param="content")
    prompt = content_text(request.content)
    if not prompt:
        raise BadRequestError("there is no text to continue, and Ollama begins none by itself", param="content")
    if request.response_format is not None:
        prompt = f"{prompt}\n\n{response_format_text(request.response_format)}\n\n"
    body: Body = {"model": model, "prompt": prompt, "raw": True}
    body.update(_bounds(request.sampling_params, request.response_format, request.logprobs, facts, truncate))
    return with_settings(body, settings)


def embeddings_body(request: EmbeddingsRequest, model: str, settings: ModelSettings, *, truncate: bool) -> Body:
    """The body for `/api/embed`.

    Raises:
        UnsupportedError: an image.
    """
    if _images(request.contents):
        raise UnsupportedError("Ollama makes vectors of text only", param="contents")
    body: Body = {"model": model, "input": [content_text(one) for one in request.contents], "truncate": truncate}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return with_settings(body, settings)


def with_settings(body: Body, settings: ModelSettings) -> Body:
    """The body with what the model's settings add to it."""
    if settings.num_ctx is not None:
        body["options"] = {**body.get("options", {}), "num_ctx": settings.num_ctx}
    if settings.keep_alive is not None:
        body["keep_alive"] = settings.keep_alive
    return body


# --- what bounds and shapes an answer ---


def _bounds(
    params: SamplingParams,
    response_format: ResponseFormat | None,
    logprobs: LogProbConfig | None,
    facts: ModelFacts,
    truncate: bool,
) -> Body:
    body: Body = {"truncate": truncate, "shift": truncate}
    options = sampling_options(params, facts.stops)
    if options:
        body["options"] = options
    if isinstance(response_format, JsonSchemaResponseFormat):
        body["format"] = response_format.json_schema
    elif response_format is not None:
        body["format"] = "json"
    if logprobs is not None:
        body["logprobs"] = True
        body["top_logprobs"] = logprobs.top_k or 0
    return body


def sampling_options(params: SamplingParams, stops: Sequence[str] = ()) -> Body:
    """`options` of what the caller said; what isn't said stays for the model's Modelfile to decide.

    The strategies `top_p` and `top_k` name the limit that holds; the other one holds beside it only if the caller said it.

    Args:
        stops: the model's own stop strings, which those of a request would otherwise take the place of.
    """
    said = params.all_said()
    if not said:
        return {}
    options: Body = {name: said.get(name) for name in ("temperature", "top_p", "top_k")}
    strategy = said.get("strategy")
    if strategy is SamplingStrategy.greedy:
        options["temperature"] = 0
    elif strategy is SamplingStrategy.top_p:
        options["top_k"] = options["top_k"] or 0
    elif strategy is SamplingStrategy.top_k:
        options["top_p"] = options["top_p"] or 1.0
    if "repetition_penalty" in said:
        options["repeat_penalty"] = float(said["repetition_penalty"] or 1.0)
    # 0 is what a caller has who says nothing of them; a Modelfile may have others.
    options |= {name: said.get(name) or None for name in ("presence_penalty", "frequency_penalty")}
    options["num_predict"] = said.get("max_tokens") or None
    # A seed below 0 would mean a new one for each request.
    options["seed"] = said["seed"] % 2**31 if "seed" in said else None
    options["stop"] = list(dict.fromkeys([*said["stop"], *stops])) if said.get("stop") else None
    return {name: value for name, value in options.items() if value is not None}


# --- messages ---


def _message(message: Message, index: int) -> Body:
    # By role, not by type: types of pydantic's are slow to tell apart.
    if message.role == "user":
        contents = [message.content] if message.context is None else [message.content, message.context]
        return {"role": "user", **_content(contents, index)}
    body = {"role": "tool" if message.role == "ipython" else message.role, **_content([message.content], index)}
    if message.role == "ipython":
        body |= {"tool_name": message.tool_name, "tool_call_id": message.call_id}
    elif message.role == "assistant" and message.tool_calls:
        body["tool_calls"] = _calls(message, index)
    return body


def _content(contents: Sequence[InterleavedContent], index: int) -> Body:
    """The texts of contents, joined, and their images beside them; Ollama shows a model the images of a message before its text."""
    if len(contents) == 1 and isinstance(contents[0], str):
        return {"content": contents[0]}
    texts = (" ".join(item for item in content_items(content) if isinstance(item, str)) for content in contents)
    body: Body = {"content": "\n\n".join(texts)}
    images = _images(contents)
    if images:
        body["images"] = [_image(image, index) for image in images]
    return body


def _images(contents: Sequence[InterleavedContent]) -> list[ImageMedia]:
    return [item for content in contents for item in content_items(content) if isinstance(item, ImageMedia)]


def _image(image: ImageMedia, index: int) -> str:
    """The image as Ollama takes it: base64 without anything around it."""
    uri = image.image.uri
    if not uri[:5].lower() == "data:":
        raise UnsupportedError(
            f"Ollama fetches no images: send it inline, as a data: URL, not by {uri.partition(':')[0].lower()}",
            param=f"messages.{index}.content",
        )
    header, comma, data = uri.partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise BadRequestError("an image must be base64: data:image/png;base64,...", param=f"messages.{index}.content")
    return unquote_to_bytes(data).decode("ascii", "replace") if "%" in data else data


def _calls(message: CompletionMessage, index: int) -> list[Body]:
    calls = []
    for number, call in enumerate(message.tool_calls):
        arguments = call.find_arguments()
        if arguments is None:
            raise BadRequestError(
                f"the arguments of the call {call.call_id} are no JSON object, and Ollama takes nothing else",
                param=f"messages.{index}.tool_calls.{number}.arguments",
            )
        function = {"name": call.tool_name, "arguments": arguments}
        calls.append({"id": call.call_id, "type": "function", "function": function})
    return calls


# --- tools ---


def _offered_tools(request: ChatCompletionRequest) -> Sequence[ToolDefinition]:
    if request.tool_choice is ToolChoiceMode.none or not request.tools:
        return []
    if request.tool_prompt_format not in (None, ToolPromptFormat.json):
        raise UnsupportedError(
            f"Ollama writes tools by the model's own template; leave tool_prompt_format {request.tool_prompt_format} out",
            param="tool_prompt_format",
        )
    return request.tools


def _tool(tool: ToolDefinition) -> Body:
    parameters = tool.arguments_schema()
    if tool.tool_name in set(BuiltinTool) and tool.json_schema is None and not tool.parameters:
        # Llama models know these by name; other models have to be told what they take.
        name = "code" if tool.tool_name == BuiltinTool.code_interpreter else "query"
        parameters = {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
    function = {"name": tool.tool_name, "description": tool.description or "", "parameters": parameters}
    return {"type": "function", "function": function}


__all__ = ["Body", "chat_body", "completion_body", "embeddings_body", "sampling_options", "with_settings"]
