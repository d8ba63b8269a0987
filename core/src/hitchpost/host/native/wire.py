"""The native answers whose form differs from the host's own types; everything else goes out as its type says."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from hitchpost.api import InterleavedContent, Step, StepType, Turn


class TokenLogProbs(TypedDict):
    """Natural-log probabilities of one position: of the token that was chosen and of the most likely ones."""

    logprobs_by_token: dict[str, float]


StopReasonName = Literal["end_of_turn", "end_of_message", "out_of_tokens"]


class ToolCallAnswer(TypedDict):
    """A call; values nested deeper than one level are JSON strings, which is what clients of this wire can read."""

    call_id: str
    tool_name: str
    arguments: dict[str, Any]


class CompletionMessageAnswer(TypedDict):
    """What the model said."""

    role: Literal["assistant"]
    content: str
    stop_reason: StopReasonName
    tool_calls: list[ToolCallAnswer]


class ChatCompletionAnswer(TypedDict):
    """Answer of chat-completion."""

    completion_message: CompletionMessageAnswer
    logprobs: list[TokenLogProbs] | None


class ToolCallDeltaAnswer(TypedDict):
    """A piece of a call; the whole call comes with `success`."""

    content: str | ToolCallAnswer
    parse_status: Literal["started", "in_progress", "failure", "success"]


class ChatEventAnswer(TypedDict):
    """A step of a streamed answer."""

    event_type: Literal["start", "progress", "complete"]
    delta: str | ToolCallDeltaAnswer
    logprobs: list[TokenLogProbs] | None
    stop_reason: StopReasonName | None


class ChatChunkAnswer(TypedDict):
    """Chunk of a streamed chat-completion."""

    event: ChatEventAnswer


class CompletionAnswer(TypedDict):
    """Answer of completion."""

    content: str
    stop_reason: StopReasonName
    logprobs: list[TokenLogProbs] | None


class CompletionChunkAnswer(TypedDict):
    """Chunk of a streamed completion."""

    delta: str
    stop_reason: StopReasonName | None
    logprobs: list[TokenLogProbs] | None


class BatchAnswer(TypedDict):
    """Answer of both batches: one message per item."""

    completion_message_batch: list[CompletionMessageAnswer]


class EmbeddingsAnswer(TypedDict):
    """Answer of embeddings."""

    embeddings: list[list[float]]


class ChunkAnswer(TypedDict):
    """A piece of a document."""

    content: InterleavedContent
    token_count: int
    document_id: str


class QueryDocumentsAnswer(TypedDict):
    """Answer of memory/query: chunks and their scores, side by side, best first."""

    chunks: list[ChunkAnswer]
    scores: list[float]


class TurnEventAnswer(TypedDict):
    """A step of a streamed turn; which fields are there follows from `event_type`."""

    event_type: Literal["turn_start", "step_start", "step_progress", "step_complete", "turn_complete"]
    turn_id: NotRequired[str]
    step_type: NotRequired[StepType]
    step_id: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]
    model_response_text_delta: NotRequired[str | None]
    tool_call_delta: NotRequired[ToolCallDeltaAnswer | None]
    tool_response_text_delta: NotRequired[str | None]
    step_details: NotRequired[Step]
    turn: NotRequired[Turn]


class TurnPayloadAnswer(TypedDict):
    """Envelope of a turn's event."""

    payload: TurnEventAnswer


class TurnChunkAnswer(TypedDict):
    """Chunk of a streamed turn."""

    event: TurnPayloadAnswer


__all__ = [
    "BatchAnswer",
    "ChatChunkAnswer",
    "ChatCompletionAnswer",
    "ChatEventAnswer",
    "ChunkAnswer",
    "CompletionAnswer",
    "CompletionChunkAnswer",
    "CompletionMessageAnswer",
    "EmbeddingsAnswer",
    "QueryDocumentsAnswer",
    "StopReasonName",
    "TokenLogProbs",
    "ToolCallAnswer",
    "ToolCallDeltaAnswer",
    "TurnChunkAnswer",
    "TurnEventAnswer",
    "TurnPayloadAnswer",
]
