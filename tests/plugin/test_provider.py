import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import CompletionRequest, EmbeddingsRequest, Finish, FinishReason, TextDelta, Usage
from hitchpost.errors import BadBackendAnswerError, UnsupportedError
from hitchpost.plugin import InferenceProvider, Provider, ProviderDeps
from tests.plugged import CONTEXT, NoConfig, chat, until


class Played(InferenceProvider[NoConfig]):
    """Plays events, one after the other, and notes when it is closed."""

    def __init__(self, events: list[Any]) -> None:
        super().__init__(
            NoConfig(), ProviderDeps(provider_id="p", state_dir=Path("unused"), log=logging.getLogger("test"))
        )
        self.events = events
        self.begun = self.closed = 0

    async def stream_chat_completion(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.begun += 1
        try:
            for event in self.events:
                if isinstance(event, asyncio.Event):
                    await event.wait()
                else:
                    yield event
        finally:
            self.closed += 1

    stream_completion = stream_chat_completion


COMPLETION = CompletionRequest(model_id="m", content="text")


async def test_whole_answers_are_collected_from_the_streams() -> None:
    provider = Played([TextDelta("a"), TextDelta("b"), Usage(1, 2), Finish(FinishReason.stop)])

    whole = await provider.chat_completion(chat(), CONTEXT)
    text = await provider.completion(COMPLETION, CONTEXT)

    assert whole.choices[0].text == text.choices[0].text == "ab"
    assert whole.usage == text.usage == Usage(1, 2)


async def test_whole_answer_of_several_choices_needs_the_end_of_each() -> None:
    provider = Played([Finish(FinishReason.stop, 0), Finish(FinishReason.stop, 1)])

    assert len((await provider.chat_completion(chat(sampling_params={"n": 2}), CONTEXT)).choices) == 2
    with pytest.raises(BadBackendAnswerError, match="choice 2"):
        await provider.chat_completion(chat(sampling_params={"n": 3}), CONTEXT)


@pytest.mark.parametrize("operation", ["chat_completion", "completion"])
async def test_stream_is_closed_when_the_caller_of_a_whole_answer_leaves(operation: str) -> None:
    provider = Played([TextDelta("a"), asyncio.Event()])
    request: Any = chat() if operation == "chat_completion" else COMPLETION
    task = asyncio.create_task(getattr(provider, operation)(request, CONTEXT))
    await until(lambda: provider.begun)

    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert provider.closed == 1


async def test_stream_is_closed_when_collecting_fails() -> None:
    provider = Played([object(), TextDelta("never")])

    with pytest.raises(AttributeError):
        await provider.chat_completion(chat(), CONTEXT)

    assert provider.closed == 1


async def test_stream_that_is_a_plain_iterator_is_collected_too() -> None:
    class Twice:
        def __init__(self) -> None:
            self.left = [TextDelta("a"), Finish(FinishReason.stop)]

        def __aiter__(self) -> "Twice":
            return self

        async def __anext__(self) -> Any:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    class Plain(Played):
        def stream_chat_completion(self, request: Any, context: Any) -> Any:
            return Twice()

    assert (await Plain([]).chat_completion(chat(), CONTEXT)).choices[0].text == "a"


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("chat completion", lambda provider: provider.chat_completion(chat(), CONTEXT)),
        ("chat completion", lambda provider: anext(provider.stream_chat_completion(chat(), CONTEXT))),
        ("completion", lambda provider: provider.completion(COMPLETION, CONTEXT)),
        ("embeddings", lambda provider: provider.embeddings(EmbeddingsRequest(model_id="m", contents=[]), CONTEXT)),
    ],
)
async def test_what_a_provider_does_not_implement_is_unsupported(what: str, call: Any) -> None:
    provider: InferenceProvider[NoConfig] = InferenceProvider(NoConfig(), Played([]).deps)

    with pytest.raises(UnsupportedError, match=f"provider p does not serve {what}") as refused:
        await call(provider)

    assert (refused.value.param, refused.value.provider_id) == ("model", "p")


async def test_provider_that_overrides_nothing_lives_quietly() -> None:
    provider: Provider[NoConfig] = Provider(NoConfig(), Played([]).deps)

    await provider.start()
    await provider.health()
    await provider.stop()

    assert list(provider.metrics()) == []
    assert provider.log is provider.deps.log
