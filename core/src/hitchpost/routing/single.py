"""The routers of APIs that one provider serves: agents and telemetry."""

from collections.abc import AsyncGenerator
from typing import Any

from hitchpost.api import (
    CreateAgentRequest,
    CreateAgentResponse,
    CreateSessionRequest,
    CreateSessionResponse,
    CreateTurnRequest,
    DeleteAgentRequest,
    DeleteSessionRequest,
    GetSessionRequest,
    GetStepRequest,
    GetStepResponse,
    GetTraceRequest,
    GetTurnRequest,
    LogEventRequest,
    RequestContext,
    Session,
    Trace,
    Turn,
    TurnEvent,
)
from hitchpost.registry import OwnedTasks
from hitchpost.routing.gate import ProviderGate


class SingleRouter:
    """Asks the one provider of an API.

    Args:
        gate: in front of the provider.
    """

    def __init__(self, gate: ProviderGate) -> None:
        self._gate = gate

    async def _answer(self, operation: str, request: object, context: RequestContext) -> Any:
        return await self._gate.answer(operation, request, context)


class AgentsRouter(SingleRouter):
    """Implements `hitchpost.api.Agents`. A deletion runs to its end though the caller left."""

    def __init__(self, gate: ProviderGate) -> None:
        super().__init__(gate)
        self._deletions = OwnedTasks()

    async def create_agent(self, request: CreateAgentRequest, context: RequestContext) -> CreateAgentResponse:
        """Keep an agent's configuration."""
        answer: CreateAgentResponse = await self._answer("create_agent", request, context)
        return answer

    async def create_turn(self, request: CreateTurnRequest, context: RequestContext) -> Turn:
        """Run a turn and answer the whole of it."""
        answer: Turn = await self._answer("create_turn", request, context)
        return answer

    def stream_turn(self, request: CreateTurnRequest, context: RequestContext) -> AsyncGenerator[TurnEvent, None]:
        """Run a turn, event by event."""
        return self._gate.events("stream_turn", request, context)

    async def get_turn(self, request: GetTurnRequest, context: RequestContext) -> Turn:
        """A turn that completed."""
        answer: Turn = await self._answer("get_turn", request, context)
        return answer

    async def get_step(self, request: GetStepRequest, context: RequestContext) -> GetStepResponse:
        """A step of a turn that completed."""
        answer: GetStepResponse = await self._answer("get_step", request, context)
        return answer

    async def create_session(self, request: CreateSessionRequest, context: RequestContext) -> CreateSessionResponse:
        """Begin a conversation with an agent."""
        answer: CreateSessionResponse = await self._answer("create_session", request, context)
        return answer

    async def get_session(self, request: GetSessionRequest, context: RequestContext) -> Session:
        """A conversation with its turns."""
        answer: Session = await self._answer("get_session", request, context)
        return answer

    async def delete_session(self, request: DeleteSessionRequest, context: RequestContext) -> None:
        """Forget a conversation with its turns."""
        await self._deletions.run_to_end(self._answer("delete_session", request, context))

    async def delete_agent(self, request: DeleteAgentRequest, context: RequestContext) -> None:
        """Forget an agent with its conversations."""
        await self._deletions.run_to_end(self._answer("delete_agent", request, context))

    async def close(self, timeout_s: float) -> None:
        """Wait for deletions that are under way; what takes longer is given up."""
        await self._deletions.close(timeout_s)


class TelemetryRouter(SingleRouter):
    """Implements `hitchpost.api.Telemetry`."""

    async def log_event(self, request: LogEventRequest, context: RequestContext) -> None:
        """Keep an event."""
        await self._answer("log_event", request, context)

    async def get_trace(self, request: GetTraceRequest, context: RequestContext) -> Trace:
        """A trace that is kept."""
        answer: Trace = await self._answer("get_trace", request, context)
        return answer


__all__ = ["AgentsRouter", "SingleRouter", "TelemetryRouter"]
