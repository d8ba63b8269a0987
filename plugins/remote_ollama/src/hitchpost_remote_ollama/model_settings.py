"""What a model's metadata may set, and what is known of a model."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hitchpost.api import Capability
from hitchpost.errors import BadRequestError
from hitchpost_remote_ollama.wire import ShowAnswer

_DURATION = re.compile(r"-?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*")


def _number_of(value: Any) -> Any:
    # Placeholders of a run config give texts, and Ollama refuses a number that is one.
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    return value


def _checked_duration(value: float | str) -> float | str:
    if isinstance(value, str) and not _DURATION.fullmatch(value):
        raise ValueError("must be a number of seconds or a duration such as '10m' or '1h30m'")
    return value


KeepAlive = Annotated[int | float | str, BeforeValidator(_number_of), AfterValidator(_checked_duration)]
"""Seconds, or a duration of Go with its unit; below 0: for ever."""
ContextTokens = Annotated[int, Field(ge=1, lt=2**31)]
Think = Annotated[
    bool | Literal["low", "medium", "high", "max"],
    BeforeValidator(
        lambda value: {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    ),
]


class ModelSettings(BaseModel):
    """Keys of a model's `metadata` that are ours; what they leave open, the provider's config says."""

    model_config = ConfigDict(extra="ignore")

    keep_alive: KeepAlive | None = None
    num_ctx: ContextTokens | None = None
    think: Think | None = None
    pull: bool = False


def read_settings(metadata: Mapping[str, Any]) -> ModelSettings:
    """The settings in a model's metadata.

    Raises:
        BadRequestError: one of them can't be; the message names it.
    """
    try:
        return ModelSettings.model_validate(metadata)
    except ValidationError as error:
        first = error.errors()[0]
        key = first["loc"][0]
        raise BadRequestError(
            f"metadata.{key}: {first['msg'].removeprefix('Value error, ')}", param=f"metadata.{key}"
        ) from error


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What `/api/show` says of a model."""

    can: frozenset[str] | None = None
    """Ollama's words: `completion`, `tools`, `vision`, `embedding`, `thinking`, ...; None where the server is too old to say."""
    context_length: int | None = None
    """Tokens that the model was made for; `num_ctx` is what it gets."""
    embedding_length: int | None = None
    stops: tuple[str, ...] = ()
    """Stop strings of its Modelfile."""

    @property
    def is_embedding_model(self) -> bool:
        """Whether it makes vectors and no text."""
        return self.can is not None and "embedding" in self.can and "completion" not in self.can

    def lacking(self) -> set[Capability]:
        """What the provider type can do, but not with this model."""
        if self.can is None:
            return set()
        if self.is_embedding_model:
            return set(Capability) - {Capability.embeddings}
        lacking = set() if "tools" in self.can else {Capability.tools, Capability.parallel_tool_calls}
        return lacking if "vision" in self.can else lacking | {Capability.vision}

    def metadata(self, capabilities: frozenset[Capability]) -> dict[str, Any]:
        """As metadata of a model, narrowing the provider type's capabilities where it must."""
        metadata: dict[str, Any] = {"model_type": "embedding" if self.is_embedding_model else "llm"}
        if self.context_length is not None:
            metadata["context_length"] = self.context_length
        if self.is_embedding_model and self.embedding_length is not None:
            metadata["embedding_dimension"] = self.embedding_length
        lacking = self.lacking()
        if lacking:
            metadata["capabilities"] = sorted(capability.value for capability in capabilities - lacking)
        return metadata


def read_facts(answer: ShowAnswer) -> ModelFacts:
    """The facts in an answer of `/api/show`."""
    architecture = answer.model_info.get("general.architecture")
    return ModelFacts(
        can=None if answer.capabilities is None else frozenset(answer.capabilities),
        context_length=_count(answer.model_info.get(f"{architecture}.context_length")),
        embedding_length=_count(answer.model_info.get(f"{architecture}.embedding_length")),
        stops=tuple(_stops(answer.parameters)),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _stops(parameters: str) -> list[str]:
    pairs = [line.split(None, 1) for line in parameters.splitlines()]
    return [_unquoted(pair[1].strip()) for pair in pairs if len(pair) == 2 and pair[0] == "stop"]


def _unquoted(text: str) -> str:
    """Go's quotes are JSON's for all that a stop string is likely to hold; what isn't is taken as it is written."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip('"')
    return value if isinstance(value, str) else text


__all__ = [
    "ContextTokens",
    "KeepAlive",
    "ModelFacts",
    "ModelSettings",
    "Think",
    "read_facts",
    "read_settings",
]
