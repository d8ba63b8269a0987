"""What a provider can do wrong in its answers."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionRequest,
    FinishReason,
    RequestContext,
    SamplingParams,
    TokenLogprob,
    UserMessage,
)
from hitchpost.api.messages import messages_have_images
from hitchpost.errors import BadRequestError
from tests.conformance.right.inference import RightInference
from tests.conformance.wrong.case import wrong_inference


@wrong_inference("chat.answers", "the answer is '', without")
class SaysNothing(RightInference):
    def told(self, said: str, context: RequestContext) -> str:
        return ""


@wrong_inference("chat.conversation", "BadRequestError: roles must alternate")
class WantsTurns(RightInference):
    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        if any(one.role == other.role for one, other in itertools.pairwise(request.messages)):
            raise BadRequestError("roles must alternate")
        async for event in super().stream_chat_completion(request, context):
            yield event


@wrong_inference("chat.image", "ProviderDefectError: .* from TypeError: no images at")
class CannotSee(RightInference):
    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        if messages_have_images([message for message in request.messages if isinstance(message, UserMessage)]):
            raise TypeError("no images")
        async for event in super().stream_chat_completion(request, context):
            yield event


@wrong_inference("completion.answers", "the continuation is '', without")
class ContinuesNothing(RightInference):
    async def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[Any]:
        async for event in self.text("", request.sampling_params, 0, None):
            yield event


@wrong_inference("completion.echo", "with echo the text begins with ' You said")
class IgnoresEcho(RightInference):
    async def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[Any]:
        async for event in super().stream_completion(request.model_copy(update={"echo": False}), context):
            yield event


@wrong_inference("sampling.n", r"of 3 choices these finished: \[0\]|the answer of choice 1, 2 broke off")
class OneChoiceOnly(RightInference):
    async def choice(self, request: ChatCompletionRequest, context: RequestContext, number: int) -> AsyncIterator[Any]:
        if number == 0:
            async for event in super().choice(request, context, number):
                yield event


@wrong_inference("sampling.stop", "the stop string '.*' is in the answer")
class IgnoresStop(RightInference):
    def limited(self, text: str, sampling: SamplingParams) -> tuple[str, FinishReason]:
        return super().limited(text, sampling.model_copy(update={"stop": None}))


@wrong_inference("sampling.max-tokens", "ended for the reason stop")
class IgnoresMaxTokens(RightInference):
    def limited(self, text: str, sampling: SamplingParams) -> tuple[str, FinishReason]:
        return super().limited(text, sampling.model_copy(update={"max_tokens": 0}))


@wrong_inference("sampling.seed", "with one seed it said")
class CountsItsAnswers(RightInference):
    def told(self, said: str, context: RequestContext) -> str:
        return f"{self.requests}. {super().told(said, context)}"


@wrong_inference("sampling.accepted", "UnsupportedError: provider .* does not serve penalties")
class RefusesPenalties(RightInference):
    def limited(self, text: str, sampling: SamplingParams) -> tuple[str, FinishReason]:
        if sampling.presence_penalty:
            raise self._unsupported("penalties")
        return super().limited(text, sampling)


@wrong_inference("logprobs.shape", r"has the log probability 0\.6")
class AnswersProbabilities(RightInference):
    def logprob(self, token: str, top_k: int) -> TokenLogprob:
        return TokenLogprob(token, 0.6, list(token.encode()))


@wrong_inference("json.schema", "does not satisfy the schema")
class WritesNumbersAsText(RightInference):
    def form(self, request: ChatCompletionRequest) -> str:
        return json.dumps({"name": "Ada", "born": "1815", "is_human": True})


@wrong_inference("json.object", "is no JSON: ")
class WrapsItsJson(RightInference):
    def form(self, request: ChatCompletionRequest) -> str:
        return f"Here you are: {super().form(request)}"


@wrong_inference("tools.call", "it called get_weather with '")
class PassesPlainText(RightInference):
    def call_of(self, request: ChatCompletionRequest, said: str) -> str | None:
        call = super().call_of(request, said)
        return None if call is None else "Oslo"


@wrong_inference("tools.round-trip", "BadRequestError: no role ipython")
class KnowsNoResults(RightInference):
    def told(self, said: str, context: RequestContext) -> str:
        if "Sunny" in said:
            raise BadRequestError("no role ipython")
        return super().told(said, context)


@wrong_inference("tools.required", "tool_choice 'required' is answered by .* without a call")
class CallsWhenItLikes(RightInference):
    def call_of(self, request: ChatCompletionRequest, said: str) -> str | None:
        return super().call_of(request, said) if "Use the tool" in said else None


@wrong_inference("tools.forbidden", "although calls are forbidden it called get_weather")
class CallsAnyway(RightInference):
    def call_of(self, request: ChatCompletionRequest, said: str) -> str | None:
        return json.dumps({"location": "Oslo"}) if request.tools and "Use the tool" in said else None
