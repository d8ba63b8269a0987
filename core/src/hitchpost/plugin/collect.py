"""Whole answers, collected from the events of a stream."""

from collections.abc import AsyncIterator, Collection, Iterable

from hitchpost.api import (
    ChatChoice,
    ChatCompletionResponse,
    CompletionChoice,
    CompletionEvent,
    CompletionResponse,
    Finish,
    FinishReason,
    InferenceEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from hitchpost.api.events import Extra
from hitchpost.errors import BadBackendAnswerError


class _Choice:
    """One choice while it is collected."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, ToolCallStart] = {}
        self.arguments: dict[int, list[str]] = {}
        self.logprobs: list[TokenLogprob] | None = None

    def add(self, event: TextDelta | ReasoningDelta | RefusalDelta | ToolCallStart | ToolCallDelta) -> None:
        match event:
            case TextDelta():
                self.text.append(event.text)
                if event.logprobs is not None:
                    self.logprobs = self.logprobs or []
                    self.logprobs += event.logprobs
            case ToolCallDelta():
                self.arguments.setdefault(event.index, []).append(event.arguments)
            case ToolCallStart():
                self.calls[event.index] = event
            case ReasoningDelta():
                self.reasoning.append(event.text)
            case RefusalDelta():
                self.refusal.append(event.text)

    def tool_calls(self) -> list[ToolCall]:
        return [
            ToolCall(
                call_id=start.call_id,
                tool_name=start.name,
                arguments_json="".join(self.arguments.get(index, ())) or "{}",
            )
            for index, start in sorted(self.calls.items())
        ]


class _Collected:
    """The choices of an answer while they are collected, and what belongs to all of them."""

    def __init__(self) -> None:
        self.choices: dict[int, _Choice] = {}
        self.finishes: dict[int, Finish] = {}
        self.usage: Usage | None = None
        self.extra: Extra = {}

    def add(self, event: InferenceEvent) -> None:
        if event.extra:
            self.extra.update(event.extra)
        if isinstance(event, Usage):
            self.usage = event
            return
        choice = self.choices.get(event.choice)
        if choice is None:
            choice = self.choices[event.choice] = _Choice()
        if isinstance(event, Finish):
            self.finishes[event.choice] = event
        else:
            choice.add(event)

    def finished(self, n: int) -> list[tuple[int, _Choice]]:
        """The choices in their order, when all of them have ended."""
        check_all_finished(self.finishes, {*range(n), *self.choices})
        return sorted(self.choices.items())

    def chat(self, n: int) -> ChatCompletionResponse:
        return ChatCompletionResponse(
            choices=[
                ChatChoice(
                    finish_reason=_reason(choice, self.finishes[index]),
                    index=index,
                    text="".join(choice.text),
                    reasoning="".join(choice.reasoning),
                    refusal="".join(choice.refusal),
                    tool_calls=choice.tool_calls() if choice.calls else [],
                    logprobs=choice.logprobs,
                    stop_text=self.finishes[index].stop_text,
                )
                for index, choice in self.finished(n)
            ],
            usage=self.usage,
            extra=self.extra or None,
        )

    def completion(self, n: int) -> CompletionResponse:
        return CompletionResponse(
            choices=[
                CompletionChoice(
                    finish_reason=self.finishes[index].reason,
                    index=index,
                    text="".join(choice.text),
                    logprobs=choice.logprobs,
                    stop_text=self.finishes[index].stop_text,
                )
                for index, choice in self.finished(n)
            ],
            usage=self.usage,
            extra=self.extra or None,
        )


def check_all_finished(finished: Iterable[int], choices: Collection[int], provider_id: str | None = None) -> None:
    """Raises BadBackendAnswerError unless each of the choices of an answer has ended."""
    missing = set(choices).difference(finished)
    if missing:
        which = "" if len(choices) == 1 else f" of choice {', '.join(map(str, sorted(missing)))}"
        raise BadBackendAnswerError(f"the answer{which} broke off before its end", provider_id=provider_id)


def _reason(choice: _Choice, finish: Finish) -> FinishReason:
    # Some servers say `stop` although they called a tool.
    return FinishReason.tool_calls if choice.calls and finish.reason is FinishReason.stop else finish.reason


async def collect_chat(events: AsyncIterator[InferenceEvent], n: int) -> ChatCompletionResponse:
    """The whole answers that a chat stream of `n` choices spells.

    Raises:
        BadBackendAnswerError: the stream ended without a `Finish` for each choice.
    """
    collected = _Collected()
    async for event in events:
        collected.add(event)
    return collected.chat(n)


def chat_of(events: Iterable[InferenceEvent], n: int) -> ChatCompletionResponse:
    """As `collect_chat`, of events that are there already."""
    collected = _Collected()
    for event in events:
        collected.add(event)
    return collected.chat(n)


async def collect_completion(events: AsyncIterator[CompletionEvent], n: int) -> CompletionResponse:
    """The whole continuations that a completion stream of `n` choices spells.

    Raises:
        BadBackendAnswerError: the stream ended without a `Finish` for each choice.
    """
    collected = _Collected()
    async for event in events:
        collected.add(event)
    return collected.completion(n)


def completion_of(events: Iterable[CompletionEvent], n: int) -> CompletionResponse:
    """As `collect_completion`, of events that are there already."""
    collected = _Collected()
    for event in events:
        collected.add(event)
    return collected.completion(n)


__all__ = ["chat_of", "check_all_finished", "collect_chat", "collect_completion", "completion_of"]
