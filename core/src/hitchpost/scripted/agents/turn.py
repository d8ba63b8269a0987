"""One turn of an agent of `inline::scripted`: shields, retrieval, inference and tools, event by event."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

from hitchpost.api import (
    AgentConfig,
    AnyMemoryBank,
    BuiltinTool,
    ChatCompletionRequest,
    CompletionMessage,
    CreateTurnRequest,
    InferenceEvent,
    InferenceStep,
    MemoryRetrievalStep,
    Message,
    RequestContext,
    RunShieldRequest,
    SafetyViolation,
    ShieldCallStep,
    Step,
    StepComplete,
    StepProgress,
    StepStart,
    StepType,
    StopReason,
    ToolCall,
    ToolChoiceMode,
    ToolExecutionStep,
    ToolResponse,
    Turn,
    TurnComplete,
    TurnEvent,
    TurnStart,
    UserMessage,
    ViolationLevel,
    content_items,
    content_text,
)
from hitchpost.errors import UnsupportedError
from hitchpost.plugin import ProviderDeps
from hitchpost.scripted.agents.conversation import BUILTIN, history, offered_tools, spoken_message, told, tool_message
from hitchpost.scripted.agents.retrieval import Retrieval


class TurnRun:
    """A turn while it runs.

    Args:
        deps: the APIs that it calls.
        config: of the agent.
        request: what was said.
        context: of the request.
        tool_responses: what the builtin tools answer.
    """

    def __init__(
        self,
        deps: ProviderDeps,
        config: AgentConfig,
        request: CreateTurnRequest,
        context: RequestContext,
        tool_responses: Mapping[BuiltinTool, str],
    ) -> None:
        self._deps = deps
        self._config = config
        self._request = request
        self._context = context
        self._tool_responses = tool_responses
        self._retrieval = Retrieval(deps, config, context)
        self._turn_id = str(uuid4())
        self._tools = offered_tools(config.tools)
        self._said: list[Message] = []
        self._output: CompletionMessage | None = None

    async def events(
        self, earlier: Sequence[Turn], session_bank: AnyMemoryBank | None
    ) -> AsyncGenerator[TurnEvent, None]:
        """All events; the last one has the whole turn.

        Args:
            earlier: the turns of the session so far.
            session_bank: where the session's attachments are, if it has any.
        """
        started_at = datetime.now(UTC)
        steps: list[Step] = []
        self._said = [*history(self._config.instructions, earlier), *self._request.messages]
        yield TurnStart(self._turn_id)
        async with aclosing(self._until_output(session_bank)) as events:
            async for event in events:
                if isinstance(event, StepComplete):
                    steps.append(event.step)
                yield event
        if self._output is None:
            raise RuntimeError("the turn has no output")
        yield TurnComplete(
            Turn(
                turn_id=self._turn_id,
                session_id=self._request.session_id,
                input_messages=self._request.messages,
                steps=steps,
                output_message=self._output,
                started_at=started_at,
                completed_at=datetime.now(UTC),
            )
        )

    async def _until_output(self, session_bank: AnyMemoryBank | None) -> AsyncGenerator[TurnEvent, None]:
        async for event in self._check(self._config.input_shields, "user-input"):
            yield event
        if self._output is not None:
            return
        async for event in self._retrieve(session_bank):
            yield event
        async with aclosing(self._infer_and_call()) as events:
            async for event in events:
                yield event
        # What a shield said in place of the model needs no shield.
        if self._said[-1] is self._output:
            async for event in self._check(self._config.output_shields, "assistant-output"):
                yield event

    async def _check(self, shields: Sequence[str], touchpoint: str) -> AsyncGenerator[TurnEvent, None]:
        """Asks shields one after the other; the first violation of level `error` ends the turn with what the user may be told."""
        if not shields:
            return
        if self._deps.safety is None:
            raise UnsupportedError(f"this host serves no safety, which the agent's shield {shields[0]!r} needs")
        step = _Step(self._turn_id, StepType.shield_call)
        yield step.start({"touchpoint": touchpoint})
        violation: SafetyViolation | None = None
        for shield_id in shields:
            request = RunShieldRequest(shield_id=shield_id, messages=self._said)
            found = (await self._deps.safety.run_shield(request, self._context)).violation
            if found is not None and found.violation_level is ViolationLevel.error:
                violation = found
                break
        yield StepComplete(ShieldCallStep(**step.fields(), violation=violation))
        if violation is not None:
            self._output = told(violation.user_message or "")

    async def _retrieve(self, session_bank: AnyMemoryBank | None) -> AsyncGenerator[TurnEvent, None]:
        """Gives the last message what was found for it. A turn that brings the result of a tool asked before."""
        last = self._said[-1]
        if self._retrieval.tool is None or not isinstance(last, UserMessage):
            return
        step = _Step(self._turn_id, StepType.memory_retrieval)
        yield step.start()
        bank_ids, texts = await self._retrieval.find(self._request.messages, session_bank)
        inserted: list[str] | str = texts or ""
        yield StepComplete(MemoryRetrievalStep(**step.fields(), memory_bank_ids=bank_ids, inserted_context=inserted))
        if texts:
            own = [] if last.context is None else content_items(last.context)
            # A copy: the turn is kept as it was sent.
            self._said[-1] = last.model_copy(update={"context": [*own, "\n".join(texts)]})

    async def _infer_and_call(self) -> AsyncGenerator[TurnEvent, None]:
        """Asks the model until it has said what ends the turn."""
        for iteration in count():
            async with aclosing(self._infer(iteration)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, StepComplete) and isinstance(event.step, InferenceStep):
                        message = event.step.model_response
            self._said.append(message)
            if iteration >= self._config.max_infer_iters or _ends_turn(message):
                self._output = message
                return
            if message.tool_calls:
                async for tool_event in self._call_tools(message.tool_calls):
                    yield tool_event
                if self._output is not None:
                    return

    async def _infer(self, iteration: int) -> AsyncGenerator[TurnEvent, None]:
        if self._deps.inference is None:
            raise UnsupportedError("this host serves no inference, which an agent needs")
        choice = self._config.tool_choice
        if choice is ToolChoiceMode.required and (iteration > 0 or not isinstance(self._said[-1], UserMessage)):
            # Forced again after its result, a call would follow a call for ever.
            choice = ToolChoiceMode.auto
        request = ChatCompletionRequest(
            model_id=self._config.model,
            messages=self._said,
            sampling_params=self._config.sampling_params,
            tools=self._tools or None,
            tool_choice=choice if self._tools else ToolChoiceMode.auto,
            tool_prompt_format=self._config.tool_prompt_format,
        )
        step = _Step(self._turn_id, StepType.inference)
        yield step.start()
        heard: list[InferenceEvent] = []
        stream: Any = self._deps.inference.stream_chat_completion(request, self._context)
        async with aclosing(stream) as events:
            async for event in events:
                heard.append(event)
                yield StepProgress(step.step_id, step.step_type, event)
        message = await spoken_message(heard)
        yield StepComplete(InferenceStep(**step.fields(), model_response=message))

    async def _call_tools(self, calls: Sequence[ToolCall]) -> AsyncGenerator[TurnEvent, None]:
        """Answers the calls of builtin tools, between the shields of these tools."""
        called = [tool for tool in self._config.tools if BUILTIN.get(type(tool)) in {call.tool_name for call in calls}]
        async for event in self._check([shield for tool in called for shield in tool.input_shields], "tool-input"):
            yield event
        if self._output is not None:
            return
        step = _Step(self._turn_id, StepType.tool_execution)
        yield step.start()
        responses = [
            ToolResponse(call_id=call.call_id, tool_name=call.tool_name, content=self._tool_text(call.tool_name))
            for call in calls
        ]
        for response in responses:
            yield StepProgress(step.step_id, step.step_type, tool_response_text=content_text(response.content))
        yield StepComplete(ToolExecutionStep(**step.fields(), tool_calls=list(calls), tool_responses=responses))
        self._said += [tool_message(response) for response in responses]
        async for event in self._check([shield for tool in called for shield in tool.output_shields], "tool-output"):
            yield event

    def _tool_text(self, name: str) -> str:
        if name not in {tool.tool_name for tool in self._tools}:
            return f"error: the agent has no tool {name}"
        try:
            return self._tool_responses[BuiltinTool(name)]
        except KeyError:
            return f"error: the config of inline::scripted has no tool_responses for {name}"


class _Step:
    """A step while it runs: its id and its times."""

    def __init__(self, turn_id: str, step_type: StepType) -> None:
        self.step_type = step_type
        self.step_id = str(uuid4())
        self._turn_id = turn_id
        self._started_at = datetime.now(UTC)

    def start(self, metadata: dict[str, Any] | None = None) -> StepStart:
        return StepStart(self.step_id, self.step_type, metadata or {})

    def fields(self) -> dict[str, Any]:
        """What every step has, now that it ends."""
        times = {"started_at": self._started_at, "completed_at": datetime.now(UTC)}
        return {"turn_id": self._turn_id, "step_id": self.step_id, **times}


def _ends_turn(message: CompletionMessage) -> bool:
    """Whether there is nothing left to do here: calls of custom tools are the client's to answer."""
    if message.stop_reason is StopReason.out_of_tokens:
        return True
    if not message.tool_calls:
        return message.stop_reason is StopReason.end_of_turn
    return any(call.tool_name not in set(BuiltinTool) for call in message.tool_calls)


__all__ = ["TurnRun"]
