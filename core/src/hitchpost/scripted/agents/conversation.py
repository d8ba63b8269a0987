"""What a model is told in a turn of an agent, and what is read off its answer."""

from collections.abc import AsyncGenerator, Sequence

from hitchpost.api import (
    AnyAgentTool,
    BraveSearchTool,
    BuiltinTool,
    CodeInterpreterTool,
    CompletionMessage,
    FinishReason,
    FunctionCallTool,
    InferenceEvent,
    InferenceStep,
    MemoryTool,
    Message,
    PhotogenTool,
    SafetyViolation,
    ShieldCallStep,
    StopReason,
    SystemMessage,
    ToolDefinition,
    ToolExecutionStep,
    ToolParamDefinition,
    ToolResponse,
    ToolResponseMessage,
    Turn,
    UserMessage,
    WolframAlphaTool,
)
from hitchpost.plugin import collect_chat

_STOP_REASONS = {
    FinishReason.length: StopReason.out_of_tokens,
    FinishReason.end_of_message: StopReason.end_of_message,
}
"""Every other reason is the end of the turn."""

BUILTIN: dict[type[AnyAgentTool], BuiltinTool] = {
    BraveSearchTool: BuiltinTool.brave_search,
    WolframAlphaTool: BuiltinTool.wolfram_alpha,
    PhotogenTool: BuiltinTool.photogen,
    CodeInterpreterTool: BuiltinTool.code_interpreter,
}


def offered_tools(tools: Sequence[AnyAgentTool]) -> list[ToolDefinition]:
    """The tools that the model is told of; memory is none of them."""
    offered = []
    for tool in tools:
        if isinstance(tool, FunctionCallTool):
            offered.append(
                ToolDefinition(tool_name=tool.function_name, description=tool.description, parameters=tool.parameters)
            )
        elif not isinstance(tool, MemoryTool):
            argument = "code" if isinstance(tool, CodeInterpreterTool) else "query"
            parameters = {argument: ToolParamDefinition(param_type="str")}
            offered.append(ToolDefinition(tool_name=BUILTIN[type(tool)], parameters=parameters))
    return offered


def history(instructions: str, earlier: Sequence[Turn]) -> list[Message]:
    """What the model is told of the session so far."""
    messages: list[Message] = [SystemMessage(content=instructions)] if instructions else []
    for turn in earlier:
        messages += [_without_context(said) for said in turn.input_messages]
        for step in turn.steps:
            match step:
                case InferenceStep():
                    messages.append(step.model_response)
                case ToolExecutionStep():
                    messages += [tool_message(response) for response in step.tool_responses]
                case ShieldCallStep(violation=SafetyViolation(user_message=text)):
                    messages.append(told(text or ""))
    return messages


async def spoken_message(heard: Sequence[InferenceEvent]) -> CompletionMessage:
    """What the model said. Calls of which one can't be read stay text, as in native chat."""

    async def replayed() -> AsyncGenerator[InferenceEvent, None]:
        for event in heard:
            yield event

    choice = (await collect_chat(replayed(), 1)).choices[0]
    text, calls = choice.text + choice.refusal, choice.tool_calls
    if any(call.find_arguments() is None for call in calls):
        text, calls = text + "".join(call.arguments_json for call in calls), []
    stop_reason = _STOP_REASONS.get(choice.finish_reason, StopReason.end_of_turn)
    return CompletionMessage(content=text, stop_reason=stop_reason, tool_calls=calls)


def told(text: str) -> CompletionMessage:
    """A message that the model didn't say."""
    return CompletionMessage(content=text, stop_reason=StopReason.end_of_turn)


def tool_message(response: ToolResponse) -> ToolResponseMessage:
    """What a tool answered, as the model is told of it."""
    return ToolResponseMessage(call_id=response.call_id, tool_name=response.tool_name, content=response.content)


def _without_context(said: UserMessage | ToolResponseMessage) -> UserMessage | ToolResponseMessage:
    return said.model_copy(update={"context": None}) if isinstance(said, UserMessage) else said


__all__ = ["BUILTIN", "history", "offered_tools", "spoken_message", "told", "tool_message"]
