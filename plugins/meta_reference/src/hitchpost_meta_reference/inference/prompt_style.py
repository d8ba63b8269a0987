"""How conversations with a checkpoint are written: by its own chat template, or by the format of its Llama family."""

from dataclasses import dataclass

from hitchpost.api import (
    BuiltinTool,
    Capability,
    ChatCompletionRequest,
    ToolChoiceMode,
    ToolDefinition,
    ToolPromptFormat,
)
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost.llama import BEGIN_OF_TEXT, LLAMA2_BEGIN, START_HEADER, LlamaFamily, find_llama_model
from hitchpost_meta_reference.engine.protocol import ModelFacts

_TEMPLATE_FORMATS = {None, ToolPromptFormat.json}


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """What is known of a model's prompts.

    Args:
        family: whose format `hitchpost.llama` can write for this checkpoint; None where its tokens or its training are unknown.
        has_template: whether the checkpoint brings a chat template.
        template_knows_tools: whether that template writes tools into the prompt.
    """

    family: LlamaFamily | None
    has_template: bool
    template_knows_tools: bool

    def family_for(self, request: ChatCompletionRequest) -> LlamaFamily | None:
        """The family whose format this conversation is written in, or None for the checkpoint's own template.

        Raises:
            UnsupportedError: the checkpoint has neither.
            BadRequestError: a `tool_prompt_format` that this checkpoint doesn't know.
        """
        tools = offered_tools(request)
        asked = request.tool_prompt_format if tools else None
        if self.has_template and self.family is not LlamaFamily.guard:
            wants_family = asked not in _TEMPLATE_FORMATS or any(map(is_builtin, tools))
            if not (wants_family and self.family is not None and self.family.tool_prompt_formats):
                if asked not in _TEMPLATE_FORMATS:
                    raise BadRequestError(
                        f"this model's chat template has its own form for tools; tool_prompt_format {asked!s} needs a Llama 3.1 or 3.2 model",
                        param="tool_prompt_format",
                    )
                return None
        if self.family is None:
            raise UnsupportedError(
                "this checkpoint has no chat template, and its name is not that of a Llama model: it can only complete text",
                param="messages",
            )
        return self.family

    def lacking(self) -> set[Capability]:
        """What the provider type can do, but not with this checkpoint."""
        if not self.has_template and self.family is None:
            return {Capability.chat, Capability.tools, Capability.parallel_tool_calls}
        knows_tools = self.template_knows_tools or (self.family is not None and bool(self.family.tool_prompt_formats))
        return set() if knows_tools else {Capability.tools, Capability.parallel_tool_calls}


def prompt_style(model: str, facts: ModelFacts) -> PromptStyle:
    """The style of a checkpoint that is served as `model`."""
    known = find_llama_model(model)
    family = known.family if known is not None else _guess_family(facts)
    begin = LLAMA2_BEGIN if family is LlamaFamily.llama2 else START_HEADER
    if begin.token not in facts.special_tokens:
        family = None
    return PromptStyle(family, facts.has_chat_template, facts.template_knows_tools)


def _guess_family(facts: ModelFacts) -> LlamaFamily | None:
    """By the tokens of a checkpoint in Meta's format; what else it was trained for, its files don't say."""
    if facts.checkpoint_format != "meta":
        return None
    return LlamaFamily.llama3 if BEGIN_OF_TEXT.token in facts.special_tokens else LlamaFamily.llama2


def offered_tools(request: ChatCompletionRequest) -> list[ToolDefinition]:
    """The tools that the model may call."""
    return [] if request.tool_choice is ToolChoiceMode.none else list(request.tools or ())


def is_builtin(tool: ToolDefinition) -> bool:
    """Whether the tool is one that Llama models know by its name alone."""
    return tool.tool_name in set(BuiltinTool) and tool.json_schema is None and not tool.parameters


__all__ = ["PromptStyle", "is_builtin", "offered_tools", "prompt_style"]
