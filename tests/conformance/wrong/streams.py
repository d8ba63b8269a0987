"""What a provider can do wrong in its streams."""

from collections.abc import AsyncIterator
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionRequest,
    CompletionResponse,
    Finish,
    ReasoningDelta,
    RequestContext,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from tests.conformance.right.inference import RightInference
from tests.conformance.wrong.case import wrong_inference


class Altered(RightInference):
    """Each event of a chat is replaced by some."""

    def instead_of(self, event: Any) -> list[Any]:
        return [event]

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        async for event in super().stream_chat_completion(request, context):
            for other in self.instead_of(event):
                yield other


@wrong_inference("stream.generator", r"stream_chat_completion\(...\) answers coroutine")
class AnswersACoroutine(RightInference):
    async def stream_chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> Any:  # type: ignore[override]
        return super().stream_chat_completion(request, context)


@wrong_inference("stream.event-types", "the stream yields str")
class YieldsText(Altered):
    def instead_of(self, event: Any) -> list[Any]:
        return [event.text] if isinstance(event, TextDelta) else [event]


@wrong_inference("stream.one-finish", "the stream has 2 Finish events for one choice")
class FinishesTwice(Altered):
    def instead_of(self, event: Any) -> list[Any]:
        return [event, event] if isinstance(event, Finish) else [event]


@wrong_inference("stream.usage-once", "the stream has 2 Usage events")
class TellsUsageTwice(Altered):
    def instead_of(self, event: Any) -> list[Any]:
        return [event, event] if isinstance(event, Usage) else [event]


@wrong_inference("stream.collected", "streamed, text is '.*'; whole, it is '.*!'")
class ShoutsWhenWhole(RightInference):
    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        answer = await super().chat_completion(request, context)
        for choice in answer.choices:
            choice.text += "!"
        return answer


@wrong_inference("stream.completion-collected", "streamed, text is '.*'; whole, it is '.*!'")
class ShoutsWhenComplete(RightInference):
    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        answer = await super().completion(request, context)
        for choice in answer.choices:
            choice.text += "!"
        return answer


@wrong_inference("stream.completion-events", "the stream yields ReasoningDelta")
class ThinksAloud(RightInference):
    async def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[Any]:
        yield ReasoningDelta("hm")
        async for event in super().stream_completion(request, context):
            yield event


@wrong_inference("tools.start-first", r"ToolCallDelta\(.*\) comes before the start of its call")
class StartsCallsLate(Altered):
    held: Any = None

    def instead_of(self, event: Any) -> list[Any]:
        if isinstance(event, ToolCallStart):
            self.held = event
            return []
        return [event, self.held] if isinstance(event, ToolCallDelta) else [event]
