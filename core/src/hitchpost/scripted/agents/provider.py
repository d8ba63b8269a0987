"""What serves agents as `inline::scripted`: agents, sessions and turns, kept until the provider stops."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field

from hitchpost.api import (
    AgentConfig,
    AnyMemoryBank,
    BuiltinTool,
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
    GetTurnRequest,
    RequestContext,
    Session,
    Turn,
    TurnComplete,
    TurnEvent,
    UnregisterMemoryBankRequest,
)
from hitchpost.errors import BadRequestError, NotFoundError
from hitchpost.plugin import AgentsProvider, Metric, ProviderDeps
from hitchpost.scripted.agents.retrieval import Retrieval
from hitchpost.scripted.agents.turn import TurnRun
from hitchpost.scripted.faults import Settings


class ScriptedAgentsConfig(Settings):
    """Config of `inline::scripted` for agents. What an agent says comes from the model that it names."""

    tool_responses: dict[BuiltinTool, str] = Field(default_factory=dict)
    """What the builtin tools answer, by name; the others answer that the script says nothing of them."""
    max_kept: Annotated[int, Field(ge=1)] = 10_000
    """How many agents, sessions and turns are kept, all together; further ones are refused until some are deleted."""
    max_characters: Annotated[int, Field(ge=1)] = 50_000_000
    """How much text they hold at most, all together, counted as they are answered."""


@dataclass(slots=True)
class KeptSession:
    """A session. One turn runs at a time, as the next one begins with what it said."""

    session_id: str
    name: str
    started_at: datetime
    characters: int
    """Of its name and its turns."""
    turns: dict[str, Turn] = field(default_factory=dict)
    memory_bank: AnyMemoryBank | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class KeptAgent:
    """An agent with its sessions."""

    config: AgentConfig
    characters: int
    """Of its config."""
    sessions: dict[str, KeptSession] = field(default_factory=dict)


class ScriptedAgents(AgentsProvider[ScriptedAgentsConfig]):
    """Agents in memory."""

    def __init__(self, config: ScriptedAgentsConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._agents: dict[str, KeptAgent] = {}
        self._turns = self._running = 0

    def metrics(self) -> Iterable[Metric]:
        """What is kept, and what runs."""
        return (
            Metric(name="agents", kind="gauge", help="Agents kept.", value=len(self._agents)),
            Metric(name="turns_total", kind="counter", help="Turns that completed.", value=self._turns),
            Metric(name="turns_running", kind="gauge", help="Turns under way.", value=self._running),
        )

    async def stop(self) -> None:
        """Forget everything."""
        self._agents.clear()

    async def create_agent(self, request: CreateAgentRequest, context: RequestContext) -> CreateAgentResponse:
        """Keep an agent's configuration; what it names is looked up when a turn needs it."""
        if request.agent_config.sampling_params.n > 1:
            name = "agent_config.sampling_params.n"
            raise BadRequestError(f"{name}: an agent has one answer at a time", param=name)
        characters = characters_in(request.agent_config.model_dump())
        self._check_room(characters)
        agent_id = str(uuid4())
        self._agents[agent_id] = KeptAgent(request.agent_config, characters)
        return CreateAgentResponse(agent_id=agent_id)

    async def create_session(self, request: CreateSessionRequest, context: RequestContext) -> CreateSessionResponse:
        """Begin a conversation."""
        agent = self._agent(request.agent_id)
        characters = len(request.session_name)
        self._check_room(characters)
        session = KeptSession(str(uuid4()), request.session_name, datetime.now(UTC), characters)
        agent.sessions[session.session_id] = session
        return CreateSessionResponse(session_id=session.session_id)

    async def stream_turn(self, request: CreateTurnRequest, context: RequestContext) -> AsyncIterator[TurnEvent]:
        """Run a turn; it is kept once it is complete."""
        agent = self._agent(request.agent_id)
        session = self._session(request.agent_id, request.session_id)
        async with session.busy:
            self._check_room(characters_in([message.model_dump() for message in request.messages]))
            if request.attachments:
                retrieval = Retrieval(self.deps, agent.config, context)
                session.memory_bank = await retrieval.keep(request.attachments, session.session_id)
            run = TurnRun(self.deps, agent.config, request, context, self.config.tool_responses)
            self._running += 1
            try:
                async with aclosing(run.events(list(session.turns.values()), session.memory_bank)) as events:
                    async for event in events:
                        if isinstance(event, TurnComplete):
                            self._keep(session, event.turn)
                        yield event
            finally:
                self._running -= 1

    async def get_turn(self, request: GetTurnRequest, context: RequestContext) -> Turn:
        """A turn that completed."""
        return self._turn(request)

    async def get_step(self, request: GetStepRequest, context: RequestContext) -> GetStepResponse:
        """A step of a turn that completed."""
        for step in self._turn(request).steps:
            if step.step_id == request.step_id:
                return GetStepResponse(step=step)
        raise NotFoundError(f"Provided step_id {request.step_id} could not be found", param="step_id")

    async def get_session(self, request: GetSessionRequest, context: RequestContext) -> Session:
        """A conversation with those of its turns that are asked for; without `turn_ids`, with all."""
        session = self._session(request.agent_id, request.session_id)
        wanted = session.turns if request.turn_ids is None else request.turn_ids
        unknown = [turn_id for turn_id in wanted if turn_id not in session.turns]
        if unknown:
            raise NotFoundError(f"Turn {unknown[0]} not found", param="turn_ids")
        return Session(
            session_id=session.session_id,
            session_name=session.name,
            turns=[session.turns[turn_id] for turn_id in wanted],
            started_at=session.started_at,
            memory_bank=session.memory_bank,
        )

    async def delete_session(self, request: DeleteSessionRequest, context: RequestContext) -> None:
        """Forget a conversation, and the bank of its attachments; one that isn't there is forgotten already."""
        agent = self._agents.get(request.agent_id)
        session = agent.sessions.pop(request.session_id, None) if agent else None
        if session is not None:
            await self._let_go(session, context)

    async def delete_agent(self, request: DeleteAgentRequest, context: RequestContext) -> None:
        """Forget an agent with its conversations; one that isn't there is forgotten already."""
        agent = self._agents.pop(request.agent_id, None)
        for session in agent.sessions.values() if agent else ():
            await self._let_go(session, context)

    async def _let_go(self, session: KeptSession, context: RequestContext) -> None:
        if session.memory_bank is not None and self.deps.memory_banks is not None:
            request = UnregisterMemoryBankRequest(memory_bank_id=session.memory_bank.identifier)
            await self.deps.memory_banks.unregister_memory_bank(request, context)

    def _agent(self, agent_id: str) -> KeptAgent:
        if agent_id not in self._agents:
            raise NotFoundError(f"Could not find agent config for {agent_id}", param="agent_id")
        return self._agents[agent_id]

    def _session(self, agent_id: str, session_id: str) -> KeptSession:
        session = self._agent(agent_id).sessions.get(session_id)
        if session is None:
            raise NotFoundError(f"Session {session_id} not found", param="session_id")
        return session

    def _turn(self, request: GetTurnRequest | GetStepRequest) -> Turn:
        turn = self._session(request.agent_id, request.session_id).turns.get(request.turn_id)
        if turn is None:
            raise NotFoundError(f"Turn {request.turn_id} not found", param="turn_id")
        return turn

    def _keep(self, session: KeptSession, turn: Turn) -> None:
        characters = characters_in(turn.model_dump())
        self._check_room(characters)
        session.turns[turn.turn_id] = turn
        session.characters += characters
        self._turns += 1

    def _check_room(self, characters: int) -> None:
        """Refuse one more agent, session or turn with so many characters where there is no room for it."""
        sessions = [session for agent in self._agents.values() for session in agent.sessions.values()]
        kept = len(self._agents) + len(sessions) + sum(len(session.turns) for session in sessions)
        if kept >= self.config.max_kept:
            raise BadRequestError(
                f"provider {self.deps.provider_id} keeps {kept:,} agents, sessions and turns and no more; delete some, "
                "or raise max_kept in its config"
            )
        there = sum(agent.characters for agent in self._agents.values())
        there += sum(session.characters for session in sessions)
        if there + characters > self.config.max_characters:
            raise BadRequestError(
                f"provider {self.deps.provider_id} keeps at most {self.config.max_characters:,} characters in its agents, "
                "sessions and turns; send less, delete some, or raise max_characters in its config"
            )


def characters_in(value: Any) -> int:
    """How much text there is in dumped data; what is no text counts for one character."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(characters_in(key) + characters_in(member) for key, member in value.items())
    if isinstance(value, list | tuple):
        return sum(map(characters_in, value))
    return 1


__all__ = ["ScriptedAgents", "ScriptedAgentsConfig"]
