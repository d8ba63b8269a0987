"""What the fake says: words of what it was asked, calls of offered tools, JSON by a schema. The same request gets the same answer."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Said:
    """One whole answer."""

    tokens: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    reason: str = "stop"
    stop_text: str | None = None


def text_of(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return " ".join(part.get("text", f"[{part['type']}]") for part in content)


def answer_chat(body: dict[str, Any], prefix: str, *, keeps_stop: bool = False) -> Said:
    last = body["messages"][-1]
    users = [message for message in body["messages"] if message["role"] == "user"]
    asked = text_of(users[-1]["content"]) if users else ""
    tools = [tool["function"]["name"] for tool in body.get("tools", ())]
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        return Said(calls=[(choice["function"]["name"], '{"location": "Oslo"}')], reason="tool_calls")
    if tools and last["role"] != "tool" and (choice == "required" or (choice == "auto" and "tool" in asked)):
        return Said(calls=[(tools[0], '{"location": "Oslo"}')], reason="tool_calls")
    schema = schema_of(body)
    if schema is not None:
        return limited(json.dumps(value_of(schema)), body)
    return limited(f"{prefix}You said: {text_of(last['content'])}", body, keeps_stop=keeps_stop)


def limited(text: str, body: dict[str, Any], *, keeps_stop: bool = False) -> Said:
    stops = body.get("stop") or []
    found = sorted((text.index(stop), stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop in text)
    end = found[0][0] + (len(found[0][1]) if keeps_stop else 0) if found else len(text)
    tokens = tokens_of(text[:end])
    most = body.get("max_completion_tokens") or body.get("max_tokens") or 10_000
    if len(tokens) > most:
        return Said(tokens[:most], reason="length")
    return Said(tokens, stop_text=found[0][1] if found else None)


def tokens_of(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def schema_of(body: dict[str, Any]) -> dict[str, Any] | None:
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return dict(form["json_schema"]["schema"])
    if form.get("type") == "json_object":
        return dict(form.get("schema") or {"type": "object"})
    if "guided_json" in body:
        return dict(body["guided_json"])
    return body["structured_outputs"]["json"] if "structured_outputs" in body else None


def value_of(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: value_of(inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [value_of(schema.get("items", {}))] * schema.get("minItems", 1)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return "x" * schema.get("minLength", 1)


def vector_of(text: str, dimensions: int) -> list[float]:
    digest = hashlib.sha512(text.encode("utf-8", "surrogatepass")).digest() * (dimensions // 64 + 1)
    return [byte / 256 for byte in digest[:dimensions]]
