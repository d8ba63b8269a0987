"""One generation of the fake: its tokens, why it ended, and how `/generate` says so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from tests.fakes.tgi.speech import Token, spelled, tokens_of


@dataclass(frozen=True, slots=True)
class Generation:
    """Tokens, the end token included, and the reason of the end."""

    tokens: list[Token]
    finish_reason: str
    prompt_tokens: int

    @classmethod
    def of(cls, answer: str, limit: int, stops: Sequence[str], prompt_tokens: int) -> Self:
        """An answer, cut to `limit` tokens and behind the first stop string that a token ends with."""
        tokens = tokens_of(answer)
        text = ""
        for number, token in enumerate(tokens, start=1):
            text += "" if token.is_special else token.text
            if any(text.endswith(stop) for stop in stops):
                return cls(tokens[:number], "stop_sequence", prompt_tokens)
            if number == limit and number < len(tokens):
                return cls(tokens[:number], "length", prompt_tokens)
        return cls(tokens, "eos_token", prompt_tokens)

    def text(self) -> str:
        return spelled(self.tokens)

    def headers(self) -> dict[str, str]:
        return {
            "x-compute-type": "gpu+optimized",
            "x-prompt-tokens": str(self.prompt_tokens),
            "x-generated-tokens": str(len(self.tokens)),
        }

    def details(self, seed: int | None, top: int) -> dict[str, Any]:
        """As a whole answer has it."""
        details = {
            "finish_reason": self.finish_reason,
            "generated_tokens": len(self.tokens),
            "seed": seed,
            "prefill": [],
            "tokens": [token.json() for token in self.tokens],
        }
        return details | ({"top_tokens": [token.top(top) for token in self.tokens]} if top else {})

    def stream(self, prompt: str, seed: int | None, top: int, *, has_details: bool) -> Iterator[dict[str, Any]]:
        """One event per token; the last one has all the rest."""
        for index, token in enumerate(self.tokens, start=1):
            is_last = index == len(self.tokens)
            event: dict[str, Any] = {"index": index, "token": token.json()}
            if top:
                event["top_tokens"] = token.top(top)
            event["generated_text"] = prompt + self.text() if is_last else None
            event["details"] = None
            if is_last and has_details:
                event["details"] = {
                    "finish_reason": self.finish_reason,
                    "generated_tokens": len(self.tokens),
                    "seed": seed,
                    "input_length": self.prompt_tokens,
                }
            yield event
