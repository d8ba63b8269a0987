"""OpenAI's own JSON: the form of answers, of the chunks of streams and of errors."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
CompletionFinishReason = Literal["stop", "length", "content_filter"]


class CachedTokens(TypedDict):
    """Prompt tokens that were not computed again."""

    cached_tokens: int


class Usage(TypedDict):
    """Tokens that a request took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: NotRequired[CachedTokens]


class TopLogprob(TypedDict):
    """A token that might have been chosen."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """The chosen token and the most likely ones."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(TypedDict):
    """Log probabilities of an answer's text."""

    content: list[TokenLogprob] | None
    refusal: None


class AnsweredFunction(TypedDict):
    """Name and arguments of a call; `arguments` is the model's JSON text as it is."""

    name: str
    arguments: str


class AnsweredToolCall(TypedDict):
    """A call that the model made."""

    id: str
    type: Literal["function"]
    function: AnsweredFunction


class AnsweredMessage(TypedDict):
    """What the model said."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[AnsweredToolCall]]


class ChatChoice(TypedDict):
    """One answer."""

    index: int
    message: AnsweredMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(TypedDict):
    """Answer of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: None
    choices: list[ChatChoice]
    usage: Usage | None


class FunctionDelta(TypedDict):
    """A piece of a call's function; the name comes in the first."""

    name: NotRequired[str]
    arguments: str


class ToolCallDelta(TypedDict):
    """A piece of a call; only `index` says of which."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: FunctionDelta


class Delta(TypedDict, total=False):
    """A piece of a message."""

    role: Literal["assistant"]
    content: str
    refusal: str
    reasoning_content: str
    tool_calls: list[ToolCallDelta]


class ChunkChoice(TypedDict):
    """A piece of one answer."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(TypedDict):
    """Chunk of a streamed chat completion; `usage` only where it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: None
    choices: list[ChunkChoice]
    usage: NotRequired[Usage | None]


class CompletionLogprobs(TypedDict):
    """Log probabilities of a continuation, in parallel lists; offsets count characters of the text."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class CompletionChoice(TypedDict):
    """One continuation, or a piece of one."""

    text: str
    index: int
    logprobs: CompletionLogprobs | None
    finish_reason: CompletionFinishReason | None


class Completion(TypedDict):
    """Answer of POST /v1/completions; chunks of a stream have the same form."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: NotRequired[Usage | None]


class Embedding(TypedDict):
    """The vector of one input; base64 is of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(TypedDict):
    """Tokens that the inputs had."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(TypedDict):
    """Answer of POST /v1/embeddings."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage


class Model(TypedDict):
    """A registered model; `owned_by` names its provider."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(TypedDict):
    """Answer of GET /v1/models."""

    object: Literal["list"]
    data: list[Model]


class ErrorDetail(TypedDict):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(TypedDict):
    """The body of every failure."""

    error: ErrorDetail


__all__ = [
    "AnsweredFunction",
    "AnsweredMessage",
    "AnsweredToolCall",
    "CachedTokens",
    "ChatChoice",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatLogprobs",
    "ChunkChoice",
    "Completion",
    "CompletionChoice",
    "CompletionFinishReason",
    "CompletionLogprobs",
    "Delta",
    "Embedding",
    "Embeddings",
    "EmbeddingsUsage",
    "Error",
    "ErrorDetail",
    "FinishReason",
    "FunctionDelta",
    "Model",
    "ModelList",
    "TokenLogprob",
    "ToolCallDelta",
    "TopLogprob",
    "Usage",
]
