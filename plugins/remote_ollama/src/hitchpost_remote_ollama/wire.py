"""What Ollama answers, as far as it is read: its native API from 0.3 on. Fields that an older server leaves out have defaults."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat

Count = Annotated[int, Field(ge=0), BeforeValidator(lambda value: 0 if value is None else value)]
"""A number that Ollama leaves out when it is 0."""
NullIsEmpty = BeforeValidator(lambda value: [] if value is None else value)
"""Go writes a list that was never filled as null."""
NullIsNone = BeforeValidator(lambda value: {} if value is None else value)
NullIsBlank = BeforeValidator(lambda value: "" if value is None else value)
Text = Annotated[str, NullIsBlank]


class WireObject(BaseModel):
    """Unknown fields are a newer server's, and passed over."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), strict=True)

    @property
    def is_last(self) -> bool:
        """Whether nothing comes after it in a stream; where that isn't said, the stream's own end tells."""
        return False


# --- answers of a model ---


class Alternative(WireObject):
    """A token that might have been chosen."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(Alternative):
    """The token that was chosen, with the likeliest ones."""

    top_logprobs: Annotated[list[Alternative], NullIsEmpty] = Field(default_factory=list)


class FunctionCall(WireObject):
    """The arguments are an object, never a JSON text."""

    name: str
    arguments: Annotated[dict[str, Any], NullIsNone] = {}


class ToolCall(WireObject):
    """A whole call; servers before 0.12.10 give it no id."""

    function: FunctionCall
    id: Text = ""


class Message(WireObject):
    """A piece of what the model says, or all of it."""

    # Once per token: null is let through here, since to replace it takes a function of Python's.
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[ToolCall] | None = None


class Answer(WireObject):
    """One line of a stream, or a whole answer, which has the form of the last line."""

    done: bool = False
    done_reason: str | None = None
    """Absent before 0.1.38, and in all lines but the last."""
    prompt_eval_count: Count = 0
    eval_count: Count = 0
    logprobs: list[Logprob] | None = None

    @property
    def is_last(self) -> bool:
        """As Ollama says itself."""
        return self.done


class ChatAnswer(Answer):
    """Of `/api/chat`."""

    message: Message


class GenerateAnswer(Answer):
    """Of `/api/generate`."""

    response: str


class EmbedAnswer(WireObject):
    """Of `/api/embed`; the vectors have the length 1."""

    embeddings: Annotated[list[list[FiniteFloat]], NullIsEmpty]
    prompt_eval_count: Count = 0


# --- answers about models ---


class Details(WireObject):
    """What the file of a model says of itself."""

    family: Text = ""
    parameter_size: Text = ""
    quantization_level: Text = ""


class Tag(WireObject):
    """A model that the server has."""

    name: str
    digest: Text = ""
    size: Count = 0
    details: Details = Details()
    remote_host: Text = ""
    """Where the hosted service runs it."""


class TagsAnswer(WireObject):
    """Of `/api/tags`, and of `/api/ps`, whose models are those in memory."""

    models: Annotated[list[Tag], NullIsEmpty]


class ShowAnswer(WireObject):
    """Of `/api/show`."""

    parameters: Text = ""
    """A line for each, the name before the value."""
    capabilities: list[str] | None = None
    """Absent before 0.6.4."""
    model_info: Annotated[dict[str, Any], NullIsNone] = {}


class VersionAnswer(WireObject):
    """Of `/api/version`."""

    version: str


class PullStatus(WireObject):
    """A line of `/api/pull`."""

    status: str
    digest: Text = ""
    total: Count = 0
    completed: Count = 0


__all__ = [
    "Alternative",
    "Answer",
    "ChatAnswer",
    "Details",
    "EmbedAnswer",
    "FunctionCall",
    "GenerateAnswer",
    "Logprob",
    "Message",
    "PullStatus",
    "ShowAnswer",
    "Tag",
    "TagsAnswer",
    "ToolCall",
    "VersionAnswer",
    "WireObject",
]
