"""Requests for `/generate`: a prompt that is written here, and parameters. Pure functions."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionRequest,
    ImageMedia,
    LogProbConfig,
    ResponseFormat,
    SamplingParams,
    ToolChoiceMode,
    ToolDefinition,
    content_items,
    content_text,
)
from hitchpost.errors import UnsupportedError
from hitchpost.llama import LlamaFamily, chat_prompt, completion_prompt, prompt_text
from hitchpost_remote_tgi.call import Call
from hitchpost_remote_tgi.grammar import grammar
from hitchpost_remote_tgi.sampling import limit_tokens, sampling
from hitchpost_remote_tgi.server_info import ServerInfo


def offered_tools(request: ChatCompletionRequest) -> Sequence[ToolDefinition]:
    """The tools that the model may call."""
    return () if request.tool_choice is ToolChoiceMode.none else request.tools or ()


def completion_call(request: CompletionRequest, family: LlamaFamily | None, info: ServerInfo) -> Call:
    """What continues a text.

    Raises:
        UnsupportedError: an image, or a form of the answer that the server can't follow.
    """
    if any(isinstance(item, ImageMedia) for item in content_items(request.content)):
        raise UnsupportedError("a completion of text-generation-inference takes text only", param="content")
    text = content_text(request.content)
    if family is not None:
        # The server's tokenizer puts the first token there, and reads special tokens in what a user wrote.
        text = prompt_text(completion_prompt(request.content, family), with_begin=False)
    return _call(text, request.sampling_params, request.response_format, request.logprobs, info)


def generate_call(request: ChatCompletionRequest, family: LlamaFamily, info: ServerInfo, today: date) -> Call:
    """What answers a conversation with a Llama model.

    Args:
        today: the date that Llama 3.1 models are told.

    Raises:
        BadRequestError, UnsupportedError: the conversation can't be written for this family, or the form of the answer not be followed.
    """
    tools = offered_tools(request)
    prompt = chat_prompt(
        request.messages, family, today, tools=tools, tool_prompt_format=request.tool_prompt_format if tools else None
    )
    inputs = prompt_text(prompt, with_begin=False)
    return _call(inputs, request.sampling_params, request.response_format, request.logprobs, info)


def _call(
    inputs: str,
    params: SamplingParams,
    response_format: ResponseFormat | None,
    logprobs: LogProbConfig | None,
    info: ServerInfo,
) -> Call:
    chosen = sampling(params)
    said: dict[str, Any] = {
        "temperature": chosen.temperature,
        "top_p": chosen.top_p,
        "top_k": chosen.top_k,
        "repetition_penalty": chosen.repetition_penalty,
        "seed": chosen.seed,
        "stop": params.stop or None,
        "grammar": None if response_format is None else grammar(response_format),
        "top_n_tokens": None if logprobs is None else logprobs.top_k or None,
    }
    # An explicit null is a type error for some of them.
    parameters = {name: value for name, value in said.items() if value is not None}
    parameters |= {"do_sample": not chosen.is_greedy, "details": True, "return_full_text": False}
    return Call(False, {"inputs": inputs, "parameters": parameters}, limit_tokens(params, info))


__all__ = ["completion_call", "generate_call", "offered_tools"]
