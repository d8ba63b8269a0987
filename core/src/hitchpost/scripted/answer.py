"""What `inline::scripted` says to a request: from the rule that fits to reasoning, text, refusal and tool calls."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from re import Match
from string import Template
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionRequest,
    FinishReason,
    JsonSchemaResponseFormat,
    NamedToolChoice,
    ResponseFormat,
    ToolChoiceMode,
    ToolDefinition,
    content_text,
)
from hitchpost.errors import BadRequestError, quoted
from hitchpost.scripted.schema_values import satisfies, value_for
from hitchpost.scripted.script import Rule, ScriptedCall

ECHO = Rule(echo=True)
"""What holds where no rule fits."""


@dataclass(slots=True)
class Call:
    """A tool call; `arguments` is the text, usually of a JSON object."""

    name: str
    arguments: str


@dataclass(slots=True)
class Answer:
    """One whole answer, before any limit."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    finish: FinishReason = FinishReason.stop
    is_json: bool = False

    def variant(self, choice: int) -> "Answer":
        """The answer of a further choice, which differs in its text; JSON and calls stay as they are."""
        return replace(self, text=f"{self.text} ({choice + 1})") if choice and self.text and not self.is_json else self


@dataclass(slots=True)
class Said:
    """What was said last: the text, and whether a tool said it."""

    text: str
    by_tool: bool = False

    def find_match(self, rule: Rule) -> Match[str] | bool:
        """The match that makes a rule fit, True where it always fits, False where it doesn't."""
        if self.by_tool != (rule.to == "tool"):
            return False
        return True if rule.when is None else rule.when.search(self.text) or False


def said_last(request: ChatCompletionRequest) -> Said:
    """The last message of the user or of a tool; the context that goes with the user's counts as said."""
    for message in reversed(request.messages):
        if message.role == "user":
            context = f"\n{content_text(message.context)}" if message.context else ""
            return Said(content_text(message.content) + context)
        if message.role == "ipython":
            return Said(content_text(message.content), by_tool=True)
    return Said("")


def prompt_texts(request: ChatCompletionRequest) -> list[str]:
    """Every text of the request that counts as prompt."""
    texts: list[str] = []
    for message in request.messages:
        texts.append(content_text(message.content))
        if message.role == "user" and message.context:
            texts.append(content_text(message.context))
        elif message.role == "assistant":
            texts += [f"{call.tool_name} {call.arguments_json}" for call in message.tool_calls]
    return texts


def offered_tools(request: ChatCompletionRequest) -> dict[str, ToolDefinition]:
    """The tools that may be called, by name: none where the request forbids calls, one where it names one.

    Raises:
        BadRequestError: a call is demanded of a tool that isn't offered.
    """
    tools = {tool.tool_name: tool for tool in request.tools or ()}
    choice = request.tool_choice
    if choice is ToolChoiceMode.auto:
        return tools
    if choice is ToolChoiceMode.none:
        return {}
    if isinstance(choice, NamedToolChoice):
        if choice.tool_name not in tools:
            raise BadRequestError(
                f"tool_choice names {quoted(choice.tool_name)}, which tools does not have",
                param="tool_choice",
            )
        return {choice.tool_name: tools[choice.tool_name]}
    if choice is ToolChoiceMode.required and not tools:
        raise BadRequestError("tool_choice demands a call, but no tools are offered", param="tool_choice")
    return tools


def answer_chat(
    request: ChatCompletionRequest,
    tools: Mapping[str, ToolDefinition],
    rule: Rule,
    match: Match[str] | bool,
    said: Said,
) -> Answer:
    """The answer of a rule to a conversation, `tools` being those that may be called.

    Raises:
        UnsupportedError: no JSON is made for the schema that the request demands.
    """
    calls = [_call(call, tools[call.name], match) for call in rule.tool_calls if call.name in tools]
    choice = request.tool_choice
    reasoning = _fill(rule.reasoning, match)
    if tools and not calls and (choice is ToolChoiceMode.required or isinstance(choice, NamedToolChoice)):
        first = next(iter(tools.values()))
        forced = _call(ScriptedCall(name=first.tool_name), first, match)
        return Answer(reasoning=reasoning, calls=(forced,), finish=rule.finish or FinishReason.tool_calls)
    if request.parallel_tool_calls is False:
        calls = calls[:1]
    answer = Answer(
        text=_text(rule, match, said),
        reasoning=reasoning,
        refusal=_fill(rule.refusal, match),
        calls=tuple(calls),
        finish=rule.finish or (FinishReason.tool_calls if calls else FinishReason.stop),
    )
    return answer if calls else _formatted(answer, request.response_format)


def answer_prompt(request: CompletionRequest, rule: Rule, match: Match[str] | bool, said: Said) -> Answer:
    """The answer of a rule to a prompt, which is all text: a refusal is said as such, and there is no reasoning.

    Raises:
        UnsupportedError: no JSON is made for the schema that the request demands.
    """
    text = _text(rule, match, said) or _fill(rule.refusal, match)
    return _formatted(Answer(text=text, finish=rule.finish or FinishReason.stop), request.response_format)


def _text(rule: Rule, match: Match[str] | bool, said: Said) -> str:
    """The text of a rule. One that says nothing but has a fault echoes, so that there are events before the fault."""
    is_echo = rule.echo or (rule.text is rule.refusal is rule.reasoning is None and not rule.tool_calls)
    return (said.text if is_echo else _fill(rule.text, match)) * rule.repeat


def _formatted(answer: Answer, response_format: ResponseFormat | None) -> Answer:
    """The answer in the form that was demanded: a script's own JSON where it has the form, else JSON that we make."""
    if response_format is None or answer.refusal:
        return answer
    value = _parsed(answer.text)
    if isinstance(response_format, JsonSchemaResponseFormat):
        schema = response_format.json_schema
        if value is None or not satisfies(value, schema):
            return replace(answer, text=_json(value_for(schema, param="response_format")), is_json=True)
    elif not isinstance(value, dict):
        return replace(answer, text=_json({"answer": answer.text}), is_json=True)
    return replace(answer, is_json=True)


def _call(call: ScriptedCall, tool: ToolDefinition, match: Match[str] | bool) -> Call:
    if isinstance(call.arguments, str):
        return Call(call.name, _fill(call.arguments, match))
    if call.arguments is None:
        return Call(call.name, _json(value_for(tool.arguments_schema(), param="tools")))
    return Call(call.name, _json(_fill_all(call.arguments, match)))


def _fill(text: str | None, match: Match[str] | bool) -> str:
    if text is None or isinstance(match, bool):
        return text or ""
    return Template(text).safe_substitute({name: group or "" for name, group in match.groupdict().items()})


def _fill_all(value: Any, match: Match[str] | bool) -> Any:
    match value:
        case str():
            return _fill(value, match)
        case dict():
            return {key: _fill_all(item, match) for key, item in value.items()}
        case list():
            return [_fill_all(item, match) for item in value]
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def calls_fit(rule: Rule, tools: Collection[str]) -> bool:
    """Whether a request offers every tool that a rule calls."""
    return all(call.name in tools for call in rule.tool_calls)


__all__ = [
    "ECHO",
    "Answer",
    "Call",
    "Said",
    "answer_chat",
    "answer_prompt",
    "calls_fit",
    "offered_tools",
    "prompt_texts",
    "said_last",
]
