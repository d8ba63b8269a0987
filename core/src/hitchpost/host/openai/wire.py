"""OpenAI's own JSON: what requests are parsed into. Unknown fields are ignored."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from hitchpost.api.sampling import RepetitionPenalty, StopText, TopK
from hitchpost.api.wire_model import FewEntries, Items, WireModel

# --- parts of requests ---


class TextPart(WireModel):
    """Text in a message."""

    type: Literal["text"]
    text: str


class ImageURL(WireModel):
    """Where an image is; `data:` URLs carry it inline."""

    url: Annotated[str, Field(pattern=r"^(?i:https?://|data:image/)")]


class ImagePart(WireModel):
    """An image in a message of the user."""

    type: Literal["image_url"]
    image_url: ImageURL


class RefusalPart(WireModel):
    """A refusal in an earlier message of the model."""

    type: Literal["refusal"]
    refusal: str


TextContent = str | Items[TextPart]
UserContent = str | Items[Annotated[TextPart | ImagePart, Field(discriminator="type")]]
AssistantContent = str | Items[Annotated[TextPart | RefusalPart, Field(discriminator="type")]]


class FunctionCall(WireModel):
    """Name and arguments of a call; `arguments` is JSON text."""

    name: str
    arguments: str


class ToolCall(WireModel):
    """A call in an earlier message of the model."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class SystemMessage(WireModel):
    """Instructions of the application; `developer` is the newer name of the role."""

    role: Literal["system", "developer"]
    content: TextContent


class UserMessage(WireModel):
    """What the user says."""

    role: Literal["user"]
    content: UserContent


class AssistantMessage(WireModel):
    """What the model said before."""

    role: Literal["assistant"]
    content: AssistantContent | None = None
    refusal: str | None = None
    tool_calls: Items[ToolCall] | None = None


class ToolMessage(WireModel):
    """What a tool answered."""

    role: Literal["tool"]
    content: TextContent
    tool_call_id: str


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(WireModel):
    """A function that the model may call; `parameters` is the JSON schema of its arguments."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(WireModel):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function


class FunctionName(WireModel):
    """Names a function."""

    name: str


class NamedToolChoice(WireModel):
    """The model must call this function."""

    type: Literal["function"]
    function: FunctionName


class AllowedTools(WireModel):
    """Which of the tools the model may, or must, call."""

    mode: Literal["auto", "required"]
    tools: Annotated[Items[NamedToolChoice], Field(min_length=1)]


class AllowedToolsChoice(WireModel):
    """The model may call only some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


ToolChoice = (
    Literal["none", "auto", "required"] | Annotated[NamedToolChoice | AllowedToolsChoice, Field(discriminator="type")]
)


class TextFormat(WireModel):
    """Any text: no format at all."""

    type: Literal["text"]


class JsonObjectFormat(WireModel):
    """Any one JSON object."""

    type: Literal["json_object"]


class NamedSchema(WireModel):
    """A JSON schema with its name."""

    name: str = ""
    description: str | None = None
    json_schema: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class JsonSchemaFormat(WireModel):
    """JSON that satisfies the schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(WireModel):
    """What a stream tells beyond the answer."""

    include_usage: bool | None = None


# --- requests ---

Stop = StopText | Annotated[Items[StopText], Field(max_length=4)]


class SamplingFields(WireModel):
    """What chat and text completions share."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_k: TopK | None = None
    """Not OpenAI's own, but what many clients of open models send; 0: no limit."""
    repetition_penalty: RepetitionPenalty | None = None
    """Not OpenAI's own, as `top_k`."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: Stop | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = None
    logit_bias: (
        Annotated[dict[int, Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]], FewEntries] | None
    ) = None


class ChatCompletionRequest(SamplingFields):
    """Body of POST /v1/chat/completions."""

    messages: Annotated[Items[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """The newer name of `max_tokens`, and the one that holds where both are given."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Items[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    functions: Any = None
    function_call: Any = None
    modalities: Items[str] | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None


TokenIds = Items[int]


class CompletionRequest(SamplingFields):
    """Body of POST /v1/completions."""

    prompt: str | Items[str] | TokenIds | Items[TokenIds]
    best_of: Annotated[int, Field(ge=1)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None


Input = Annotated[str, StringConstraints(min_length=1)]


class EmbeddingsRequest(WireModel):
    """Body of POST /v1/embeddings."""

    model: str
    input: Input | Items[Input] | TokenIds | Items[TokenIds]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None


__all__ = [
    "AllowedTools",
    "AllowedToolsChoice",
    "AssistantContent",
    "AssistantMessage",
    "ChatCompletionRequest",
    "CompletionRequest",
    "EmbeddingsRequest",
    "Function",
    "FunctionCall",
    "FunctionName",
    "ImagePart",
    "ImageURL",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "Message",
    "NamedSchema",
    "NamedToolChoice",
    "RefusalPart",
    "ResponseFormat",
    "SamplingFields",
    "StreamOptions",
    "SystemMessage",
    "TextContent",
    "TextFormat",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolMessage",
    "UserContent",
    "UserMessage",
]
