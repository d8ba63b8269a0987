"""What a provider type can do, and which request fields ask for it."""

from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from hitchpost.api.content import has_images
from hitchpost.api.messages import messages_have_images
from hitchpost.api.tools import NamedToolChoice, ToolChoiceMode

if TYPE_CHECKING:
    from hitchpost.api.inference import ChatCompletionRequest, CompletionRequest, EmbeddingsRequest


class Capability(StrEnum):
    """What can be asked of a provider. The set is closed: a new one is a new version of the plugin contract."""

    chat = "chat"
    completion = "completion"
    embeddings = "embeddings"
    tools = "tools"
    tool_choice = "tool_choice"
    """Forcing a call: `required`, or one tool by name."""
    parallel_tool_calls = "parallel_tool_calls"
    """Several calls in one answer. No field needs it: `parallel_tool_calls` permits or forbids, it never demands."""
    json_schema = "json_schema"
    grammar = "grammar"
    logprobs = "logprobs"
    vision = "vision"
    seed = "seed"
    stop = "stop"
    n = "n"
    penalties = "penalties"
    logit_bias = "logit_bias"
    vector_bank = "vector_bank"
    keyvalue_bank = "keyvalue_bank"
    keyword_bank = "keyword_bank"
    graph_bank = "graph_bank"
    documents = "documents"
    """Listing, reading, counting and deleting the documents of a bank."""
    metadata_filter = "metadata_filter"
    """`params.filter` of a query: choosing documents by their metadata."""
    hybrid_query = "hybrid_query"
    """`params.mode` of a query: searching a vector bank by words (`keyword`), or by words and vectors (`hybrid`)."""


def _forces_a_call(request: Any) -> bool:
    choice = request.tool_choice
    return bool(request.tools) and (isinstance(choice, NamedToolChoice) or choice is ToolChoiceMode.required)


_FIELDS: tuple[tuple[str, Capability, Callable[[Any], bool]], ...] = (
    ("tools", Capability.tools, lambda request: bool(request.tools)),
    ("tool_choice", Capability.tool_choice, _forces_a_call),
    ("response_format", Capability.grammar, lambda request: request.response_format is not None and request.response_format.type == "grammar"),
    ("response_format", Capability.json_schema, lambda request: request.response_format is not None and request.response_format.type != "grammar"),
    ("logprobs", Capability.logprobs, lambda request: request.logprobs is not None),
    ("messages", Capability.vision, lambda request: messages_have_images(request.messages)),
    ("content", Capability.vision, lambda request: has_images([request.content])),
    ("contents", Capability.vision, lambda request: has_images(request.contents)),
)  # fmt: skip

_SAMPLING_FIELDS: tuple[tuple[str, Capability, Callable[[Any], bool]], ...] = (
    ("seed", Capability.seed, lambda sampling: sampling.seed is not None),
    ("stop", Capability.stop, lambda sampling: bool(sampling.stop)),
    ("n", Capability.n, lambda sampling: sampling.n > 1),
    ("presence_penalty", Capability.penalties, lambda sampling: sampling.presence_penalty != 0),
    ("frequency_penalty", Capability.penalties, lambda sampling: sampling.frequency_penalty != 0),
    ("logit_bias", Capability.logit_bias, lambda sampling: bool(sampling.logit_bias)),
)


def needed_capabilities(
    request: "ChatCompletionRequest | CompletionRequest | EmbeddingsRequest",
) -> list[tuple[Capability, str]]:
    """What a request asks of the model behind it, each with the request field that asks for it."""
    needed = [(request.needs, "model")]
    needed += [(capability, name) for name, capability, asks in _fields_of(type(request)) if asks(request)]
    sampling = getattr(request, "sampling_params", None)
    if sampling is not None:
        needed += [(capability, name) for name, capability, asks in _SAMPLING_FIELDS if asks(sampling)]
    return needed


@cache
def _fields_of(kind: type[BaseModel]) -> list[tuple[str, Capability, Callable[[Any], bool]]]:
    return [field for field in _FIELDS if field[0] in kind.model_fields]


__all__ = ["Capability", "needed_capabilities"]
