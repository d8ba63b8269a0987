"""What a fake model says: the same to the same request, so that a test can know it."""

import json
import random
import re
from dataclasses import dataclass, field
from typing import Any

NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
)
MOODS = ("Well, ", "Indeed, ", "So, ", "Oh, ", "Hm, ", "Yes, ")


@dataclass(slots=True)
class Speech:
    """What is said, in tokens, and why it ended."""

    tokens: list[str]
    reason: str = "stop"
    thoughts: list[str] = field(default_factory=list)
    call: dict[str, Any] | None = None
    prompt_tokens: int = 0

    @property
    def generated(self) -> int:
        return len(self.tokens) + len(self.thoughts) + (8 if self.call else 0)

    def think(self, text: str, limit: int) -> None:
        """Thoughts come first, and what they take of the limit the answer lacks."""
        self.thoughts = tokens_of(text)
        if 0 <= limit < len(self.thoughts) + len(self.tokens):
            self.thoughts = self.thoughts[:limit]
            self.tokens = self.tokens[: limit - len(self.thoughts)]
            self.reason = "length"


def tokens_of(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def reply(messages: list[dict[str, Any]], tools: list[dict[str, Any]], form: Any) -> tuple[str, dict[str, Any] | None]:
    """The text of an answer, or the call of a tool."""
    last = messages[-1]
    text = last.get("content", "")
    offered = {tool["function"]["name"] for tool in tools}
    if isinstance(form, dict):
        return json.dumps(instance_of(form)), None
    if form == "json":
        return json.dumps({"heard": text[:100]}), None
    if last["role"] == "tool":
        return f"The tool says: {text}", None
    if "weather" in text and "get_weather" in offered:
        place = re.search(r"\bin (\w+)", text)
        return "", {"name": "get_weather", "arguments": {"location": place[1] if place else "nowhere"}}
    if last.get("images"):
        return f"I see {len(last['images'])} image: {text}", None
    return continuation(text), None


def continuation(text: str) -> str:
    if "ount from one" in text:
        return NUMBERS
    return f"You said: {text}"


def instance_of(schema: dict[str, Any]) -> Any:
    """A small value that satisfies a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type", "object"):
        case "object":
            return {name: instance_of(below) for name, below in schema.get("properties", {}).items()}
        case "array":
            return [instance_of(schema.get("items", {"type": "string"}))]
        case "integer" | "number":
            return 7
        case "boolean":
            return True
        case _:
            return "Ada"


def spoken(text: str, options: dict[str, Any], room: int) -> Speech:
    """A text under the sampling options: mood, stop strings (which are taken out), length."""
    if options.get("temperature", 0.8) > 0:
        seed = options.get("seed", -1)
        text = random.Random(seed if seed >= 0 else None).choice(MOODS) + text
    ends = [text.index(stop) for stop in options.get("stop", ()) if stop in text]
    tokens = tokens_of(text[: min(ends)] if ends else text)
    limit = options.get("num_predict", -1)
    if 0 <= limit < len(tokens):
        return Speech(tokens[:limit], "length")
    return Speech(tokens[:room], "length") if len(tokens) > room else Speech(tokens)


def logprob_of(token: str, top: int) -> dict[str, Any]:
    others = [token, "Maybe", "Other", "Some", "None"]
    alternatives = [(other, -0.25 * (number * 4 + 1)) for number, other in enumerate(others)]
    shown = {"token": token, "logprob": -0.25, "bytes": list(token.encode())}
    if top:
        shown["top_logprobs"] = [
            {"token": other, "logprob": value, "bytes": list(other.encode())} for other, value in alternatives[:top]
        ]
    return shown
