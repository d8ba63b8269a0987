"""The chat format of Llama 2.

Its turns are marked by plain text, `[INST]` and `<<SYS>>`, which no tokenizer can tell from a user's. So marks inside of messages are broken up by
a space.

Source: the reference code that was published with Llama 2.
"""

import re
from collections.abc import Sequence

from hitchpost.api import CompletionMessage, Message, SystemMessage, UserMessage, content_text
from hitchpost.errors import BadRequestError
from hitchpost.llama.special_tokens import LLAMA2_BEGIN, LLAMA2_END, Prompt

_MARK = re.compile(r"\[(?=/?INST\])|<(?=</?SYS>>)")


def llama2_chat_prompt(messages: Sequence[Message]) -> Prompt:
    """The prompt of a conversation in which user and assistant alternate. User messages side by side are joined by an empty line.

    Raises:
        BadRequestError: the assistant speaks first, last, or twice in a row.
    """
    system = ""
    asked: list[str] = []
    prompt: Prompt = []
    for index, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            system = f"<<SYS>>\n{_plain(message)}\n<</SYS>>\n\n"
        elif isinstance(message, CompletionMessage):
            if not asked:
                raise BadRequestError(
                    "Llama 2 needs a user message before each assistant message", param=f"messages.{index}.role"
                )
            prompt += [LLAMA2_BEGIN, f"{_instruction(system, asked)} {_plain(message)} ", LLAMA2_END]
            system, asked = "", []
        else:
            asked.append(_plain(message))
    if not asked:
        raise BadRequestError("Llama 2 needs a user message at the end", param=f"messages.{len(messages) - 1}.role")
    return [*prompt, LLAMA2_BEGIN, _instruction(system, asked)]


def _instruction(system: str, asked: list[str]) -> str:
    question = "\n\n".join(asked)
    return f"[INST] {system}{question} [/INST]"


def _plain(message: Message) -> str:
    contents = [message.content]
    if isinstance(message, UserMessage) and message.context is not None:
        contents.append(message.context)
    text = "\n\n".join(content_text(content) for content in contents).strip()
    return _MARK.sub(lambda found: found[0] + " ", text)


__all__ = ["llama2_chat_prompt"]
