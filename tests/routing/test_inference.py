import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hitchpost.api import (
    Capability,
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingsRequest,
    EmbeddingsResponse,
    Finish,
    FinishReason,
    Model,
    RequestContext,
    TextDelta,
)
from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, NotFoundError, UnsupportedError
from hitchpost.plugin import InferenceProvider
from tests.plugged import CONTEXT, Plugged, chat, one, until

MODELS = [{"model_id": "m"}, {"model_id": "n", "metadata": {"capabilities": ["chat", "stop"]}}]


class Speaker(InferenceProvider[Any]):
    """Answers with the text of what it was asked, keeps the contexts, and can be held back or cut off."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.contexts: list[RequestContext] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.closed = 0
        self.choices = 1

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        self.contexts.append(context)
        try:
            yield TextDelta("one ")
            await self.go_on.wait()
            yield TextDelta("two")
            for choice in range(self.choices):
                yield Finish(FinishReason.stop, choice)
        finally:
            self.closed += 1

    async def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[Any]:
        yield TextDelta(str(request.content))
        yield Finish(FinishReason.length)

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        return EmbeddingsResponse([[float(len(str(content)))] for content in request.contents])


@pytest.fixture
async def stack(plugged: Plugged) -> AsyncIterator[Any]:
    plugged.add(Speaker)
    async with plugged.running(one(models=MODELS)) as stack:
        yield stack


@pytest.fixture
def speaker(stack: Any) -> Speaker:
    provider = stack.providers[0].provider
    assert isinstance(provider, Speaker)
    return provider


async def test_whole_answer_comes_from_the_provider_that_owns_the_model(stack: Any, speaker: Speaker) -> None:
    answer = await stack.inference.chat_completion(chat(), CONTEXT)

    assert [(choice.text, choice.finish_reason) for choice in answer.choices] == [("one two", FinishReason.stop)]
    [context] = speaker.contexts
    assert context.resource == Model(identifier="m", provider_resource_id="m", provider_id="p")
    assert context.request_id == CONTEXT.request_id


async def test_stream_passes_the_providers_events_on(stack: Any) -> None:
    events = [event async for event in stack.inference.stream_chat_completion(chat(), CONTEXT)]

    assert events == [TextDelta("one "), TextDelta("two"), Finish(FinishReason.stop)]


async def test_completion_and_embeddings_reach_their_methods(stack: Any) -> None:
    completion = CompletionRequest(model_id="m", content="text")

    assert (await stack.inference.completion(completion, CONTEXT)).choices[0].text == "text"
    assert await anext(stack.inference.stream_completion(completion, CONTEXT)) == TextDelta("text")
    vectors = await stack.inference.embeddings(EmbeddingsRequest(model_id="m", contents=["ab", "c"]), CONTEXT)
    assert vectors.embeddings == [[2.0], [1.0]]


async def test_unknown_model_is_refused_when_the_stream_is_begun(stack: Any) -> None:
    with pytest.raises(NotFoundError):
        await anext(stack.inference.stream_chat_completion(chat("unknown"), CONTEXT))


@pytest.mark.parametrize("choices", [0, 2, 3])
async def test_answer_without_an_end_for_each_choice_has_failed(choices: int, stack: Any, speaker: Speaker) -> None:
    speaker.choices = choices
    request = chat(sampling_params={"n": 4})

    with pytest.raises(BadBackendAnswerError, match="broke off") as streamed:
        [event async for event in stack.inference.stream_chat_completion(request, CONTEXT)]
    with pytest.raises(BadBackendAnswerError, match="broke off") as whole:
        await stack.inference.chat_completion(request, CONTEXT)

    assert (streamed.value.provider_id, whole.value.provider_id) == ("p", "p")


async def test_place_is_held_until_the_stream_ends(stack: Any, speaker: Speaker) -> None:
    [gate] = stack.providers
    speaker.go_on.clear()
    events = stack.inference.stream_chat_completion(chat(), CONTEXT)
    await anext(events)
    running = gate.running

    speaker.go_on.set()
    [event async for event in events]

    assert (running, gate.running) == (1, 0)


async def test_closed_stream_closes_the_provider_and_gives_the_place_back(stack: Any, speaker: Speaker) -> None:
    events = stack.inference.stream_chat_completion(chat(), CONTEXT)
    await anext(events)

    await events.aclose()

    assert speaker.closed == 1
    assert stack.providers[0].running == 0


@pytest.mark.parametrize("is_stream", [True, False])
async def test_cancelled_caller_ends_the_work_behind_it(is_stream: bool, stack: Any, speaker: Speaker) -> None:
    speaker.go_on.clear()

    async def ask() -> None:
        if is_stream:
            async for _ in stack.inference.stream_chat_completion(chat(), CONTEXT):
                pass
        else:
            await stack.inference.chat_completion(chat(), CONTEXT)

    task = asyncio.create_task(ask())
    await until(lambda: speaker.contexts)

    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert speaker.closed == 1
    assert stack.providers[0].running == 0


# --- capabilities ---


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": [{"tool_name": "f"}]}, "tools"),
        ({"sampling_params": {"seed": 1}}, "seed"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
async def test_model_that_narrows_its_capabilities_refuses_the_rest_by_field(
    fields: dict[str, Any], field: str, stack: Any
) -> None:
    with pytest.raises(
        UnsupportedError, match=f"^model 'n' of provider p does not support .*, which {field} asks for$"
    ) as refused:
        await stack.inference.chat_completion(chat("n", **fields), CONTEXT)

    assert (refused.value.param, refused.value.provider_id) == (field, "p")


async def test_model_serves_what_it_kept_of_its_capabilities(stack: Any) -> None:
    answer = await stack.inference.chat_completion(chat("n", sampling_params={"stop": ["x"]}), CONTEXT)

    assert answer.choices[0].text == "one two"


async def test_metadata_can_not_add_a_capability(plugged: Plugged) -> None:
    plugged.add(Speaker, capabilities=frozenset({Capability.chat}))
    wide = [{"model_id": "m", "metadata": {"capabilities": ["chat", "completion"]}}]

    async with plugged.running(one(models=wide)) as stack:
        with pytest.raises(UnsupportedError, match=r"^model 'm' of provider p does not support completion$"):
            await stack.inference.completion(CompletionRequest(model_id="m", content=""), CONTEXT)


@pytest.mark.parametrize("nonsense", [[{}, 7, "chat"], [None, "chat", ["chat"]], "chat", 7, None])
async def test_nonsense_that_a_provider_lists_as_capabilities_breaks_nothing(nonsense: Any, plugged: Plugged) -> None:
    class Odd(Speaker):
        async def list_models(self) -> list[Model]:
            return [Model(provider_resource_id="odd", metadata={"capabilities": nonsense})]

    plugged.add(Odd)

    async with plugged.running(one()) as stack:
        answer = await stack.inference.chat_completion(chat("odd"), CONTEXT)

    assert answer.choices[0].text == "one two"


async def test_provider_that_does_not_serve_is_said_before_its_capabilities(plugged: Plugged) -> None:
    plugged.add(Speaker, capabilities=frozenset())
    stack = plugged.build(one(models=[{"model_id": "m"}]))

    with pytest.raises(BackendUnavailableError, match="provider p is starting"):
        await stack.inference.chat_completion(chat(), CONTEXT)
