"""What a provider can do wrong with requests of any kind: errors, cancellation, isolation, registration, faults."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from hitchpost.api import (
    Capability,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionRequest,
    CompletionResponse,
    EmbeddingsRequest,
    Finish,
    FinishReason,
    Model,
    RequestContext,
    TextDelta,
    content_text,
)
from hitchpost.errors import NotFoundError
from hitchpost.plugin import InferenceProvider
from tests.conformance.right.inference import ALL_OF_INFERENCE, RightInference
from tests.conformance.wrong.case import wrong_inference


@wrong_inference(
    "capabilities.implemented",
    r"the capability completion is declared, but WithoutCompletion lacks stream_completion\(\); .*embeddings\(\)",
)
class WithoutCompletion(RightInference):
    stream_completion = InferenceProvider.stream_completion
    embeddings = InferenceProvider.embeddings


@wrong_inference("errors.public", r"ProviderDefectError: .* from ZeroDivisionError: division by zero at .*requests.py")
class DividesByTheText(RightInference):
    def told(self, said: str, context: RequestContext) -> str:
        return f"{1 / len(said)} {super().told(said, context)}"


@wrong_inference("cancel.whole-answer", "had not ended 1.5 s after it was cancelled")
class DeafToCancellation(RightInference):
    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        try:
            return await super().chat_completion(request, context)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
            raise


@wrong_inference(
    "provider-data.isolated", "with the provider data of '(ann|bob)' was answered under that of '(ann|bob)'"
)
class RemembersTheCaller(RightInference):
    caller: RequestContext

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        self.caller = context
        await asyncio.sleep(0)
        async for event in super().stream_chat_completion(request, context):
            yield event

    def key_of(self, context: RequestContext) -> str:
        return super().key_of(self.caller)


@wrong_inference("cancel.close-stream", "async generator ignored GeneratorExit|closing a stream raised RuntimeError")
class GoesOnWhenClosed(RightInference):
    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        try:
            async for event in super().stream_chat_completion(request, context):
                yield event
        except GeneratorExit:
            yield Finish(FinishReason.stop)


@wrong_inference("cancel.first-event", "after a stream was cancelled .* there are still .*DetachedWork.compute")
class DetachedWork(RightInference):
    async def compute(self) -> None:
        await asyncio.sleep(5)

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        if "Count" in content_text(request.messages[-1].content):
            await asyncio.shield(asyncio.create_task(self.compute()))
        async for event in super().stream_chat_completion(request, context):
            yield event


@wrong_inference("concurrent.requests", "got the answer of")
class RemembersThePrompt(RightInference):
    said = ""

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        self.said = content_text(request.messages[-1].content)
        await asyncio.sleep(0)
        async for event in super().stream_chat_completion(request, context):
            yield event

    def told(self, said: str, context: RequestContext) -> str:
        return super().told(self.said, context)


@wrong_inference("models.unknown", "'no-such-model-of-this-provider' could be registered, and it answered")
class TakesEveryModel(RightInference):
    async def register_model(self, model: Model, context: RequestContext | None) -> None:
        return None

    def check_model(self, context: RequestContext) -> None:
        return None


@wrong_inference("models.other-name", "NotFoundError: there is no under-another-name")
class AsksByTheWrongName(RightInference):
    def check_model(self, context: RequestContext) -> None:
        if context.resource is None or context.resource.identifier != "right":
            raise NotFoundError(f"there is no {context.resource.identifier if context.resource else None}")


@wrong_inference(
    "unsupported.operations",
    "completion isn't declared, and raises NotImplementedError",
    spec={"capabilities": ALL_OF_INFERENCE - {Capability.completion}},
)
class NotImplementedYet(RightInference):
    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        raise NotImplementedError


@wrong_inference("faults.stall", "had not ended after 1.5 s")
class WaitsForTheBackend(RightInference):
    async def stalled(self) -> None:
        try:
            await super().stalled()
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            raise


@wrong_inference("faults.cut", "an answer that was cut off ended as a success")
class MakesACutAnEnd(RightInference):
    async def choice(self, request: ChatCompletionRequest, context: RequestContext, number: int) -> AsyncIterator[Any]:
        if "cut" not in content_text(request.messages[-1].content):
            async for event in super().choice(request, context, number):
                yield event
            return
        yield TextDelta("cut", number)
        yield Finish(FinishReason.stop, number)


@wrong_inference("embeddings.shape", "3 texts have 1 vectors")
class EmbedsTheFirst(RightInference):
    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> Any:
        answer = await super().embeddings(request, context)
        answer.embeddings = answer.embeddings[:1]
        return answer


@wrong_inference("embeddings.order", "the texts in another order don't have the same vectors")
class EmbedsInOrderOfLength(RightInference):
    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> Any:
        contents = sorted(request.contents, key=str)
        return await super().embeddings(request.model_copy(update={"contents": contents}), context)


@wrong_inference("embeddings.dimensions", "asked for 8 dimensions it answered 3")
class IgnoresDimensions(RightInference):
    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> Any:
        return await super().embeddings(request.model_copy(update={"dimensions": None}), context)
