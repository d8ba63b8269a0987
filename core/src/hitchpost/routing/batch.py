"""Batch inference over any inference provider: one request per item, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from hitchpost.api import (
    BatchChatCompletionRequest,
    BatchChatCompletionResponse,
    BatchCompletionRequest,
    BatchCompletionResponse,
    ChatCompletionRequest,
    CompletionRequest,
    RequestContext,
)
from hitchpost.errors import BadRequestError
from hitchpost.routing.inference import InferenceRouter

SIDE_BY_SIDE = 16
"""Items of one batch that are asked at the same time; more would keep other callers from the provider. Where a provider works on fewer
requests at a time, only so many: the rest would wait in its queue until they had waited for too long."""

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


class BatchInferenceRouter:
    """Implements `hitchpost.api.BatchInference`.

    Args:
        inference: asked once per item.
    """

    def __init__(self, inference: InferenceRouter) -> None:
        self._inference = inference

    async def batch_completion(
        self, request: BatchCompletionRequest, context: RequestContext
    ) -> BatchCompletionResponse:
        """Continue several texts; the first that fails ends the others."""
        items = [
            CompletionRequest.model_construct(
                model_id=request.model,
                content=content,
                sampling_params=request.sampling_params,
                logprobs=request.logprobs,
            )
            for content in request.content_batch
        ]
        at_once = self._inference.max_concurrent(request.model)
        return BatchCompletionResponse(
            await _each("content_batch", items, at_once, lambda item: self._inference.completion(item, context))
        )

    async def batch_chat_completion(
        self, request: BatchChatCompletionRequest, context: RequestContext
    ) -> BatchChatCompletionResponse:
        """Answer several conversations; the first that fails ends the others."""
        items = [
            ChatCompletionRequest.model_construct(
                model_id=request.model,
                messages=messages,
                sampling_params=request.sampling_params,
                tools=request.tools,
                tool_choice=request.tool_choice,
                tool_prompt_format=request.tool_prompt_format,
                logprobs=request.logprobs,
            )
            for messages in request.messages_batch
        ]
        at_once = self._inference.max_concurrent(request.model)
        return BatchChatCompletionResponse(
            await _each("messages_batch", items, at_once, lambda item: self._inference.chat_completion(item, context))
        )


async def _each(
    field: str, items: Sequence[ItemT], at_once: int, ask: Callable[[ItemT], Awaitable[AnswerT]]
) -> list[AnswerT]:
    """The answers in the order of the items.

    Raises:
        BadRequestError: there is no item.
        HitchpostError: of the first item that failed; the others are cancelled.
    """
    if not items:
        raise BadRequestError(f"{field}: is empty; give at least one item", param=field)
    answers: dict[int, AnswerT] = {}
    numbered = iter(enumerate(items))

    async def work() -> None:
        for index, item in numbered:
            answers[index] = await ask(item)
            # An answer that needs no waiting gives nobody else a turn.
            await asyncio.sleep(0)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(SIDE_BY_SIDE, at_once, len(items))):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [answers[index] for index in range(len(items))]


__all__ = ["SIDE_BY_SIDE", "BatchInferenceRouter"]
