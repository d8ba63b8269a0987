"""The provider behind `inline::scripted`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Sequence
from contextlib import aclosing
from re import Match

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionEvent,
    CompletionRequest,
    Finish,
    InferenceEvent,
    Model,
    RequestContext,
    TextDelta,
    Usage,
    content_text,
)
from hitchpost.errors import BadRequestError, quoted
from hitchpost.plugin import InferenceProvider, Metric, ProviderDeps
from hitchpost.scripted.answer import (
    ECHO,
    Said,
    answer_chat,
    answer_prompt,
    calls_fit,
    offered_tools,
    prompt_texts,
    said_last,
)
from hitchpost.scripted.playback import Limits, play
from hitchpost.scripted.script import CutFault, DefectFault, ErrorFault, Fault, Pace, Rule, ScriptedConfig, StallFault


class ScriptedInference(InferenceProvider[ScriptedConfig]):
    """Answers by the rules of its config: the same request gets the same answer, apart from rules with `times`."""

    def __init__(self, config: ScriptedConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._uses = [0] * len(config.script)
        self._registered: set[str] = set()
        self._requests = self._running = self._cancelled = self._events = 0

    def metrics(self) -> Iterable[Metric]:
        """What was asked, what runs, and what was cancelled."""
        return (
            Metric(name="requests_total", kind="counter", help="Requests.", value=self._requests),
            Metric(name="streams_running", kind="gauge", help="Answers being made.", value=self._running),
            Metric(name="cancelled_total", kind="counter", help="Answers given up half-way.", value=self._cancelled),
            Metric(name="events_total", kind="counter", help="Stream events made.", value=self._events),
            Metric(name="registered_models", kind="gauge", help="Models announced.", value=len(self._registered)),
        )

    async def list_models(self) -> Sequence[Model]:
        """The models of the config."""
        return [Model(provider_resource_id=name) for name in self.config.models]

    async def register_model(self, model: Model, context: RequestContext | None) -> None:
        """Accepts the models of the config; others only with `accept_any_model`."""
        name = model.provider_resource_id
        if not self.config.accept_any_model and name not in self.config.models:
            raise BadRequestError(
                f"provider {self.deps.provider_id} does not serve {quoted(name)}; it serves {', '.join(self.config.models)}",
                param="provider_model_id",
            )
        self._registered.add(model.identifier)

    async def unregister_model(self, model: Model, context: RequestContext | None) -> None:
        """Forgets a registration."""
        self._registered.discard(model.identifier)

    async def stream_completion(
        self, request: CompletionRequest, context: RequestContext
    ) -> AsyncIterator[CompletionEvent]:
        """Continues a prompt as the script says: with text only, since a completion has no calls and no reasoning."""
        self._requests += 1
        prompt = content_text(request.content)
        said = Said(prompt)
        rule, match = self._rule_for(said, ())
        answer = answer_prompt(request, rule, match, said)
        events = play(answer, Limits.of(request.sampling_params, request.logprobs), [prompt], "call")
        if request.echo:
            events = [TextDelta(prompt, number) for number in range(request.sampling_params.n)] + events
        async with aclosing(self._send(events, rule)) as sent:
            async for event in sent:
                if isinstance(event, TextDelta | Usage | Finish):
                    yield event

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """Answers the last message as the script says."""
        self._requests += 1
        said = said_last(request)
        rule, match = self._rule_for(said, offered_tools(request))
        answer = answer_chat(request, rule, match, said)
        limits = Limits.of(request.sampling_params, request.logprobs)
        events = play(answer, limits, prompt_texts(request), f"call_{len(request.messages)}")
        async with aclosing(self._send(events, rule)) as sent:
            async for event in sent:
                yield event

    def _rule_for(self, said: Said, tools: Collection[str]) -> tuple[Rule, Match[str] | bool]:
        for number, rule in enumerate(self.config.script):
            if rule.times is not None and self._uses[number] >= rule.times:
                continue
            match = said.find_match(rule)
            if match and calls_fit(rule, tools):
                self._uses[number] += 1
                return rule, match
        return ECHO, True

    async def _send(self, events: Sequence[InferenceEvent], rule: Rule) -> AsyncGenerator[InferenceEvent, None]:
        pace = rule.pace or self.config.pace
        last = len(events) - 1
        fault_at = None if rule.fault is None else min(rule.fault.after_events, last)
        is_over = False
        self._running += 1
        try:
            for number, event in enumerate(events):
                await _pause(pace, number, event)
                if number == fault_at and rule.fault is not None:
                    await _strike(rule.fault)
                    return
                self._events += 1
                is_over = number == last
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            self._cancelled += not is_over
            raise
        finally:
            self._running -= 1


async def _pause(pace: Pace, number: int, event: InferenceEvent) -> None:
    if number == 0:
        if pace.first_token_s:
            await asyncio.sleep(pace.first_token_s)
    elif number % pace.burst_tokens == 0 and not isinstance(event, Usage | Finish):
        await asyncio.sleep(pace.token_s)


async def _strike(fault: Fault) -> None:
    """Does what the fault says; a cut is done by coming back."""
    match fault:
        case ErrorFault():
            raise fault.error()
        case DefectFault():
            raise RuntimeError(fault.message)
        case StallFault():
            await asyncio.Event().wait()
        case CutFault():
            return


__all__ = ["ScriptedInference"]
