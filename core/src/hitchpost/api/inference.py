"""The API inference: text, chat and embeddings from a model."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Protocol

from pydantic import BeforeValidator, Field

from hitchpost.api.capabilities import Capability
from hitchpost.api.content import InterleavedContent
from hitchpost.api.context import RequestContext
from hitchpost.api.events import CompletionEvent, Extra, FinishReason, InferenceEvent, TokenLogprob, Usage
from hitchpost.api.messages import Message
from hitchpost.api.routes import route
from hitchpost.api.sampling import LogProbConfig, ResponseFormat, SamplingParams
from hitchpost.api.tools import ToolCall, ToolChoice, ToolChoiceMode, ToolDefinition, ToolPromptFormat
from hitchpost.api.wire_model import Items, WireModel

# --- requests ---

NullIsDefault = BeforeValidator(lambda value: {} if value is None else value)
"""An explicit null stands for a field that wasn't given."""


class CompletionRequest(WireModel):
    """Continue a text."""

    needs: ClassVar[Capability] = Capability.completion

    model_id: str
    content: InterleavedContent
    sampling_params: Annotated[SamplingParams, NullIsDefault] = Field(default_factory=SamplingParams)
    response_format: ResponseFormat | None = None
    stream: bool | None = False
    logprobs: LogProbConfig | None = None
    echo: bool = False
    """Whether the answer begins with the prompt."""


class ChatCompletionRequest(WireModel):
    """Answer a conversation."""

    needs: ClassVar[Capability] = Capability.chat

    model_id: str
    messages: Annotated[Items[Message], Field(min_length=1)]
    sampling_params: Annotated[SamplingParams, NullIsDefault] = Field(default_factory=SamplingParams)
    tools: Items[ToolDefinition] | None = None
    tool_choice: ToolChoice | None = ToolChoiceMode.auto
    tool_prompt_format: ToolPromptFormat | None = None
    """Absent: the model family's own."""
    response_format: ResponseFormat | None = None
    stream: bool | None = False
    logprobs: LogProbConfig | None = None
    parallel_tool_calls: bool | None = None


class EmbeddingsRequest(WireModel):
    """Turn texts into vectors."""

    needs: ClassVar[Capability] = Capability.embeddings

    model_id: str
    contents: Items[InterleavedContent]
    dimensions: Annotated[int, Field(ge=1)] | None = None


# --- responses ---


@dataclass(slots=True)
class ChatChoice:
    """One whole answer to a conversation."""

    finish_reason: FinishReason
    index: int = 0
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    stop_text: str | None = None


@dataclass(slots=True)
class ChatCompletionResponse:
    """The whole answers, in the order of their index."""

    choices: list[ChatChoice]
    usage: Usage | None = None
    extra: Extra | None = None


@dataclass(slots=True)
class CompletionChoice:
    """One whole continuation of a text."""

    finish_reason: FinishReason
    index: int = 0
    text: str = ""
    logprobs: list[TokenLogprob] | None = None
    stop_text: str | None = None


@dataclass(slots=True)
class CompletionResponse:
    """The whole continuations, in the order of their index."""

    choices: list[CompletionChoice]
    usage: Usage | None = None
    extra: Extra | None = None


@dataclass(slots=True)
class EmbeddingsResponse:
    """One vector per content of the request, in its order."""

    embeddings: list[list[float]]
    usage: Usage | None = None


# --- protocol ---


class Inference(Protocol):
    """What an inference provider, and the router in front of all of them, answers.

    A `stream_` method is an async generator. Closing it, or cancelling the task that awaits a whole answer, ends the work behind it.
    """

    @route("POST", "/inference/completion", CompletionRequest, streamed_by="stream_completion")
    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        """Continue a text and answer the whole continuation."""
        ...

    def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[CompletionEvent]:
        """Continue a text, event by event."""
        ...

    @route("POST", "/inference/chat-completion", ChatCompletionRequest, streamed_by="stream_chat_completion")
    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """Answer a conversation with the whole answer."""
        ...

    def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """Answer a conversation, event by event."""
        ...

    @route("POST", "/inference/embeddings", EmbeddingsRequest)
    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """Turn texts into vectors."""
        ...


__all__ = [
    "ChatChoice",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "CompletionChoice",
    "CompletionRequest",
    "CompletionResponse",
    "EmbeddingsRequest",
    "EmbeddingsResponse",
    "Inference",
]
