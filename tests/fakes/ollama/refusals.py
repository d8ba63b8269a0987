"""What Ollama refuses, with its status and in its words."""

import base64
import re
from typing import Any

from tests.fakes.ollama.models import FakeModel

INTEGERS = {
    "seed",
    "num_predict",
    "num_ctx",
    "top_k",
    "num_keep",
    "num_batch",
    "num_gpu",
    "num_thread",
    "repeat_last_n",
}
NUMBERS = {"temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"}
DURATION = re.compile(r"-?(\d+(\.\d+)?(ns|us|ms|s|m|h))+")
NAME = re.compile(r"[\w][\w.\-]{0,79}(/[\w][\w.\-]{0,79}){0,2}(:[\w][\w.\-]{0,79})?", re.ASCII)


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def check_name(body: dict[str, Any]) -> None:
    name = body.get("model") or body.get("name") or ""
    if not name:
        raise Refusal(400, "model is required")
    if not NAME.fullmatch(name):
        raise Refusal(400, "invalid model name")


def check_request(body: dict[str, Any]) -> None:
    """What can be said without knowing the model."""
    check_options(body.get("options") or {})
    keep_alive = body.get("keep_alive")
    if isinstance(keep_alive, str) and not DURATION.fullmatch(keep_alive):
        raise Refusal(400, f'time: missing unit in duration "{keep_alive}"')
    form = body.get("format")
    if form not in (None, "", "json") and not isinstance(form, dict):
        raise Refusal(500, f'invalid format: "{form}"; expected "json" or a valid JSON Schema object')
    if not 0 <= body.get("top_logprobs", 0) <= 20:
        raise Refusal(400, "top_logprobs must be between 0 and 20")
    if body.get("raw") and any(body.get(name) for name in ("template", "system", "context")):
        raise Refusal(400, "raw mode does not support template, system, or context")


def check_options(options: dict[str, Any]) -> None:
    for name, value in options.items():
        if name in INTEGERS and (not isinstance(value, int) or isinstance(value, bool)):
            raise Refusal(500, f'option "{name}" must be of type integer')
        if name in NUMBERS and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise Refusal(500, f'option "{name}" must be of type float32')
        if name == "stop" and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise Refusal(500, 'option "stop" must be of type array')


def check_messages(messages: list[dict[str, Any]]) -> None:
    for message in messages:
        if not isinstance(message.get("content", ""), str):
            raise Refusal(400, "json: cannot unmarshal array into Go struct field ChatRequest.messages of type string")
        for image in message.get("images", ()):
            try:
                base64.b64decode(image, validate=True)
            except ValueError as error:
                raise Refusal(400, "illegal base64 data at input byte 0") from error
        for call in message.get("tool_calls", ()):
            if not isinstance(call["function"]["arguments"], dict):
                raise Refusal(400, "json: cannot unmarshal string into Go struct field ToolCallFunctionArguments")


def check_ability(body: dict[str, Any], model: FakeModel) -> None:
    full = f"registry.ollama.ai/library/{model.name}"
    if body.get("tools") and "tools" not in model.capabilities:
        raise Refusal(400, f"{full} does not support tools")
    if body.get("think") and "thinking" not in model.capabilities:
        raise Refusal(400, f'"{body["model"]}" does not support thinking')
    if "completion" not in model.capabilities:
        raise Refusal(400, f'"{body["model"]}" does not support {"chat" if "messages" in body else "generate"}')
