"""Stream events as OpenAI's chunks. The text of a chunk is put together from parts that are the same for the whole stream."""

from hitchpost import api
from hitchpost.api import TextDelta
from hitchpost.host.json_text import json_string, json_value
from hitchpost.host.openai.encode import (
    AnswerHead,
    chat_logprobs,
    completion_finish_reason,
    completion_logprobs,
    finish_reason,
    usage,
)
from hitchpost.host.openai.errors import OPENAI
from hitchpost.host.surface import Surface

DONE = "data: [DONE]\n\n"


class ChatChunks:
    """Encodes the events of a chat completion.

    Args:
        head: what all chunks have in common.
        include_usage: whether a last chunk tells the usage; then all others have the field too, null.
    """

    surface: Surface = OPENAI
    holds_status = True

    def __init__(self, head: AnswerHead, *, include_usage: bool) -> None:
        self._head = (
            f'data: {{"id":{json_string(head.id)},"object":"chat.completion.chunk","created":{head.created},'
            f'"model":{json_string(head.model)},"system_fingerprint":null,"choices":['
        )
        self._tail = '],"usage":null}\n\n' if include_usage else "]}\n\n"
        self._include_usage = include_usage
        self._usage: api.Usage | None = None
        self._text_heads: dict[int, str] = {}
        """Of the choices that have begun."""
        self._text_tail = f'}},"logprobs":null,"finish_reason":null}}{self._tail}'
        self._calling: set[int] = set()

    def encode(self, event: api.InferenceEvent) -> str:
        """See `StreamEncoder`."""
        if type(event) is TextDelta and event.logprobs is None and (head := self._text_heads.get(event.choice)):
            return f"{head}{json_string(event.text)}{self._text_tail}" if event.text else ""
        if isinstance(event, api.Usage):
            self._usage = event
            return ""
        choice = event.choice
        if choice not in self._text_heads:
            self._text_heads[choice] = f'{self._head}{{"index":{choice},"delta":{{"content":'
            return self._chunk(choice, '"role":"assistant","content":""') + self._encode(event, choice)
        return self._encode(event, choice)

    def end(self) -> str:
        """See `StreamEncoder`."""
        if not self._include_usage:
            return DONE
        return f'{self._head}],"usage":{json_value(usage(self._usage))}}}\n\n{DONE}'

    def _encode(self, event: api.InferenceEvent, choice: int) -> str:
        match event:
            case api.TextDelta():
                if event.logprobs is not None:
                    tokens = json_value(chat_logprobs(event.logprobs))
                    return self._chunk(choice, f'"content":{json_string(event.text)}', tokens)
                return self._chunk(choice, f'"content":{json_string(event.text)}') if event.text else ""
            case api.ToolCallDelta():
                function = f'{{"arguments":{json_string(event.arguments)}}}'
                return self._chunk(choice, f'"tool_calls":[{{"index":{event.index},"function":{function}}}]')
            case api.ToolCallStart():
                self._calling.add(choice)
                function = f'{{"name":{json_string(event.name)},"arguments":""}}'
                call = f'{{"index":{event.index},"id":{json_string(event.call_id)},"type":"function","function":{function}}}'
                return self._chunk(choice, f'"tool_calls":[{call}]')
            case api.ReasoningDelta():
                return self._chunk(choice, f'"reasoning_content":{json_string(event.text)}')
            case api.RefusalDelta():
                return self._chunk(choice, f'"refusal":{json_string(event.text)}')
            case api.Finish():
                reason = finish_reason(event.reason, has_calls=choice in self._calling)
                return self._chunk(choice, "", finish=f'"{reason}"')
        return ""

    def _chunk(self, choice: int, delta: str, tokens: str = "null", finish: str = "null") -> str:
        return f'{self._head}{{"index":{choice},"delta":{{{delta}}},"logprobs":{tokens},"finish_reason":{finish}}}{self._tail}'


class CompletionChunks:
    """Encodes the events of a text completion. Args as for `ChatChunks`."""

    surface: Surface = OPENAI
    holds_status = True

    def __init__(self, head: AnswerHead, *, include_usage: bool) -> None:
        self._head = (
            f'data: {{"id":{json_string(head.id)},"object":"text_completion","created":{head.created},'
            f'"model":{json_string(head.model)},"choices":['
        )
        self._tail = '],"usage":null}\n\n' if include_usage else "]}\n\n"
        self._include_usage = include_usage
        self._usage: api.Usage | None = None
        self._offsets: dict[int, int] = {}

    def encode(self, event: api.CompletionEvent) -> str:
        """See `StreamEncoder`."""
        match event:
            case api.TextDelta():
                return self._text(event) if event.text or event.logprobs is not None else ""
            case api.Finish():
                return self._chunk(event.choice, '""', finish=f'"{completion_finish_reason(event.reason)}"')
            case api.Usage():
                self._usage = event
        return ""

    def end(self) -> str:
        """See `StreamEncoder`."""
        if not self._include_usage:
            return DONE
        return f'{self._head}],"usage":{json_value(usage(self._usage))}}}\n\n{DONE}'

    def _text(self, event: api.TextDelta) -> str:
        if event.logprobs is None:
            return self._chunk(event.choice, json_string(event.text))
        offset = self._offsets.get(event.choice, 0)
        self._offsets[event.choice] = offset + sum(len(token.token) for token in event.logprobs)
        tokens = json_value(completion_logprobs(event.logprobs, offset))
        return self._chunk(event.choice, json_string(event.text), tokens)

    def _chunk(self, choice: int, text: str, tokens: str = "null", finish: str = "null") -> str:
        return (
            f'{self._head}{{"text":{text},"index":{choice},"logprobs":{tokens},"finish_reason":{finish}}}{self._tail}'
        )


__all__ = ["DONE", "ChatChunks", "CompletionChunks"]
