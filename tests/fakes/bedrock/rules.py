"""What the service refuses of a request to Converse."""

from collections.abc import Iterator
from typing import Any

ON_DEMAND = "isn't supported. Retry your request with the ID or ARN of an inference profile that contains this model."


class Refused(Exception):
    """The service says no."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


def invalid(text: str) -> Refused:
    return Refused(400, "ValidationException", text)


def check_conversation(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if not messages or messages[0]["role"] != "user":
        raise invalid("A conversation must start with a user message. Try again with a conversation that starts so.")
    for number, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[number % 2]:
            raise invalid("A conversation must alternate between user and assistant roles. Make sure it does.")
        if not message["content"]:
            raise invalid(f"The content field in the Message object at messages.{number} is empty.")
        check_blocks(message["content"], number)
    check_tools(body, messages)
    check_inference_config(body.get("inferenceConfig", {}))


def check_blocks(blocks: list[dict[str, Any]], number: int) -> None:
    for block in blocks:
        if len(block) != 1:
            raise invalid("Exactly one member of a content block must be set.")
        if "text" in block and not block["text"].strip():
            raise invalid(f"The text field in the ContentBlock object at messages.{number} is blank.")
        if "toolUse" in block and not isinstance(block["toolUse"]["input"], dict):
            raise invalid("The format of the value at toolUse.input is invalid. Provide a json object.")


def check_tools(body: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    if any(_blocks(messages, kind) for kind in ("toolUse", "toolResult")) and not body.get("toolConfig"):
        raise invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    for message, following in zip(messages, [*messages[1:], {"content": []}], strict=True):
        asked = {use["toolUseId"] for use in _blocks([message], "toolUse")}
        answered = {result["toolUseId"] for result in _blocks([following], "toolResult")}
        if asked != answered:
            raise invalid("Expected toolResult blocks at the next message for the toolUse blocks of the previous one.")


def check_inference_config(config: dict[str, Any]) -> None:
    for name in ("temperature", "topP"):
        if not 0 <= config.get(name, 0) <= 1:
            raise invalid(f"The value at inferenceConfig.{name} must be between 0 and 1.")
    if config.get("maxTokens", 1) < 1:
        raise invalid("The value at inferenceConfig.maxTokens must be at least 1.")


def _blocks(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    def found() -> Iterator[dict[str, Any]]:
        for message in messages:
            for block in message["content"]:
                if kind in block:
                    yield block[kind]

    return list(found())
