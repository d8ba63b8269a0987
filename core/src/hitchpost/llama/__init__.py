"""Llama's prompt formats, tool-call parser and model catalogue: pure functions for whoever serves a Llama model."""

from hitchpost.llama.catalogue import LLAMA_MODELS, LlamaFamily, LlamaModel, find_llama_model
from hitchpost.llama.prompts import chat_messages, chat_prompt, completion_prompt, response_format_text
from hitchpost.llama.special_tokens import (
    BEGIN_OF_TEXT,
    END_HEADER,
    END_OF_MESSAGE,
    END_OF_TEXT,
    END_OF_TURN,
    IMAGE,
    LLAMA2_BEGIN,
    LLAMA2_END,
    PYTHON_TAG,
    START_HEADER,
    STOP_TOKENS,
    Prompt,
    SpecialToken,
    prompt_text,
)
from hitchpost.llama.tool_call_parser import MAX_HELD_CHARS, ParsedEvent, ToolCallParser, parse_tool_calls
from hitchpost.llama.tool_calls import encode_tool_calls
from hitchpost.llama.tool_prompts import custom_tools_prompt, tool_prompt_format_for

__all__ = [
    "BEGIN_OF_TEXT",
    "END_HEADER",
    "END_OF_MESSAGE",
    "END_OF_TEXT",
    "END_OF_TURN",
    "IMAGE",
    "LLAMA2_BEGIN",
    "LLAMA2_END",
    "LLAMA_MODELS",
    "MAX_HELD_CHARS",
    "PYTHON_TAG",
    "START_HEADER",
    "STOP_TOKENS",
    "LlamaFamily",
    "LlamaModel",
    "ParsedEvent",
    "Prompt",
    "SpecialToken",
    "ToolCallParser",
    "chat_messages",
    "chat_prompt",
    "completion_prompt",
    "custom_tools_prompt",
    "encode_tool_calls",
    "find_llama_model",
    "parse_tool_calls",
    "prompt_text",
    "response_format_text",
    "tool_prompt_format_for",
]
