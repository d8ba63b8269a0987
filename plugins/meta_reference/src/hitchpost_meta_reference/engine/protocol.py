"""What host and engine say to each other over a local socket.

A frame is four bytes, its length (big-endian), and that many bytes of JSON: an object whose `type` names one of the messages below. The socket
lies in a folder that only its user can enter; several clients may be connected, each sees only its own requests.

    host -> engine                                   engine -> host
    Submit   begin a request for text                Ready    the model is loaded; the first frame of every connection, or
    Embed    begin a request for vectors             Failed   why the engine can't start or go on; it ends after this
    Cancel   end it, nothing more is wanted          Step     everything a step brought this client, and the engine's figures
    Ping     are you there?                          Pong     the answer to Ping

The events of a `Step`: for text any number of `Text` per choice, one `End` per choice, then one `Done` for the request; for vectors any number of
`Vectors`, then `Done`; or a `RequestFailed` instead of what was to come. `request_id` is chosen by the client and unique on its connection. There is
no frame that ends the engine: it ends with its standard input, which its owner holds open.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from hitchpost.api import TokenLogprob
from hitchpost.llama import SpecialToken

MAX_FRAME_BYTES = 64 * 1024 * 1024
_LENGTH_BYTES = 4


class ProtocolError(Exception):
    """The other end sent what isn't a frame, or a frame is too large."""


# --- from the host ---


@dataclass(slots=True)
class TextPrompt:
    """A text to continue, as it is."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(slots=True)
class SegmentsPrompt:
    """Texts and special tokens, in order; a text never becomes a special token."""

    segments: list[str | SpecialToken]
    kind: Literal["segments"] = "segments"


@dataclass(slots=True)
class TemplatePrompt:
    """A conversation for the checkpoint's own chat template, in the form that such templates expect."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    kind: Literal["template"] = "template"


Prompt = Annotated[TextPrompt | SegmentsPrompt | TemplatePrompt, Field(discriminator="kind")]


@dataclass(slots=True)
class Sampling:
    """How tokens are chosen; None: as the checkpoint recommends, else temperature 1 and no limit. A temperature of 0 is greedy."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] | None = None
    seed: int | None = None


@dataclass(slots=True)
class Submit:
    """Begin a request of `n` choices."""

    request_id: int
    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1
    max_tokens: int | None = None
    """None, or more than there is room for: the rest of the context."""
    stop: list[str] = field(default_factory=list)
    top_logprobs: int | None = None
    """None: no log probabilities; 0: only those of the chosen tokens."""
    visible_tokens: list[str] = field(default_factory=list)
    """Names of special tokens that are to be seen in the text; the others have none."""
    group: str = ""
    """Requests of one group take turns as if they were one request; empty: one of its own."""
    type: Literal["submit"] = "submit"


@dataclass(slots=True)
class Embed:
    """Turn texts into vectors."""

    request_id: int
    texts: list[str]
    type: Literal["embed"] = "embed"


@dataclass(slots=True)
class Cancel:
    """The request's events are no longer wanted. An unknown or ended request is fine."""

    request_id: int
    type: Literal["cancel"] = "cancel"


@dataclass(slots=True)
class Ping:
    """Asks for a `Pong`."""

    type: Literal["ping"] = "ping"


FromHost = Annotated[Submit | Embed | Cancel | Ping, Field(discriminator="type")]


# --- from the engine ---


CheckpointFormat = Literal["meta", "hugging_face"]


@dataclass(slots=True)
class ModelFacts:
    """What the engine knows of its model."""

    model_type: Literal["llm", "embedding"]
    """Whether it makes text, or vectors alone."""
    context_length: int
    """Tokens of prompt and answer together; for vectors, of a text."""
    embedding_dimension: int
    """Numbers of a vector."""
    vocabulary_size: int
    eos_ids: list[int]
    checkpoint_format: CheckpointFormat
    has_chat_template: bool
    template_knows_tools: bool
    special_tokens: list[str]
    """Their names, for prompts that are built of segments."""
    parameters: int
    dtype: str
    device: str


@dataclass(slots=True)
class Stats:
    """The engine's figures; counters begin at 0 with each process."""

    running: int = 0
    waiting: int = 0
    slots_in_use: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    texts_waiting: int = 0
    embedded_texts: int = 0
    embedded_tokens: int = 0
    step_age_s: float = 0.0
    """For how long the step in progress has been computing; 0 between steps."""


@dataclass(slots=True)
class Ready:
    """The model is loaded."""

    facts: ModelFacts
    type: Literal["ready"] = "ready"


@dataclass(slots=True)
class Failed:
    """The engine can't start, or can't go on; for people, without paths."""

    message: str
    type: Literal["failed"] = "failed"


@dataclass(slots=True)
class Text:
    """More text of a choice; with log probabilities one `Text` per token, be its text empty."""

    request_id: int
    choice: int
    text: str
    logprobs: list[TokenLogprob] | None = None
    kind: Literal["text"] = "text"


EndCause = Literal["stopped", "end_of_message", "stop_string", "length"]


@dataclass(slots=True)
class End:
    """The end of a choice: by a token that ends a turn (`stopped`) or a message, by a stop string, or by a limit."""

    request_id: int
    choice: int
    cause: EndCause
    stop_text: str | None = None
    kind: Literal["end"] = "end"


@dataclass(slots=True)
class Vectors:
    """Vectors of some of a request's texts."""

    request_id: int
    indices: list[int]
    """Whose they are: places in the request's list of texts."""
    numbers: str
    """One vector after the other: base64 of float32 in this machine's byte order."""
    kind: Literal["vectors"] = "vectors"


@dataclass(slots=True)
class Done:
    """All choices have ended, or all vectors are there."""

    request_id: int
    prompt_tokens: int
    completion_tokens: int
    kind: Literal["done"] = "done"


@dataclass(slots=True)
class RequestFailed:
    """The request is over without an answer; `code` is that of an error class of `hitchpost.errors`."""

    request_id: int
    code: str
    message: str
    param: str | None = None
    kind: Literal["failed"] = "failed"


Event = Annotated[Text | End | Vectors | Done | RequestFailed, Field(discriminator="kind")]


@dataclass(slots=True)
class Step:
    """What a step brought."""

    stats: Stats
    events: list[Event] = field(default_factory=list)
    type: Literal["step"] = "step"


@dataclass(slots=True)
class Pong:
    """The answer to `Ping`."""

    stats: Stats
    type: Literal["pong"] = "pong"


FromEngine = Annotated[Ready | Failed | Step | Pong, Field(discriminator="type")]

_from_host: TypeAdapter[Submit | Embed | Cancel | Ping] = TypeAdapter(FromHost)
_from_engine: TypeAdapter[Ready | Failed | Step | Pong] = TypeAdapter(FromEngine)


# --- frames ---


def encode(message: Submit | Embed | Cancel | Ping | Ready | Failed | Step | Pong) -> bytes:
    """The frame of a message.

    Raises:
        ProtocolError: the frame would be larger than the other end takes.
    """
    body = to_json(message)
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a message of {len(body)} bytes is larger than the {MAX_FRAME_BYTES} that are allowed")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


async def read_from_host(reader: asyncio.StreamReader) -> Submit | Embed | Cancel | Ping | None:
    """The next message of a client; None at the end of the connection.

    Raises:
        ProtocolError: what came is not a message.
    """
    return await _read(reader, _from_host)


async def read_from_engine(reader: asyncio.StreamReader) -> Ready | Failed | Step | Pong | None:
    """The next message of the engine; None at the end of the connection.

    Raises:
        ProtocolError: what came is not a message.
    """
    return await _read(reader, _from_engine)


async def _read(reader: asyncio.StreamReader, adapter: TypeAdapter[Any]) -> Any:
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        if length > MAX_FRAME_BYTES:
            raise ProtocolError(f"a frame of {length} bytes is larger than the {MAX_FRAME_BYTES} that are allowed")
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        raise ProtocolError(f"a frame of {length} bytes is no known message: {details[0]['msg']}") from error


__all__ = [
    "MAX_FRAME_BYTES",
    "Cancel",
    "CheckpointFormat",
    "Done",
    "Embed",
    "End",
    "EndCause",
    "Event",
    "Failed",
    "ModelFacts",
    "Ping",
    "Pong",
    "Prompt",
    "ProtocolError",
    "Ready",
    "RequestFailed",
    "Sampling",
    "SegmentsPrompt",
    "Stats",
    "Step",
    "Submit",
    "TemplatePrompt",
    "Text",
    "TextPrompt",
    "Vectors",
    "encode",
    "read_from_engine",
    "read_from_host",
]
