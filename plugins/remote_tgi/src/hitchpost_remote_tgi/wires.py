"""Which of the server's two wires a conversation takes.

`/generate`, with the prompt written here, where the model is a Llama model whose format `hitchpost.llama` knows. It has what the other wire lacks:

- several tool calls in one answer, built-in tools, `tool_prompt_format`, and no second generation where no tool is wanted;
- `top_k`, and the special tokens, by which a turn and a message that waits for a tool are told apart;
- the reason of the end in each case, and the tokens of the prompt.

`/v1/chat/completions`, with the chat template of the server's model, where that is the better or the only way:

- a model whose format nobody here knows;
- a model that sees images: they travel as parts of messages, while in a prompt they are Markdown, which a user's text could spell too;
- a call that is demanded (`tool_choice` `required`, or a tool by name): there the server constrains the answer to one;
- tools, or results of tools, for a Llama model that was trained for none.

A completion always takes `/generate`: `/v1/completions` has neither log probabilities nor grammars, and its streams count nothing.
"""

from datetime import date

from hitchpost.api import (
    ChatCompletionRequest,
    ImageMedia,
    InterleavedContent,
    Message,
    NamedToolChoice,
    ToolChoiceMode,
    content_items,
)
from hitchpost.errors import UnsupportedError
from hitchpost.llama import LlamaFamily
from hitchpost_remote_tgi.call import Call
from hitchpost_remote_tgi.chat_request import chat_call
from hitchpost_remote_tgi.generate_request import generate_call, offered_tools
from hitchpost_remote_tgi.server_info import ServerInfo


def conversation_call(
    request: ChatCompletionRequest, family: LlamaFamily | None, info: ServerInfo, today: date
) -> Call:
    """What answers a conversation, on the wire that is right for it.

    Raises:
        BadRequestError, UnsupportedError: it can't be said to this server or its model.
    """
    if offered_tools(request) and request.response_format is not None:
        raise UnsupportedError(
            "text-generation-inference constrains an answer by tools or by a form, not by both", param="response_format"
        )
    if family is not None and not _needs_template(request, family, info):
        return generate_call(request, family, info, today)
    if not info.has_chat:
        raise UnsupportedError(
            "this server is older than 1.4: it has no chat completions, which this request needs", param="messages"
        )
    return chat_call(request, family, info)


def _needs_template(request: ChatCompletionRequest, family: LlamaFamily, info: ServerInfo) -> bool:
    tools = offered_tools(request)
    if info.sees_images or family is LlamaFamily.llama3_2_vision:
        return True
    if any(_has_image(message) for message in request.messages):
        return True
    if tools and (isinstance(request.tool_choice, NamedToolChoice) or request.tool_choice is ToolChoiceMode.required):
        return True
    return not family.tool_prompt_formats and (
        bool(tools) or any(_is_of_tools(message) for message in request.messages)
    )


def _has_image(message: Message) -> bool:
    context = message.context if message.role == "user" else None
    return _holds_image(message.content) or (context is not None and _holds_image(context))


def _holds_image(content: InterleavedContent) -> bool:
    return not isinstance(content, str) and any(isinstance(item, ImageMedia) for item in content_items(content))


def _is_of_tools(message: Message) -> bool:
    return message.role == "ipython" or (message.role == "assistant" and bool(message.tool_calls))


__all__ = ["conversation_call"]
