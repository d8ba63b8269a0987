"""The API batch_inference: many prompts or conversations at once. The host serves it over any inference provider."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from hitchpost.api.content import InterleavedContent
from hitchpost.api.context import RequestContext
from hitchpost.api.inference import ChatCompletionResponse, CompletionResponse, NullIsDefault
from hitchpost.api.messages import Message
from hitchpost.api.routes import route
from hitchpost.api.sampling import LogProbConfig, SamplingParams
from hitchpost.api.tools import ToolChoice, ToolChoiceMode, ToolDefinition, ToolPromptFormat
from hitchpost.api.wire_model import Items, WireModel

# --- requests ---


class BatchCompletionRequest(WireModel):
    """Continue several texts."""

    model: str
    content_batch: Items[InterleavedContent]
    sampling_params: Annotated[SamplingParams, NullIsDefault] = Field(default_factory=SamplingParams)
    logprobs: LogProbConfig | None = None


class BatchChatCompletionRequest(WireModel):
    """Answer several conversations."""

    model: str
    messages_batch: Items[Annotated[Items[Message], Field(min_length=1)]]
    sampling_params: Annotated[SamplingParams, NullIsDefault] = Field(default_factory=SamplingParams)
    tools: Items[ToolDefinition] | None = None
    tool_choice: ToolChoice | None = ToolChoiceMode.auto
    tool_prompt_format: ToolPromptFormat | None = None
    logprobs: LogProbConfig | None = None


# --- responses ---


@dataclass(slots=True)
class BatchCompletionResponse:
    """One answer per text, in their order."""

    batch: list[CompletionResponse]


@dataclass(slots=True)
class BatchChatCompletionResponse:
    """One answer per conversation, in their order."""

    batch: list[ChatCompletionResponse]


# --- protocol ---


class BatchInference(Protocol):
    """What the host answers by asking the inference provider behind the model once per item."""

    @route("POST", "/batch-inference/completion", BatchCompletionRequest)
    async def batch_completion(
        self, request: BatchCompletionRequest, context: RequestContext
    ) -> BatchCompletionResponse:
        """Continue several texts; the first that fails ends the others."""
        ...

    @route("POST", "/batch-inference/chat-completion", BatchChatCompletionRequest)
    async def batch_chat_completion(
        self, request: BatchChatCompletionRequest, context: RequestContext
    ) -> BatchChatCompletionResponse:
        """Answer several conversations; the first that fails ends the others."""
        ...


__all__ = [
    "BatchChatCompletionRequest",
    "BatchChatCompletionResponse",
    "BatchCompletionRequest",
    "BatchCompletionResponse",
    "BatchInference",
]
