"""Requests into what the engine is asked, and its events into ours. Pure functions."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from hitchpost.api import (
    BuiltinTool,
    ChatCompletionRequest,
    CompletionEvent,
    CompletionMessage,
    CompletionRequest,
    Finish,
    FinishReason,
    InferenceEvent,
    LogProbConfig,
    Message,
    SamplingParams,
    SamplingStrategy,
    SystemMessage,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    ToolDefinition,
    ToolResponseMessage,
    Usage,
    content_text,
)
from hitchpost.errors import BadRequestError
from hitchpost.llama import PYTHON_TAG, ToolCallParser, chat_prompt
from hitchpost_meta_reference.engine.protocol import (
    Done,
    End,
    Prompt,
    Sampling,
    SegmentsPrompt,
    Submit,
    TemplatePrompt,
    Text,
    TextPrompt,
)
from hitchpost_meta_reference.inference.prompt_style import PromptStyle, is_builtin, offered_tools

MAX_STOP_STRINGS = 64
MAX_STOP_CHARS = 4096
"""Of all stop strings of a request together."""

_REASONS = {
    "stopped": FinishReason.stop,
    "stop_string": FinishReason.stop,
    "end_of_message": FinishReason.end_of_message,
    "length": FinishReason.length,
}

# --- requests ---


def completion_submit(request: CompletionRequest) -> Submit:
    """What the engine is asked to continue.

    Raises:
        BadRequestError: stop strings that can't be searched for.
    """
    return _submit(TextPrompt(content_text(request.content)), request.sampling_params, request.logprobs)


def chat_submit(request: ChatCompletionRequest, style: PromptStyle, today: date) -> Submit:
    """What the engine is asked to answer.

    Args:
        today: the date that Llama 3.1 models are told.

    Raises:
        BadRequestError, UnsupportedError: the conversation can't be written for this model.
    """
    family = style.family_for(request)
    tools = offered_tools(request)
    prompt: Prompt
    if family is None:
        prompt = TemplatePrompt(template_messages(request.messages), [_template_tool(tool) for tool in tools] or None)
    else:
        segments = chat_prompt(
            request.messages,
            family,
            today,
            tools=tools,
            tool_prompt_format=request.tool_prompt_format if tools else None,
        )
        prompt = SegmentsPrompt(segments)
    submit = _submit(prompt, request.sampling_params, request.logprobs)
    if tools:
        submit.visible_tokens = [PYTHON_TAG.token]
    return submit


def template_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """A conversation in the form that Hugging Face chat templates read."""
    return [_template_message(message) for message in messages]


def _template_message(message: Message) -> dict[str, Any]:
    content = content_text(message.content)
    if isinstance(message, SystemMessage):
        return {"role": "system", "content": content}
    if isinstance(message, ToolResponseMessage):
        return {"role": "tool", "name": message.tool_name, "tool_call_id": message.call_id, "content": content}
    if isinstance(message, CompletionMessage):
        calls = [
            {
                "id": call.call_id,
                "type": "function",
                # Templates write the arguments as JSON themselves; what isn't an object stays the text it was.
                "function": {"name": call.tool_name, "arguments": call.find_arguments() or call.arguments_json or {}},
            }
            for call in message.tool_calls
        ]
        return {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls else {})
    if message.context is not None:
        content = f"{content}\n\n{content_text(message.context)}"
    return {"role": "user", "content": content}


def _template_tool(tool: ToolDefinition) -> dict[str, Any]:
    parameters = tool.arguments_schema()
    if is_builtin(tool):
        name = "code" if tool.tool_name == BuiltinTool.code_interpreter else "query"
        parameters = {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
    function = {"name": tool.tool_name, "description": tool.description or "", "parameters": parameters}
    return {"type": "function", "function": function}


def _submit(prompt: Prompt, params: SamplingParams, logprobs: LogProbConfig | None) -> Submit:
    return Submit(
        request_id=0,
        prompt=prompt,
        sampling=sampling(params),
        n=params.n,
        max_tokens=params.max_tokens or None,
        stop=_stop_strings(params.stop or []),
        top_logprobs=None if logprobs is None else logprobs.top_k or 0,
    )


def _stop_strings(stops: list[str]) -> list[str]:
    if len(stops) > MAX_STOP_STRINGS or sum(map(len, stops)) > MAX_STOP_CHARS:
        raise BadRequestError(
            f"stop may hold at most {MAX_STOP_STRINGS} strings of at most {MAX_STOP_CHARS} characters together",
            param="stop",
        )
    return stops


def sampling(params: SamplingParams) -> Sampling:
    """How tokens are chosen; what is None there stays for the checkpoint to decide.

    The strategies `top_p` and `top_k` name the limit that holds; the other one holds beside it only if the caller said it.
    """
    top_p, top_k = params.top_p, params.top_k
    if params.strategy is SamplingStrategy.top_k:
        top_p = params.said("top_p") or 1.0
    elif params.strategy is SamplingStrategy.top_p:
        top_k = params.said("top_k") or 0
    return Sampling(
        temperature=0.0 if params.is_greedy else params.temperature,
        top_p=top_p,
        top_k=top_k,
        repetition_penalty=params.repetition_penalty,
        presence_penalty=params.presence_penalty,
        frequency_penalty=params.frequency_penalty,
        logit_bias=params.logit_bias,
        seed=params.seed,
    )


# --- events ---


def completion_event(event: Text | End | Done) -> CompletionEvent:
    """An event of the engine as one of a completion."""
    match event:
        case Text():
            return TextDelta(event.text, event.choice, event.logprobs)
        case End():
            return Finish(_REASONS[event.cause], event.choice, event.stop_text)
        case Done():
            return Usage(event.prompt_tokens, event.completion_tokens)


class ChatEvents:
    """Turns the engine's events of one chat request into ours, and text into tool calls.

    Args:
        request: tells how many choices there are, and which calls are allowed.
    """

    def __init__(self, request: ChatCompletionRequest) -> None:
        names = [tool.tool_name for tool in offered_tools(request)]
        self._parsers = [ToolCallParser(names, choice=choice) for choice in range(request.sampling_params.n)]
        self._only_one_call = request.parallel_tool_calls is False

    def translate(self, event: Text | End | Done) -> Iterator[InferenceEvent]:
        """What is certain after this event."""
        match event:
            case Text():
                yield from self._allowed(self._parsers[event.choice].feed(event.text, event.logprobs))
            case End():
                reason = _REASONS[event.cause]
                yield from self._allowed(self._parsers[event.choice].finish(reason, event.stop_text))
            case Done():
                yield Usage(event.prompt_tokens, event.completion_tokens)

    def _allowed(self, events: Iterable[InferenceEvent]) -> Iterable[InferenceEvent]:
        if not self._only_one_call:
            return events
        return (event for event in events if not (isinstance(event, ToolCallStart | ToolCallDelta) and event.index > 0))


__all__ = [
    "MAX_STOP_CHARS",
    "MAX_STOP_STRINGS",
    "ChatEvents",
    "chat_submit",
    "completion_event",
    "completion_submit",
    "sampling",
    "template_messages",
]
