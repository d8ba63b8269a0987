"""In what the services differ, as data; the implementation is one."""

from dataclasses import dataclass
from typing import Literal

MaxTokensField = Literal["max_tokens", "max_completion_tokens"]
"""Under which name a server takes the bound of an answer: hosted reasoning models refuse the older, servers of some age ignore the newer."""

SchemaForm = Literal["json_schema", "json_object", "guided_json", "structured_outputs"]
"""How a server takes a JSON schema: in `response_format` as `json_schema` (OpenAI, vLLM, SGLang, llama.cpp, LM Studio, Hitchpost) or inside
`json_object` (Together, Fireworks), or beside it as `guided_json` (older vLLM) or `structured_outputs` (newer vLLM)."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is special about one kind of server or hosted service."""

    name: str
    """What messages call it."""
    key_name: str
    """The key in the provider data of a request."""
    needs_key: bool = False
    """Whether nothing is answered without a key."""
    lists_all: bool = True
    """Whether a model that its list lacks can't be asked for."""
    repetition_fields: tuple[str, ...] = ("repetition_penalty",)
    """Under which names the penalty of repetitions is sent."""
    known_models: tuple[str, ...] = ()
    """Llama models by the service's names, which are known without asking it."""


OPENAI = Service(
    "the OpenAI-shaped server",
    "openai_api_key",
    # The second is what llama.cpp and LM Studio call it.
    repetition_fields=("repetition_penalty", "repeat_penalty"),
)
VLLM = Service("vLLM", "vllm_api_token")
TOGETHER = Service(
    "Together",
    "together_api_key",
    needs_key=True,
    lists_all=False,
    known_models=(
        "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
        "meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo",
        "meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo",
        "meta-llama/Llama-3.2-3B-Instruct-Turbo",
        "meta-llama/Llama-3.2-11B-Vision-Instruct-Turbo",
        "meta-llama/Llama-3.2-90B-Vision-Instruct-Turbo",
        "meta-llama/Meta-Llama-Guard-3-8B",
        "meta-llama/Llama-Guard-3-11B-Vision-Turbo",
    ),
)
FIREWORKS = Service(
    "Fireworks",
    "fireworks_api_key",
    needs_key=True,
    lists_all=False,
    known_models=(
        "fireworks/llama-v3p1-8b-instruct",
        "fireworks/llama-v3p1-70b-instruct",
        "fireworks/llama-v3p1-405b-instruct",
        "fireworks/llama-v3p2-1b-instruct",
        "fireworks/llama-v3p2-3b-instruct",
        "fireworks/llama-v3p2-11b-vision-instruct",
        "fireworks/llama-v3p2-90b-vision-instruct",
        "fireworks/llama-guard-3-8b",
        "fireworks/llama-guard-3-11b-vision",
    ),
)

__all__ = ["FIREWORKS", "OPENAI", "TOGETHER", "VLLM", "MaxTokensField", "SchemaForm", "Service"]
