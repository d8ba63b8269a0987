"""The API agents: configured conversations that run shields, retrieval, a model and tools in turns."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, field_serializer

from hitchpost.api.agent_tools import AnyAgentTool, NullIsEmpty, ShieldIds
from hitchpost.api.content import URL, InterleavedContent
from hitchpost.api.context import RequestContext
from hitchpost.api.events import InferenceEvent
from hitchpost.api.inference import NullIsDefault
from hitchpost.api.messages import CompletionMessage, ToolResponseMessage, UserMessage
from hitchpost.api.resources import AnyMemoryBank
from hitchpost.api.routes import route
from hitchpost.api.safety import SafetyViolation
from hitchpost.api.sampling import SamplingParams
from hitchpost.api.tools import ToolCall, ToolChoiceMode, ToolName, ToolPromptFormat
from hitchpost.api.wire_model import Items, WireModel

# --- values ---


class AgentConfig(WireModel):
    """An agent. What it names (model, shields, banks) is looked up when it is used."""

    sampling_params: Annotated[SamplingParams, NullIsDefault] = Field(default_factory=SamplingParams)
    input_shields: ShieldIds = Field(default_factory=list)
    output_shields: ShieldIds = Field(default_factory=list)
    tools: Annotated[Items[AnyAgentTool], NullIsEmpty] = Field(default_factory=list)
    tool_choice: ToolChoiceMode | None = ToolChoiceMode.auto
    tool_prompt_format: ToolPromptFormat | None = None
    """Absent: the model family's own."""
    max_infer_iters: Annotated[int, Field(ge=0)] = 10
    model: str
    instructions: Annotated[str, Field(max_length=1_000_000)]
    enable_session_persistence: bool


class Attachment(WireModel):
    """A document that comes with a turn."""

    content: InterleavedContent | URL
    mime_type: str

    @field_serializer("content")
    def _address_as_text(self, content: InterleavedContent | URL) -> InterleavedContent:
        """Clients of this wire can't read a chunk with an attachment whose content is an object of an address."""
        return content.uri if isinstance(content, URL) else content


class StepType(StrEnum):
    """What a step does."""

    inference = "inference"
    tool_execution = "tool_execution"
    shield_call = "shield_call"
    memory_retrieval = "memory_retrieval"


class StepBase(WireModel):
    """What every step has."""

    turn_id: str
    step_id: str
    started_at: datetime | None = None
    completed_at: datetime | None = None


class InferenceStep(StepBase):
    """The model answered."""

    step_type: Literal["inference"] = "inference"
    model_response: CompletionMessage


class ToolResponse(WireModel):
    """What a tool answered."""

    call_id: str
    tool_name: ToolName
    content: InterleavedContent


class ToolExecutionStep(StepBase):
    """Tools were run."""

    step_type: Literal["tool_execution"] = "tool_execution"
    tool_calls: list[ToolCall]
    tool_responses: list[ToolResponse]


class ShieldCallStep(StepBase):
    """Shields were asked."""

    step_type: Literal["shield_call"] = "shield_call"
    violation: SafetyViolation | None


class MemoryRetrievalStep(StepBase):
    """Text was retrieved for the model."""

    step_type: Literal["memory_retrieval"] = "memory_retrieval"
    memory_bank_ids: list[str]
    inserted_context: InterleavedContent


Step = Annotated[
    InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep,
    Field(discriminator="step_type"),
]


class Turn(WireModel):
    """A whole turn: what came in, what was done, what came out."""

    turn_id: str
    session_id: str
    input_messages: list[UserMessage | ToolResponseMessage]
    steps: list[Step]
    output_message: CompletionMessage
    output_attachments: list[Attachment] = Field(default_factory=list)
    started_at: datetime
    completed_at: datetime | None = None


class Session(WireModel):
    """A conversation with an agent."""

    session_id: str
    session_name: str
    turns: list[Turn]
    started_at: datetime
    memory_bank: AnyMemoryBank | None = None


# --- requests ---


class CreateAgentRequest(WireModel):
    """Configure an agent."""

    agent_config: AgentConfig


class DeleteAgentRequest(WireModel):
    """Names an agent."""

    agent_id: str


class CreateSessionRequest(WireModel):
    """Begin a conversation."""

    agent_id: str
    session_name: str


class GetSessionRequest(WireModel):
    """Names a session, and which of its turns to answer; absent: all."""

    agent_id: str
    session_id: str
    turn_ids: Items[str] | None = None


class DeleteSessionRequest(WireModel):
    """Names a session."""

    agent_id: str
    session_id: str


class CreateTurnRequest(WireModel):
    """Say something to an agent, or bring the result of its call."""

    agent_id: str
    session_id: str
    messages: Annotated[
        Items[Annotated[UserMessage | ToolResponseMessage, Field(discriminator="role")]], Field(min_length=1)
    ]
    attachments: Items[Attachment] | None = None
    stream: bool | None = False


class GetTurnRequest(WireModel):
    """Names a turn."""

    agent_id: str
    session_id: str
    turn_id: str


class GetStepRequest(WireModel):
    """Names a step of a turn."""

    agent_id: str
    session_id: str
    turn_id: str
    step_id: str


# --- responses and stream events ---


class CreateAgentResponse(WireModel):
    """The new agent's id."""

    agent_id: str


class CreateSessionResponse(WireModel):
    """The new session's id."""

    session_id: str


class GetStepResponse(WireModel):
    """One step."""

    step: Step


@dataclass(slots=True)
class TurnStart:
    """First event of a turn."""

    turn_id: str


@dataclass(slots=True)
class StepStart:
    """A step begins."""

    step_id: str
    step_type: StepType
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class StepProgress:
    """A step goes on. `event` is what the model said, in an inference step; None where there is nothing to show."""

    step_id: str
    step_type: StepType
    event: InferenceEvent | None = None
    tool_response_text: str | None = None


@dataclass(slots=True)
class StepComplete:
    """A step ended."""

    step: InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep


@dataclass(slots=True)
class TurnComplete:
    """Last event of a turn that succeeded; a stream that ends without it has failed."""

    turn: Turn


TurnEvent = TurnStart | StepStart | StepProgress | StepComplete | TurnComplete

# --- protocol ---


class Agents(Protocol):
    """What an agents provider answers."""

    @route("POST", "/agents/create", CreateAgentRequest)
    async def create_agent(self, request: CreateAgentRequest, context: RequestContext) -> CreateAgentResponse:
        """Keep an agent's configuration."""
        ...

    @route("POST", "/agents/turn/create", CreateTurnRequest, streamed_by="stream_turn")
    async def create_turn(self, request: CreateTurnRequest, context: RequestContext) -> Turn:
        """Run a turn and answer the whole of it."""
        ...

    def stream_turn(self, request: CreateTurnRequest, context: RequestContext) -> AsyncIterator[TurnEvent]:
        """Run a turn, event by event."""
        ...

    @route("POST", "/agents/turn/get", GetTurnRequest)
    @route("GET", "/agents/turn/get", GetTurnRequest)
    async def get_turn(self, request: GetTurnRequest, context: RequestContext) -> Turn:
        """A turn that completed."""
        ...

    @route("POST", "/agents/step/get", GetStepRequest)
    @route("GET", "/agents/step/get", GetStepRequest)
    async def get_step(self, request: GetStepRequest, context: RequestContext) -> GetStepResponse:
        """A step of a turn that completed."""
        ...

    @route("POST", "/agents/session/create", CreateSessionRequest)
    async def create_session(self, request: CreateSessionRequest, context: RequestContext) -> CreateSessionResponse:
        """Begin a conversation with an agent."""
        ...

    @route("POST", "/agents/session/get", GetSessionRequest, in_query=("agent_id", "session_id"))
    async def get_session(self, request: GetSessionRequest, context: RequestContext) -> Session:
        """A conversation with its turns."""
        ...

    @route("POST", "/agents/session/delete", DeleteSessionRequest)
    async def delete_session(self, request: DeleteSessionRequest, context: RequestContext) -> None:
        """Forget a conversation with its turns."""
        ...

    @route("POST", "/agents/delete", DeleteAgentRequest)
    async def delete_agent(self, request: DeleteAgentRequest, context: RequestContext) -> None:
        """Forget an agent with its conversations."""
        ...


__all__ = [
    "AgentConfig",
    "Agents",
    "Attachment",
    "CreateAgentRequest",
    "CreateAgentResponse",
    "CreateSessionRequest",
    "CreateSessionResponse",
    "CreateTurnRequest",
    "DeleteAgentRequest",
    "DeleteSessionRequest",
    "GetSessionRequest",
    "GetStepRequest",
    "GetStepResponse",
    "GetTurnRequest",
    "InferenceStep",
    "MemoryRetrievalStep",
    "Session",
    "ShieldCallStep",
    "Step",
    "StepBase",
    "StepComplete",
    "StepProgress",
    "StepStart",
    "StepType",
    "ToolExecutionStep",
    "ToolResponse",
    "Turn",
    "TurnComplete",
    "TurnEvent",
    "TurnStart",
]
