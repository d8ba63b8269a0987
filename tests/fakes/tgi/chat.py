"""`/v1/chat/completions` of the fake: what it reads of a request, and how it answers."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.tgi.generation import Generation
from tests.fakes.tgi.speech import END, Speech, Turn
from tests.fakes.tgi.validation import Refused, check_grammar_type, check_types, mistyped

CREATED = 1763650000
CALLS = "\u0000call:"
"""Begins the text of a generation that is a tool call, which a grammar made."""


def chat_parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the generation behind a request.

    Raises:
        Refused: types that the router doesn't read, and what it finds wrong before a stream begins.
    """
    if not isinstance(body.get("messages"), list):
        raise mistyped("messages", "missing field `messages`")
    for message in body["messages"]:
        if message.get("content") is None and not message.get("tool_calls"):
            raise mistyped("messages", "data did not match any variant of untagged enum MessageBody")
    if "stream_options" in body and not isinstance(body["stream_options"], dict):
        raise mistyped("stream_options", "invalid type: null, expected struct StreamOptions")
    if body.get("stop") is not None and not isinstance(body["stop"], list):
        raise mistyped("stop", "invalid type: string, expected a sequence")
    if body.get("logit_bias") is not None and not isinstance(body["logit_bias"], list):
        raise mistyped("logit_bias", "invalid type: map, expected a sequence")
    if (body.get("top_logprobs") or 0) > 5:
        raise Refused(422, "validation", "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 6")
    response_format = body.get("response_format")
    if response_format is not None:
        check_grammar_type(response_format, "response_format")
        if body.get("tools"):
            raise Refused(422, "tool_error", "Tool error: Grammar and tools are mutually exclusive")
    for tool in body.get("tools") or ():
        if "parameters" not in tool["function"] and "arguments" not in tool["function"]:
            raise mistyped("tools[0].function", "missing field `arguments`")
    temperature = body.get("temperature")
    parameters = {
        "do_sample": temperature != 0,
        "temperature": temperature or None,
        "top_p": body.get("top_p"),
        "seed": body.get("seed"),
        "stop": body.get("stop") or [],
        "max_new_tokens": body.get("max_tokens"),
        "frequency_penalty": body.get("frequency_penalty"),
        "repetition_penalty": None if body.get("presence_penalty") is None else body["presence_penalty"] + 2.0,
        "grammar": response_format,
    }
    check_types({name: value for name, value in parameters.items() if value is not None})
    return parameters


def chat_speech(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """What the model says, by its template."""
    turns = [
        Turn("ipython" if message["role"] == "tool" else message["role"], _text(message))
        for message in body["messages"]
    ]
    call = _call(body, turns[-1] if turns else Turn("user", ""))
    if call is not None:
        return CALLS + call + END
    return Speech(turns, [], parameters.get("grammar"), parameters.get("seed"), bool(parameters["do_sample"])).answer()


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if part["type"] == "text" else "(an image)" for part in content)


def _call(body: Mapping[str, Any], last: Turn) -> str | None:
    tools = [tool["function"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice") or "auto"
    if not tools or choice == "none":
        return None
    if isinstance(choice, dict):
        choice = choice["function"]["name"]
    if choice == "auto" and not (last.role == "user" and "weather" in last.text):
        # The pseudo tool `no_tool`: the router generates once more, without tools.
        return None
    named = [tool for tool in tools if tool["name"] == choice] or tools[:1]
    properties = named[0]["parameters"].get("properties", {})
    return json.dumps({"name": named[0]["name"], "arguments": dict.fromkeys(properties, "Oslo")})


class ChatAnswer:
    """Writes answers to one request, in the form of the server's version."""

    def __init__(self, body: Mapping[str, Any], model_id: str, version: tuple[int, ...]) -> None:
        asked = body.get("model")
        self._model = model_id if asked in (None, "tgi") else asked
        self._body = body
        self._version = version

    def whole(self, generation: Generation) -> dict[str, Any]:
        """A whole answer."""
        text = generation.text()
        message: dict[str, Any] = {"role": "assistant"}
        if text[:1] == CALLS[0]:
            call = self._parsed(text)
            is_old = self._version < (3, 1)
            arguments = call["arguments"] if is_old else json.dumps(call["arguments"])
            function = {"description": None, "name": call["name"], "arguments": arguments}
            message["tool_calls"] = [{"id": "0", "type": "function", "function": function}]
        else:
            message["content"] = text
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(generation.tokens),
            "finish_reason": self._reason(generation),
        }
        return {**self._frame("chat.completion"), "choices": [choice], "usage": _usage(generation)}

    def chunks(self, generation: Generation) -> Iterator[dict[str, Any]]:
        """A stream's chunks."""
        if generation.text()[:1] == CALLS[0]:
            yield from self._call_chunks(generation)
        else:
            for number, token in enumerate(generation.tokens, start=1):
                content = "" if token.is_special else token.text
                choice = {
                    "index": 0,
                    "delta": {"role": "assistant", "content": content},
                    "logprobs": self._logprobs([token]),
                    "finish_reason": self._reason(generation) if number == len(generation.tokens) else None,
                }
                yield {**self._frame("chat.completion.chunk"), "choices": [choice], "usage": None}
        if self._body.get("stream_options", {}).get("include_usage"):
            yield {**self._frame("chat.completion.chunk"), "choices": [], "usage": _usage(generation)}

    def _call_chunks(self, generation: Generation) -> Iterator[dict[str, Any]]:
        call = self._parsed(generation.text())
        arguments = json.dumps(call["arguments"])
        pieces = [arguments[:1], *(arguments[at : at + 4] for at in range(1, len(arguments), 4))]
        for number, piece in enumerate(pieces):
            function = {"name": None if number else call["name"], "arguments": piece}
            item = {"index": 0, "id": "0", "type": "function", "function": function}
            calls: Any = [item] if self._version >= (3, 2) else item
            choice = {
                "index": 0,
                "delta": {"role": "assistant", "tool_calls": calls},
                "logprobs": None,
                "finish_reason": None,
            }
            yield {**self._frame("chat.completion.chunk"), "choices": [choice], "usage": None}

    def _parsed(self, text: str) -> dict[str, Any]:
        try:
            call: dict[str, Any] = json.loads(text.removeprefix(CALLS))
        except ValueError as error:
            raise Refused(422, "tool_error", f"Tool error: Failed to parse generated text: {error}") from error
        return call

    def _frame(self, kind: str) -> dict[str, Any]:
        return {
            "object": kind,
            "id": "",
            "created": CREATED,
            "model": self._model,
            "system_fingerprint": "3.3.6-dev0-native",
        }

    def _reason(self, generation: Generation) -> str:
        is_old = self._version < (2, 3)
        return "stop" if generation.finish_reason == "eos_token" and not is_old else generation.finish_reason

    def _logprobs(self, tokens: list[Any]) -> dict[str, Any] | None:
        if not self._body.get("logprobs"):
            return None
        top = self._body.get("top_logprobs") or 0
        entries = [
            {
                "token": token.text,
                "logprob": token.logprob,
                "top_logprobs": [{"token": other["text"], "logprob": other["logprob"]} for other in token.top(top)],
            }
            for token in tokens
        ]
        return {"content": entries}


def _usage(generation: Generation) -> dict[str, int]:
    prompt, completion = generation.prompt_tokens, len(generation.tokens)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
