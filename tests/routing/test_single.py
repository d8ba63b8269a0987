"""The routers of agents and telemetry, of which a host has one provider each."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hitchpost.api import (
    AgentConfig,
    Api,
    CompletionMessage,
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
    InferenceStep,
    LogEventRequest,
    RequestContext,
    Session,
    StopReason,
    Trace,
    Turn,
    TurnComplete,
    TurnEvent,
    TurnStart,
)
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    DeadlineExceededError,
    ProviderDefectError,
)
from hitchpost.plugin import AgentsProvider, TelemetryProvider
from hitchpost.routing import ProviderState
from tests.plugged import CONTEXT, Plugged, until

NOW = datetime(2024, 11, 20, tzinfo=UTC)
MESSAGE = CompletionMessage(content="Hi", stop_reason=StopReason.end_of_turn)
STEP = InferenceStep(turn_id="T", step_id="P", model_response=MESSAGE)
TURN = Turn(turn_id="T", session_id="S", input_messages=[], steps=[STEP], output_message=MESSAGE, started_at=NOW)
SESSION = Session(session_id="S", session_name="n", turns=[TURN], started_at=NOW)
SAID = CreateTurnRequest.model_validate(
    {"agent_id": "A", "session_id": "S", "messages": [{"role": "user", "content": "Hello"}]}
)


class OneTurn(AgentsProvider[Any]):
    """Plays one turn, from the middle on when it may go on; notes what it is asked."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.asked: list[Any] = []
        self.contexts: list[RequestContext] = []
        self.closed = self.deleted = 0
        self.failure: BaseException | None = None
        self.completes = True

    async def stream_turn(self, request: CreateTurnRequest, context: RequestContext) -> AsyncIterator[TurnEvent]:
        self.contexts.append(context)
        try:
            yield TurnStart("T")
            await self.go_on.wait()
            if self.failure is not None:
                raise self.failure
            if self.completes:
                yield TurnComplete(TURN)
        finally:
            self.closed += 1

    async def create_agent(self, request: CreateAgentRequest, context: RequestContext) -> CreateAgentResponse:
        return CreateAgentResponse(agent_id="A")

    async def create_session(self, request: CreateSessionRequest, context: RequestContext) -> CreateSessionResponse:
        return CreateSessionResponse(session_id="S")

    async def get_turn(self, request: GetTurnRequest, context: RequestContext) -> Turn:
        return TURN

    async def get_step(self, request: GetStepRequest, context: RequestContext) -> GetStepResponse:
        return GetStepResponse(step=STEP)

    async def get_session(self, request: GetSessionRequest, context: RequestContext) -> Session:
        return SESSION

    async def delete_session(self, request: DeleteSessionRequest, context: RequestContext) -> None:
        self.asked.append(request)
        await self.go_on.wait()
        self.deleted += 1

    async def delete_agent(self, request: DeleteAgentRequest, context: RequestContext) -> None:
        self.asked.append(request)
        await self.go_on.wait()
        self.deleted += 1


class OneTrace(TelemetryProvider[Any]):
    """Knows one trace; notes what it is told."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.events: list[Any] = []

    async def log_event(self, request: LogEventRequest, context: RequestContext) -> None:
        self.events.append(request.event)

    async def get_trace(self, request: GetTraceRequest, context: RequestContext) -> Trace:
        return Trace(trace_id=request.trace_id, root_span_id="s", start_time=NOW)


@pytest.fixture
async def stack(plugged: Plugged, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A stack with agents and telemetry; limits may be given by the parameter."""
    plugged.add(OneTurn, "inline::turn", api="agents")
    plugged.add(OneTrace, "inline::trace", api="telemetry")
    limits = getattr(request, "param", {})
    providers = {
        "agents": [{"provider_id": "a", "provider_type": "inline::turn", "limits": limits}],
        "telemetry": [{"provider_id": "t", "provider_type": "inline::trace"}],
    }
    async with plugged.running({"providers": providers}) as stack:
        yield stack


@pytest.fixture
def agents(stack: Any) -> Any:
    return stack.get_router(Api.agents)


@pytest.fixture
def provider(stack: Any) -> OneTurn:
    found = stack.providers[0].provider
    assert isinstance(found, OneTurn)
    return found


IDS = {"agent_id": "A", "session_id": "S"}
CONFIG = AgentConfig(model="m", instructions="", enable_session_persistence=False)


@pytest.mark.parametrize(
    ("operation", "request_", "expected"),
    [
        ("create_agent", CreateAgentRequest(agent_config=CONFIG), CreateAgentResponse(agent_id="A")),
        (
            "create_session",
            CreateSessionRequest(agent_id="A", session_name="n"),
            CreateSessionResponse(session_id="S"),
        ),
        ("create_turn", SAID, TURN),
        ("get_turn", GetTurnRequest(**IDS, turn_id="T"), TURN),
        ("get_step", GetStepRequest(**IDS, turn_id="T", step_id="P"), GetStepResponse(step=STEP)),
        ("get_session", GetSessionRequest(**IDS), SESSION),
        ("delete_session", DeleteSessionRequest(**IDS), None),
        ("delete_agent", DeleteAgentRequest(agent_id="A"), None),
    ],
)
async def test_operations_of_agents_reach_their_methods(
    operation: str, request_: Any, expected: Any, agents: Any
) -> None:
    assert await getattr(agents, operation)(request_, CONTEXT) == expected


async def test_deletions_are_handed_on_as_they_were_asked(agents: Any, provider: OneTurn) -> None:
    requests = [DeleteSessionRequest(**IDS), DeleteAgentRequest(agent_id="A")]

    await agents.delete_session(requests[0], CONTEXT)
    await agents.delete_agent(requests[1], CONTEXT)

    assert provider.asked == requests


@pytest.mark.parametrize(
    ("operation", "request_"),
    [("delete_session", DeleteSessionRequest(**IDS)), ("delete_agent", DeleteAgentRequest(agent_id="A"))],
)
async def test_deletion_runs_to_its_end_though_the_caller_left(
    operation: str, request_: Any, agents: Any, provider: OneTurn
) -> None:
    provider.go_on.clear()
    task = asyncio.create_task(getattr(agents, operation)(request_, CONTEXT))
    await until(lambda: provider.asked)

    task.cancel()
    await asyncio.wait([task])
    provider.go_on.set()

    await until(lambda: provider.deleted)
    assert task.cancelled()


async def test_stack_that_stops_waits_for_a_deletion(agents: Any, provider: OneTurn, stack: Any) -> None:
    provider.go_on.clear()
    delete = asyncio.create_task(agents.delete_agent(DeleteAgentRequest(agent_id="A"), CONTEXT))
    await until(lambda: provider.asked)
    stop = asyncio.create_task(stack.stop())
    await asyncio.sleep(0)

    provider.go_on.set()
    await asyncio.gather(stop, delete)

    assert provider.deleted == 1


async def test_events_of_a_turn_are_passed_on(agents: Any, provider: OneTurn) -> None:
    events = [event async for event in agents.stream_turn(SAID, CONTEXT)]

    assert events == [TurnStart("T"), TurnComplete(TURN)]
    [context] = provider.contexts
    assert (context.request_id, context.resource) == (CONTEXT.request_id, None)
    assert context.deadline is not None


async def test_whole_turn_that_never_completes_has_failed(agents: Any, provider: OneTurn) -> None:
    provider.completes = False

    with pytest.raises(BadBackendAnswerError):
        await agents.create_turn(SAID, CONTEXT)


async def test_place_is_held_until_the_turn_ends(agents: Any, provider: OneTurn, stack: Any) -> None:
    provider.go_on.clear()
    events = agents.stream_turn(SAID, CONTEXT)
    await anext(events)
    running = stack.providers[0].running

    provider.go_on.set()
    [event async for event in events]

    assert (running, stack.providers[0].running) == (1, 0)


async def test_closed_stream_closes_the_turn(agents: Any, provider: OneTurn, stack: Any) -> None:
    events = agents.stream_turn(SAID, CONTEXT)
    await anext(events)

    await events.aclose()

    assert (provider.closed, stack.providers[0].running) == (1, 0)


async def test_client_that_leaves_ends_the_turn(agents: Any, provider: OneTurn, stack: Any) -> None:
    provider.go_on.clear()

    async def listen() -> None:
        async for _ in agents.stream_turn(SAID, CONTEXT):
            pass

    task = asyncio.create_task(listen())
    await until(lambda: provider.contexts)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert (provider.closed, stack.providers[0].running) == (1, 0)


@pytest.mark.parametrize(
    ("failure", "error"), [(BadBackendAnswerError("x"), BadBackendAnswerError), (KeyError("x"), ProviderDefectError)]
)
async def test_failure_of_a_turn_names_its_provider(
    failure: Exception, error: type[Any], agents: Any, provider: OneTurn
) -> None:
    provider.failure = failure

    with pytest.raises(error) as failed:
        [event async for event in agents.stream_turn(SAID, CONTEXT)]

    assert failed.value.provider_id == "a"


@pytest.mark.parametrize("stack", [{"timeout_s": 0.05}], indirect=True)
async def test_turn_has_a_deadline(agents: Any, provider: OneTurn) -> None:
    provider.go_on.clear()

    with pytest.raises(DeadlineExceededError):
        [event async for event in agents.stream_turn(SAID, CONTEXT)]
    with pytest.raises(DeadlineExceededError):
        await agents.create_turn(SAID, CONTEXT)

    assert provider.closed == 2


async def test_provider_that_does_not_serve_is_said(agents: Any, stack: Any) -> None:
    stack.providers[0].set_state(ProviderState.failed, "no reason")

    with pytest.raises(BackendUnavailableError, match="provider a is failed: no reason"):
        await anext(agents.stream_turn(SAID, CONTEXT))


# --- telemetry ---


async def test_telemetry_takes_events_and_answers_traces(stack: Any) -> None:
    telemetry = stack.get_router(Api.telemetry)
    request = LogEventRequest.model_validate(
        {
            "event": {
                "type": "metric",
                "trace_id": "t",
                "span_id": "s",
                "timestamp": NOW,
                "metric": "m",
                "value": 1,
                "unit": "1",
            }
        }
    )

    assert await telemetry.log_event(request, CONTEXT) is None
    trace = await telemetry.get_trace(GetTraceRequest(trace_id="t"), CONTEXT)

    assert stack.providers[1].provider.events == [request.event]
    assert (trace.trace_id, trace.end_time) == ("t", None)
