"""What a fake model says: the same to the same request, so that a test can know it."""

import hashlib
import json
import re
from typing import Any

NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
)


def tokens_of(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def instance_of(schema: dict[str, Any]) -> Any:
    """A small value that satisfies a schema."""
    match schema.get("type", "object"):
        case "object":
            return {name: instance_of(below) for name, below in schema.get("properties", {}).items()}
        case "integer" | "number":
            return 7
        case "boolean":
            return True
    return "Ada"


def said_text(text: str, caller: str) -> str:
    return NUMBERS if "ount from one" in text else f"You said: {text} [{caller}]"


def answer(body: dict[str, Any], caller: str) -> list[dict[str, Any]]:
    """The content blocks with which Converse answers."""
    blocks = body["messages"][-1]["content"]
    text = " ".join(block["text"] for block in blocks if "text" in block)
    results = [block["toolResult"] for block in blocks if "toolResult" in block]
    form = body.get("outputConfig", {}).get("textFormat")
    if form:
        return [{"text": json.dumps(instance_of(json.loads(form["structure"]["jsonSchema"]["schema"])))}]
    if results:
        told = " ".join(part.get("text", "") for result in results for part in result["content"])
        return [{"text": f"The tool says: {told}"}]
    if used := uses(body.get("toolConfig", {}), text):
        return used
    if any("image" in block for block in blocks):
        formats = [block["image"]["format"] for block in blocks if "image" in block]
        return [{"text": f"I see {', '.join(formats)}: {text}"}]
    if "think" in text:
        return [{"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}, {"text": "Thought."}]
    return [{"text": said_text(text, caller)}] if text != "say nothing" else []


def uses(config: dict[str, Any], text: str) -> list[dict[str, Any]]:
    names = [tool["toolSpec"]["name"] for tool in config.get("tools", ())]
    choice = config.get("toolChoice", {})
    if "tool" in choice:
        names = [choice["tool"]["name"]]
    elif not ("any" in choice or (names and "weather" in text)):
        return []
    places = re.findall(r"\bin (\w+)", text) or ["nowhere"]
    return [
        {"toolUse": {"toolUseId": f"tooluse_{number}", "name": names[0], "input": {"location": place}}}
        for number, place in enumerate(places[: 1 if "both" not in text else 2])
    ]


def limited(text: str, config: dict[str, Any]) -> tuple[str, str]:
    """The text under stop strings, which are taken out, and its length; and why it ended."""
    reason = "end_turn"
    ends = [text.index(stop) for stop in config.get("stopSequences", ()) if stop in text]
    if ends:
        text, reason = text[: min(ends)], "stop_sequence"
    tokens = tokens_of(text)
    limit = config.get("maxTokens", len(tokens))
    return ("".join(tokens[:limit]), "max_tokens") if limit < len(tokens) else (text, reason)


def vector(text: str, size: int) -> list[float]:
    """Numbers of length 1 that depend on all of the text."""
    raw = hashlib.shake_256(text.encode()).digest(size)
    numbers = [byte - 127.5 for byte in raw]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]
