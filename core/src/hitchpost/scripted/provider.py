"""The provider behind `inline::scripted`."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import chain, islice
from re import Match
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    ChatCompletionResponse,
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
from hitchpost.plugin import InferenceProvider, Metric, ProviderDeps, collect_chat
from hitchpost.plugin.collect import chat_of
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
from hitchpost.scripted.playback import play
from hitchpost.scripted.script import CutFault, DefectFault, ErrorFault, Fault, Rule, ScriptedConfig, StallFault

_MOST_AT_ONCE = 1000
"""Events that may be made without letting others run."""
_MADE_AHEAD = 100
"""Events that are made at a time: each by itself, between two pauses, would cost several times as much."""


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

    def stream_completion(
        self, request: CompletionRequest, context: RequestContext
    ) -> AsyncGenerator[CompletionEvent, None]:
        """Continues a prompt as the script says: with text only, since a completion has no calls and no reasoning."""
        return self._send(request, *self._play_prompt(request))

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """The whole answer: made at once where it is one short burst without pause and fault, else collected from its stream."""
        rule, events = self._play_chat(request)
        pace, n = rule.pace or self.config.pace, request.sampling_params.n
        if rule.fault is None and not pace.first_token_s:
            most = min(pace.burst_tokens, _MOST_AT_ONCE)
            first = list(islice(events, most + 1))
            if len(first) <= most:
                self._requests += 1
                self._events += len(first)
                return chat_of(first, n)
            events = chain(first, events)
        async with aclosing(self._send(request, rule, events)) as sent:
            return await collect_chat(sent, n)

    def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncGenerator[InferenceEvent, None]:
        """Answers the last message as the script says."""
        return self._send(request, *self._play_chat(request))

    def _play_prompt(self, request: CompletionRequest) -> tuple[Rule, Iterator[InferenceEvent]]:
        prompt, sampling = content_text(request.content), request.sampling_params
        said = Said(prompt)
        rule, match = self._rule_for(said, ())
        answer = answer_prompt(request, rule, match, said)
        events = play(answer, sampling, request.logprobs, [prompt], "call")
        if request.echo:
            return rule, chain((TextDelta(prompt, number) for number in range(sampling.n)), events)
        return rule, events

    def _play_chat(self, request: ChatCompletionRequest) -> tuple[Rule, Iterator[InferenceEvent]]:
        said = said_last(request)
        tools = offered_tools(request)
        rule, match = self._rule_for(said, tools)
        answer = answer_chat(request, tools, rule, match, said)
        prefix = f"call_{len(request.messages)}"
        return rule, play(answer, request.sampling_params, request.logprobs, prompt_texts(request), prefix)

    def _rule_for(self, said: Said, tools: Collection[str]) -> tuple[Rule, Match[str] | bool]:
        for number, rule in enumerate(self.config.script):
            if rule.times is not None and self._uses[number] >= rule.times:
                continue
            match = said.find_match(rule)
            if match and calls_fit(rule, tools):
                self._uses[number] += 1
                return rule, match
        return ECHO, True

    async def _send(
        self, request: ChatCompletionRequest | CompletionRequest, rule: Rule, events: Iterator[InferenceEvent]
    ) -> AsyncGenerator[Any, None]:
        self._requests += 1
        pace, fault = rule.pace or self.config.pace, rule.fault
        unfinished = request.sampling_params.n
        numbered = enumerate(events)
        self._running += 1
        try:
            while block := list(islice(numbered, _MADE_AHEAD)):
                for number, event in block:
                    if number == 0:
                        if pace.first_token_s:
                            await asyncio.sleep(pace.first_token_s)
                    elif number % pace.burst_tokens == 0 and not isinstance(event, (Usage, Finish)):
                        await asyncio.sleep(pace.token_s)
                    is_last = unfinished == 1 and type(event) is Finish
                    if fault is not None and (is_last or number == fault.after_events):
                        await _strike(fault)
                        return
                    self._events += 1
                    unfinished -= type(event) is Finish
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            self._cancelled += unfinished > 0
            raise
        finally:
            self._running -= 1


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
