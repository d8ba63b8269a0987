"""What a provider type can do, and which request fields ask for it."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

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


InferenceRequest: TypeAlias = "ChatCompletionRequest | CompletionRequest | EmbeddingsRequest"
Needed: TypeAlias = list[tuple[Capability, str]]
"""Capabilities, each with the request field that asks for it."""


def needed_capabilities(request: InferenceRequest) -> Needed:
    """What a request asks of the model behind it. Runs for every request, nearly all of which ask for nothing special."""
    needed: Needed = [(request.needs, "model")]
    _READERS[request.needs](request, needed)
    return needed


def _read_chat(request: "ChatCompletionRequest", needed: Needed) -> None:
    if request.tools:
        needed.append((Capability.tools, "tools"))
        if request.tool_choice is ToolChoiceMode.required or isinstance(request.tool_choice, NamedToolChoice):
            needed.append((Capability.tool_choice, "tool_choice"))
    if messages_have_images(request.messages):
        needed.append((Capability.vision, "messages"))
    _read_generation(request, needed)


def _read_completion(request: "CompletionRequest", needed: Needed) -> None:
    if has_images([request.content]):
        needed.append((Capability.vision, "content"))
    _read_generation(request, needed)


def _read_embeddings(request: "EmbeddingsRequest", needed: Needed) -> None:
    if has_images(request.contents):
        needed.append((Capability.vision, "contents"))


def _read_generation(request: "ChatCompletionRequest | CompletionRequest", needed: Needed) -> None:
    if request.response_format is not None:
        is_grammar = request.response_format.type == "grammar"
        needed.append((Capability.grammar if is_grammar else Capability.json_schema, "response_format"))
    if request.logprobs is not None:
        needed.append((Capability.logprobs, "logprobs"))
    sampling = request.sampling_params
    if sampling.seed is not None:
        needed.append((Capability.seed, "seed"))
    if sampling.stop:
        needed.append((Capability.stop, "stop"))
    if sampling.n > 1:
        needed.append((Capability.n, "n"))
    if sampling.presence_penalty != 0:
        needed.append((Capability.penalties, "presence_penalty"))
    if sampling.frequency_penalty != 0:
        needed.append((Capability.penalties, "frequency_penalty"))
    if sampling.logit_bias:
        needed.append((Capability.logit_bias, "logit_bias"))


_READERS: dict[Capability, Callable[[Any, Needed], None]] = {
    Capability.chat: _read_chat,
    Capability.completion: _read_completion,
    Capability.embeddings: _read_embeddings,
}


__all__ = ["Capability", "needed_capabilities"]
