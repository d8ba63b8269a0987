"""What the fake's model says, and how its tokenizer cuts text."""

import json
import random
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

END = "<|eot_id|>"
END_OF_MESSAGE = "<|eom_id|>"
PYTHON_TAG = "<|python_tag|>"
_TOKEN = re.compile(r"<\|\w+\|>| ?[^\W_]{1,5}|\n+| ?.", re.DOTALL)
_TURN = re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\n\n(.*?)(?=<\|eot_id\|>|<\|eom_id\|>|\Z)", re.DOTALL)
REGEX_ANSWERS = ('{"answer": 42, "why": ["it", "is"]}', "1815", "yes", "no")


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer. `shown` is the text that it adds; a character may need two tokens, of which the first shows none."""

    text: str
    is_special: bool = False

    @property
    def id(self) -> int:
        return zlib.crc32(self.text.encode("utf-8", "replace")) % 128_000

    @property
    def logprob(self) -> float:
        return -0.25 - (self.id % 100) / 200

    def json(self) -> dict[str, Any]:
        return {"id": self.id, "text": self.text, "logprob": self.logprob, "special": self.is_special}

    def top(self, count: int) -> list[dict[str, Any]]:
        """The likeliest, in no order, as the real server sends them."""
        others = [
            {"id": number, "text": f" other{number}", "logprob": self.logprob - number, "special": False}
            for number in range(1, count)
        ]
        return [*others, self.json()] if count else []


def tokens_of(text: str) -> list[Token]:
    """Cut into tokens; what is beyond the basic plane takes two."""
    tokens: list[Token] = []
    for piece in _TOKEN.findall(text):
        if ord(piece[-1]) > 0xFFFF:
            tokens.append(Token(""))
        tokens.append(Token(piece, re.fullmatch(r"<\|\w+\|>", piece) is not None))
    return tokens


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation, as a template or a prompt spells it."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Speech:
    """What the model hears and how it is to answer."""

    turns: list[Turn]
    tools: list[str] = field(default_factory=list)
    grammar: Mapping[str, Any] | None = None
    seed: int | None = None
    is_sampled: bool = False

    def answer(self) -> str:
        """The answer's text with its special tokens, the end token included."""
        if self.grammar is not None:
            return constrained(self.grammar) + END
        last = self.turns[-1] if self.turns else Turn("user", "")
        if last.role in ("user",) and "weather" in last.text and "get_weather" in self.tools:
            return f'{PYTHON_TAG}{{"type": "function", "name": "get_weather", "parameters": {{"location": "Oslo"}}}}{END_OF_MESSAGE}'
        said = f"You said: {last.text}"
        if self.is_sampled:
            said += f" {random.Random(self.seed).randrange(10**6)}"
        return said + END


def turns_of(inputs: str) -> list[Turn]:
    """The turns of a Llama prompt; other text is one turn."""
    turns = [Turn(role, text) for role, text in _TURN.findall(inputs)]
    if turns and turns[-1].role == "assistant" and not turns[-1].text:
        turns.pop()
    return turns or [Turn("user", inputs)]


def tools_in(inputs: str) -> list[str]:
    """Names of the tools that a Llama prompt describes."""
    return re.findall(r'"name": "(\w+)"', inputs.split("<|start_header_id|>assistant")[0])


def constrained(grammar: Mapping[str, Any]) -> str:
    """A text that the grammar allows."""
    if grammar["type"] == "regex":
        return next(answer for answer in REGEX_ANSWERS if re.fullmatch(grammar["value"], answer))
    schema = grammar["value"]
    schema = json.loads(schema) if isinstance(schema, str) else schema
    schema = schema.get("schema", schema) if grammar["type"] == "json_schema" else schema
    return json.dumps(_value(schema))


def _value(schema: Mapping[str, Any]) -> Any:
    match schema.get("type"):
        case "integer":
            return 1815
        case "number":
            return 1.5
        case "boolean":
            return True
        case "array":
            return [_value(schema.get("items", {}))]
        case "object":
            return {name: _value(inner) for name, inner in schema.get("properties", {}).items()}
    return "Ada"


def spelled(tokens: Iterable[Token]) -> str:
    """The text that tokens show."""
    return "".join(token.text for token in tokens if not token.is_special)
