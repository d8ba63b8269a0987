"""How the next token is chosen, and what form the answer must have."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from hitchpost.api.wire_model import FewEntries, Items, WireModel, of_valid

# --- values ---


class SamplingStrategy(StrEnum):
    """`greedy` takes the most likely token whatever the other fields say."""

    greedy = "greedy"
    top_p = "top_p"
    top_k = "top_k"


TopK = Annotated[int, Field(ge=0, lt=2**31)]
"""0: no limit."""


def _divisible_by(penalty: float) -> float:
    if 0 < penalty < LEAST_REPETITION_PENALTY:
        raise ValueError(f"must be 0, for none, or at least {LEAST_REPETITION_PENALTY}")
    return penalty


LEAST_REPETITION_PENALTY = 0.01
RepetitionPenalty = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), AfterValidator(_divisible_by)]
"""Logits are divided by it; 0 and 1: none."""

StopText = Annotated[str, Field(min_length=1)]


class SamplingParams(WireModel):
    """The native wire's sampling fields, and below them those that only OpenAI's callers can say.

    None means "not said": the model's own default holds. A provider in front of a server forwards only what was said (`said()`).
    """

    strategy: SamplingStrategy | None = None
    """Absent: a temperature above 0 samples, else greedy."""
    temperature: Annotated[float, Field(ge=0, le=100)] | None = 0.0
    top_p: Annotated[float, Field(ge=0, le=1)] | None = 0.95
    top_k: TopK | None = 0
    """0: no limit."""
    max_tokens: Annotated[int, Field(ge=0)] | None = 0
    """0: the rest of the context."""
    repetition_penalty: RepetitionPenalty | None = 1.0
    """0 and 1: none."""

    stop: Items[StopText] | None = None
    """Texts that end the answer; they are not part of it."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] = 1
    """How many choices to answer."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    logit_bias: Annotated[dict[int, Annotated[float, Field(ge=-100, le=100)]], FewEntries] | None = None
    """Token id to a number that is added to its logit."""

    def said(self, field: str) -> Any:
        """The value of `field` when the caller gave one that isn't null, else None."""
        return getattr(self, field) if field in self.model_fields_set else None

    def all_said(self) -> dict[str, Any]:
        """The fields that the caller gave, in their order here, but for nulls."""
        given = self.model_fields_set
        return {name: value for name, value in self.__dict__.items() if value is not None and name in given}

    @classmethod
    def of_said(cls, said: Mapping[str, Any]) -> Self:
        """What a caller says in words other than the native wire's, validated before: what is not said has no default, but is the model's."""
        return of_valid(cls, **{**_NOTHING_SAID, **said})

    @property
    def is_greedy(self) -> bool:
        """Whether the caller asked for the most likely token at each step."""
        return self.strategy is SamplingStrategy.greedy or (self.temperature == 0 and self.temperature is not None)


_NOTHING_SAID = dict.fromkeys(("temperature", "top_p", "top_k", "max_tokens", "repetition_penalty"))
"""In place of the defaults that the native wire has for them."""


class LogProbConfig(WireModel):
    """Log probabilities per token; 0 asks for the chosen token's only."""

    top_k: Annotated[int, Field(ge=0, le=20)] | None = 0


class JsonSchemaResponseFormat(WireModel):
    """The answer is JSON that satisfies the schema."""

    type: Literal["json_schema"] = "json_schema"
    json_schema: dict[str, Any]


class GrammarResponseFormat(WireModel):
    """The answer satisfies a grammar."""

    type: Literal["grammar"] = "grammar"
    bnf: dict[str, Any]


class JsonObjectResponseFormat(WireModel):
    """The answer is any one JSON object."""

    type: Literal["json_object"] = "json_object"


ResponseFormat = Annotated[
    JsonSchemaResponseFormat | GrammarResponseFormat | JsonObjectResponseFormat,
    Field(discriminator="type"),
]

__all__ = [
    "GrammarResponseFormat",
    "JsonObjectResponseFormat",
    "JsonSchemaResponseFormat",
    "LogProbConfig",
    "RepetitionPenalty",
    "ResponseFormat",
    "SamplingParams",
    "SamplingStrategy",
    "StopText",
    "TopK",
]
