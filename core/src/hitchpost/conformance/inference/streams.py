"""Checks of streams: which events come, how often, and that the whole answer is what the stream spells."""

import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hitchpost.api import (
    Api,
    Capability,
    ChatChoice,
    CompletionChoice,
    CompletionEvent,
    Finish,
    InferenceEvent,
    TextDelta,
    Usage,
)
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.inference.subject import InferenceSubject, collected
from hitchpost.plugin import chat_of, collect_completion

STREAM_OF = {Capability.chat: "stream_chat_completion", Capability.completion: "stream_completion"}


class StreamChecks(InferenceSubject):
    """Surfaces encode events as they come; what is wrong with them is wrong on the wire."""

    @check(
        "stream.generator",
        why="the host closes a stream when its caller leaves, and does so by the generator's aclose()",
        advice="write `async def stream_...(...)` with `yield` in it, and return nothing from it",
    )
    async def test_stream_methods_are_async_generators(self, harness: Harness) -> None:
        """Each declared stream method answers an async iterator that can be closed, without being awaited."""
        provider: Any = await harness.provider()
        requests = {Capability.chat: self.chat(), Capability.completion: self.completion()}
        for capability, name in STREAM_OF.items():
            if capability not in harness.capabilities:
                continue
            stream = getattr(provider, name)(requests[capability], harness.context(self.resource()))
            if inspect.isawaitable(stream) or not hasattr(stream, "__anext__"):
                getattr(stream, "close", lambda: None)()
                raise CheckFailed(f"{name}(...) answers {type(stream).__name__}")
            if not hasattr(stream, "aclose"):
                raise CheckFailed(f"{name}(...) answers {type(stream).__name__}, which has no aclose()")
            await harness.within(stream.aclose(), "closing a stream that nobody read")

    @check(
        "stream.event-types",
        why="surfaces have one encoder per event class, and a choice that nobody asked for has no place in an answer",
        advice="yield the event classes of hitchpost.api, with `choice` below n and text that is text",
        needs=Capability.chat,
    )
    async def test_stream_yields_known_events(self, harness: Harness) -> None:
        """A chat stream yields events of hitchpost.api only, of the choice that was asked for."""
        for event in await self._raw(harness):
            if not isinstance(event, InferenceEvent):
                raise CheckFailed(f"the stream yields {type(event).__name__}")
            if not isinstance(event, Usage) and event.choice != 0:
                raise CheckFailed(f"one choice was asked for, but {event!r} is of choice {event.choice}")
            text = getattr(event, "text", "")
            if not isinstance(text, str):
                raise CheckFailed(f"{type(event).__name__}.text is {type(text).__name__}")

    @check(
        "stream.one-finish",
        why="a choice ends once; what comes after its end is lost or breaks the client's state",
        advice="yield exactly one Finish per choice, as its last event, and none where the backend broke off",
        needs=Capability.chat,
    )
    async def test_stream_finishes_each_choice_once(self, harness: Harness) -> None:
        """A chat stream has exactly one `Finish`, and nothing of the choice after it."""
        events = await self._raw(harness)
        finishes = [event for event in events if isinstance(event, Finish)]
        if len(finishes) != 1:
            raise CheckFailed(f"the stream has {len(finishes)} Finish events for one choice")
        after = [type(event).__name__ for event in events[events.index(finishes[0]) + 1 :]]
        if set(after) - {"Usage"}:
            raise CheckFailed(f"after Finish there comes {', '.join(after)}")

    @check(
        "stream.usage-once",
        why="figures of several Usage events would be added or overwritten, and bills with them",
        advice="yield at most one Usage per stream, with the totals over all choices",
        needs=Capability.chat,
    )
    async def test_stream_tells_usage_at_most_once(self, harness: Harness) -> None:
        """A chat stream has at most one `Usage`, with sound numbers."""
        usages = [event for event in await self._raw(harness) if isinstance(event, Usage)]
        if len(usages) > 1:
            raise CheckFailed(f"the stream has {len(usages)} Usage events")
        for usage in usages:
            if usage.prompt_tokens <= 0 or usage.completion_tokens < 0:
                raise CheckFailed(f"Usage says {usage.prompt_tokens} and {usage.completion_tokens} tokens")
            if (usage.cached_tokens or 0) > usage.prompt_tokens:
                raise CheckFailed(f"{usage.cached_tokens} of {usage.prompt_tokens} prompt tokens were cached")

    @check(
        "stream.collected",
        why="a caller must get the same answer whether it streams or not",
        advice="leave chat_completion to the base class, or translate the backend's whole answer by the functions that translate its stream",
        needs=Capability.chat,
    )
    async def test_whole_chat_answer_equals_the_streamed_one(self, harness: Harness) -> None:
        """The whole chat answer has the texts, calls, log probabilities and ends that the stream of the same request spells."""
        request = self.chat(self.long_prompt)
        streamed = chat_of(await self.events(harness, request), 1)
        whole = await self.whole(harness, request)
        _check_same(streamed.choices, whole.choices, repeatable=self.repeatable)
        if streamed.usage and whole.usage and self.repeatable and streamed.usage != whole.usage:
            raise CheckFailed(f"streamed, the usage is {streamed.usage}, whole it is {whole.usage}")

    @check(
        "stream.completion-collected",
        why="a caller must get the same continuation whether it streams or not",
        advice="leave completion to the base class, or translate the backend's whole answer by the functions that translate its stream",
        needs=Capability.completion,
    )
    async def test_whole_completion_equals_the_streamed_one(self, harness: Harness) -> None:
        """The whole completion has the text, log probabilities and end that the stream of the same request spells."""
        request = self.completion()
        router = await harness.router(Api.inference)
        stream = router.stream_completion(request, harness.context())
        streamed = await harness.within(collect_completion(stream, 1), "a streamed completion")
        whole = await harness.within(router.completion(request, harness.context()), "a whole completion")
        _check_same(streamed.choices, whole.choices, repeatable=self.repeatable)

    @check(
        "stream.completion-events",
        why="a completion is text; surfaces have no place for anything else in it",
        advice="yield only TextDelta, Usage and Finish from stream_completion",
        needs=Capability.completion,
    )
    async def test_completion_stream_yields_text_usage_and_finish(self, harness: Harness) -> None:
        """A completion stream yields `TextDelta`, at most one `Usage` and one `Finish`, and nothing else."""
        provider: Any = await harness.provider()
        stream = provider.stream_completion(self.completion(), harness.context(self.resource()))
        events = await harness.within(collected(stream), "a streamed completion")
        strange = sorted({type(event).__name__ for event in events if not isinstance(event, CompletionEvent)})
        if strange:
            raise CheckFailed(f"the stream yields {', '.join(strange)}")
        counts = Counter(type(event) for event in events)
        if counts[Finish] != 1 or counts[Usage] > 1 or not counts[TextDelta]:
            listed = ", ".join(f"{count} {kind.__name__}" for kind, count in counts.items())
            raise CheckFailed(f"the stream has {listed or 'no event'}")

    async def _raw(self, harness: Harness) -> list[Any]:
        """The events as the provider yields them, before the router has looked at them."""
        provider: Any = await harness.provider()
        stream = provider.stream_chat_completion(self.chat(), harness.context(self.resource()))
        return await harness.within(collected(stream), "a streamed answer")


def _check_same(
    streamed: Sequence[ChatChoice | CompletionChoice],
    whole: Sequence[ChatChoice | CompletionChoice],
    *,
    repeatable: bool,
) -> None:
    """Raises CheckFailed unless both are the same; where answers vary, unless both are of the same form."""
    if len(streamed) != len(whole):
        raise CheckFailed(f"streamed there are {len(streamed)} choices, whole {len(whole)}")
    for one, other in zip(streamed, whole, strict=True):
        for field in one.__slots__:
            then, now = getattr(one, field), getattr(other, field)
            if field == "tool_calls":
                then, now = ([(call.tool_name, call.find_arguments()) for call in calls] for calls in (then, now))
            if (then != now) if repeatable else (bool(then) != bool(now)):
                raise CheckFailed(f"choice {one.index}: streamed, {field} is {then!r}; whole, it is {now!r}"[:500])


__all__ = ["StreamChecks"]
