"""Batches over an inference provider: order, bounds, failure and a caller that leaves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hitchpost.api import (
    Api,
    BatchChatCompletionRequest,
    BatchCompletionRequest,
    ChatCompletionRequest,
    CompletionRequest,
    Finish,
    FinishReason,
    RequestContext,
    TextDelta,
)
from hitchpost.errors import BadRequestError, DeadlineExceededError, NotFoundError, OverloadedError, UnsupportedError
from hitchpost.plugin import InferenceProvider
from hitchpost.routing.batch import SIDE_BY_SIDE
from tests.plugged import CONTEXT, Plugged, one, until

MODELS = [{"model_id": "m"}, {"model_id": "narrow", "metadata": {"capabilities": ["chat"]}}]


class Choosy(InferenceProvider[Any]):
    """Answers with the text that it is asked; `wait` waits until it may go on, `fail` fails."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.go_on = asyncio.Event()
        self.running = self.most = self.asked = self.cancelled = 0
        self.requests: list[ChatCompletionRequest] = []

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        self.requests.append(request)
        yield TextDelta(await self._answer(str(request.messages[-1].content)))
        yield Finish(FinishReason.stop)

    async def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[Any]:
        yield TextDelta(await self._answer(str(request.content)))
        yield Finish(FinishReason.length)

    async def _answer(self, text: str) -> str:
        self.asked += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if text == "fail":
                raise OverloadedError("too much")
            if text.startswith("wait"):
                await self.go_on.wait()
            # Whoever is asked later must be able to answer earlier.
            for _ in range(self.asked % 3):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return f"{text}!"


@pytest.fixture
async def stack(plugged: Plugged, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A stack over `Choosy`; its limits may be given by the parameter."""
    plugged.add(Choosy)
    async with plugged.running(one(models=MODELS, limits=getattr(request, "param", {}))) as stack:
        yield stack


@pytest.fixture
def batches(stack: Any) -> Any:
    return stack.get_router(Api.batch_inference)


@pytest.fixture
def provider(stack: Any) -> Choosy:
    found = stack.providers[0].provider
    assert isinstance(found, Choosy)
    return found


def completions(*texts: str, model: str = "m") -> BatchCompletionRequest:
    return BatchCompletionRequest(model=model, content_batch=list(texts))


def chats(*texts: str, **fields: Any) -> BatchChatCompletionRequest:
    batch = [[{"role": "user", "content": text}] for text in texts]
    return BatchChatCompletionRequest.model_validate({"model": "m", "messages_batch": batch, **fields})


async def test_answers_come_in_the_order_of_the_items(batches: Any) -> None:
    texts = [f"text {number}" for number in range(50)]

    completed = await batches.batch_completion(completions(*texts), CONTEXT)
    chatted = await batches.batch_chat_completion(chats(*texts), CONTEXT)

    expected = [f"{text}!" for text in texts]
    assert [answer.choices[0].text for answer in completed.batch] == expected
    assert [answer.choices[0].text for answer in chatted.batch] == expected


async def test_each_item_is_asked_with_what_the_batch_says(batches: Any, provider: Choosy) -> None:
    fields = {
        "sampling_params": {"max_tokens": 7},
        "tools": [{"tool_name": "f"}],
        "tool_choice": "required",
        "tool_prompt_format": "json",
        "logprobs": {"top_k": 1},
    }

    await batches.batch_chat_completion(chats("a", "b", **fields), CONTEXT)

    expected = [
        ChatCompletionRequest.model_validate(
            {"model_id": "m", "messages": [{"role": "user", "content": text}], **fields}
        )
        for text in ("a", "b")
    ]
    assert provider.requests == expected


@pytest.mark.parametrize(
    ("stack", "most"), [({}, SIDE_BY_SIDE), ({"max_concurrent": 3, "max_queued": 0}, 3)], indirect=["stack"]
)
async def test_only_so_many_are_asked_at_the_same_time(most: int, batches: Any, provider: Choosy) -> None:
    texts = [f"wait {number}" for number in range(40)]

    task = asyncio.create_task(batches.batch_completion(completions(*texts), CONTEXT))
    await until(lambda: provider.running == most)
    provider.go_on.set()
    answer = await task

    assert provider.most == most
    assert len(answer.batch) == 40


async def test_first_failure_ends_the_others_and_is_the_answer(batches: Any, provider: Choosy, stack: Any) -> None:
    with pytest.raises(OverloadedError, match="too much"):
        await batches.batch_completion(completions("wait", "wait", "fail", "wait", *["wait"] * 30), CONTEXT)

    assert (provider.running, stack.providers[0].running) == (0, 0)
    assert provider.cancelled >= 2
    assert provider.asked <= SIDE_BY_SIDE


async def test_caller_that_leaves_ends_all_items(batches: Any, provider: Choosy, stack: Any) -> None:
    task = asyncio.create_task(batches.batch_chat_completion(chats("wait", "wait", "wait"), CONTEXT))
    await until(lambda: provider.running == 3)

    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert (provider.running, provider.cancelled, stack.providers[0].running) == (0, 3, 0)


@pytest.mark.parametrize("stack", [{"timeout_s": 0.05}], indirect=True)
async def test_item_that_takes_too_long_ends_the_batch(batches: Any, provider: Choosy) -> None:
    with pytest.raises(DeadlineExceededError):
        await batches.batch_completion(completions("wait", "quick"), CONTEXT)

    assert provider.running == 0


async def test_deadline_of_the_request_holds_for_every_item(batches: Any, provider: Choosy) -> None:
    context = RequestContext(request_id="r", deadline=asyncio.get_running_loop().time() + 0.05)

    with pytest.raises(DeadlineExceededError):
        await batches.batch_completion(completions("wait", "wait"), context)

    assert provider.cancelled == 2


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (completions(), BadRequestError, "content_batch: is empty; give at least one item"),
        (chats(), BadRequestError, "messages_batch: is empty"),
        (completions("a", model="none"), NotFoundError, "Model `none` not served"),
        (completions("a", model="narrow"), UnsupportedError, "does not support completion"),
    ],
)
async def test_batch_without_sense_is_refused(
    request_: Any, error: type[Exception], words: str, batches: Any, provider: Choosy
) -> None:
    method = batches.batch_completion if isinstance(request_, BatchCompletionRequest) else batches.batch_chat_completion

    with pytest.raises(error, match=words):
        await method(request_, CONTEXT)

    assert provider.asked == 0


async def test_batch_of_answers_that_need_no_waiting_lets_others_have_their_turns(plugged: Plugged) -> None:
    class Instant(Choosy):
        async def _answer(self, text: str) -> str:
            return text

    plugged.add(Instant)
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with plugged.running(one(models=MODELS)) as stack:
        batches = stack.get_router(Api.batch_inference)
        other = asyncio.create_task(somebody_else())
        await batches.batch_completion(BatchCompletionRequest(model="m", content_batch=["a"] * 500), CONTEXT)
        other.cancel()

    assert turns > 500 / SIDE_BY_SIDE / 2
