"""An inference provider that does everything right, in parts that a wrong one can replace one by one."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SecretStr

from hitchpost.api import (
    Api,
    Capability,
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingsRequest,
    EmbeddingsResponse,
    Finish,
    FinishReason,
    Model,
    NamedToolChoice,
    RequestContext,
    SamplingParams,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    ToolChoiceMode,
    TopLogprob,
    Usage,
    content_text,
)
from hitchpost.conformance import InferenceConformance
from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, BadRequestError, NotFoundError
from hitchpost.plugin import InferenceProvider, Metric, ProviderDeps, ProviderSpec

ALL_OF_INFERENCE = frozenset(
    capability
    for capability in Capability
    if not capability.endswith("_bank") and capability not in (Capability.grammar, Capability.parallel_tool_calls)
)


class RightConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    api_key: SecretStr = SecretStr("")


class CallerData(BaseModel):
    key: SecretStr


class RightInference(InferenceProvider[RightConfig]):
    """Says back what it hears, with what can be asked for beside it."""

    def __init__(self, config: RightConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.ticker: asyncio.Task[None] | None = None
        self.requests = 0

    # --- life ---

    async def start(self) -> None:
        if self.ticker is None:
            self.ticker = asyncio.create_task(self.tick())

    async def tick(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        ticker, self.ticker = self.ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.wait([ticker])

    async def health(self) -> None:
        if self.ticker is None:
            raise BackendUnavailableError("the provider has not started")

    def metrics(self) -> Sequence[Metric]:
        return [Metric(name="requests_total", kind="counter", help="Requests.", value=self.requests)]

    # --- models ---

    async def list_models(self) -> Sequence[Model]:
        return [Model(provider_resource_id="right")]

    async def register_model(self, model: Model, context: RequestContext | None) -> Model | None:
        if model.provider_resource_id != "right":
            raise BadRequestError(f"there is no {model.provider_resource_id!r}; there is: right")
        return None

    async def unregister_model(self, model: Model) -> None:
        return None

    # --- answers ---

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        self.requests += 1
        self.check_model(context)
        for number in range(request.sampling_params.n):
            async for event in self.choice(request, context, number):
                yield event
        yield Usage(prompt_tokens=len(str(request.messages)), completion_tokens=3)

    async def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[Any]:
        self.check_model(context)
        prompt = content_text(request.content)
        if request.echo:
            yield TextDelta(prompt)
        async for event in self.text(f" {self.told(prompt, context)}", request.sampling_params, 0, None):
            yield event

    async def choice(self, request: ChatCompletionRequest, context: RequestContext, number: int) -> AsyncIterator[Any]:
        """The events of one choice."""
        said = content_text(request.messages[-1].content)
        if "stall" in said:
            yield TextDelta("stalled", number)
            await self.stalled()
        if "cut" in said:
            yield TextDelta("cut", number)
            await self.cut()
            return
        call = self.call_of(request, said)
        if call is not None:
            yield ToolCallStart(0, f"call_{len(request.messages)}", "get_weather", number)
            yield ToolCallDelta(0, call, number)
            yield Finish(FinishReason.tool_calls, number)
            return
        text = self.told(said, context) if request.response_format is None else self.form(request)
        text += f" ({number})" if number else ""
        top_k = None if request.logprobs is None else request.logprobs.top_k
        async for event in self.text(text, request.sampling_params, number, top_k):
            yield event

    async def text(
        self, text: str, sampling: SamplingParams, number: int, top_k: int | None
    ) -> AsyncIterator[TextDelta | Finish]:
        """A text, token by token, as far as the limits let it."""
        shown, finish = self.limited(text, sampling)
        for token in re.findall(r"\s*\S+|\s+$", shown):
            await self.think()
            yield TextDelta(token, number, None if top_k is None else [self.logprob(token, top_k)])
        yield Finish(finish, number)

    def limited(self, text: str, sampling: SamplingParams) -> tuple[str, FinishReason]:
        tokens = re.findall(r"\s*\S+|\s+$", text)
        if sampling.max_tokens and len(tokens) > sampling.max_tokens:
            return "".join(tokens[: sampling.max_tokens]), FinishReason.length
        ends = [text.index(stop) for stop in sampling.stop or () if stop and stop in text]
        return text[: min(ends, default=len(text))], FinishReason.stop

    async def think(self) -> None:
        await asyncio.sleep(0)

    async def stalled(self) -> None:
        await asyncio.Event().wait()

    async def cut(self) -> None:
        raise BadBackendAnswerError("the backend broke off")

    def told(self, said: str, context: RequestContext) -> str:
        return f"You said: {said} {self.key_of(context)}"

    def key_of(self, context: RequestContext) -> str:
        data = context.provider_data
        return f"by {data.key.get_secret_value()}" if isinstance(data, CallerData) else ""

    def logprob(self, token: str, top_k: int) -> TokenLogprob:
        top = [TopLogprob(f"{token}{rank}", -0.5 - rank) for rank in range(top_k)]
        return TokenLogprob(token, -0.5, list(token.encode()), top or None)

    def call_of(self, request: ChatCompletionRequest, said: str) -> str | None:
        forced = isinstance(request.tool_choice, NamedToolChoice) or request.tool_choice is ToolChoiceMode.required
        offered = bool(request.tools) and request.tool_choice is not ToolChoiceMode.none
        return json.dumps({"location": "Oslo"}) if offered and (forced or "Use the tool" in said) else None

    def form(self, request: ChatCompletionRequest) -> str:
        return json.dumps({"name": "Ada", "born": 1815, "is_human": True})

    def check_model(self, context: RequestContext) -> None:
        if context.resource is None or context.resource.provider_resource_id != "right":
            raise NotFoundError("there is no such model")

    # --- vectors ---

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        self.check_model(context)
        if request.dimensions is not None:
            raise BadRequestError("dimensions: vectors have 3 numbers", param="dimensions")
        return EmbeddingsResponse([self.vector(content_text(content)) for content in request.contents])

    def vector(self, text: str) -> list[float]:
        return [math.sin(len(text)), math.cos(text.count("t")), 0.1]


class Faults:
    """Prompts at which the provider behaves as if its backend failed."""

    @asynccontextmanager
    async def stall(self) -> AsyncIterator[str]:
        yield "stall, please"

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[str]:
        yield "cut, please"


def spec_of(provider: type | str = RightInference, **fields: Any) -> ProviderSpec:
    """The declaration of a provider class of the tests."""
    factory = provider if isinstance(provider, str) else f"{provider.__module__}:{provider.__qualname__}"
    return ProviderSpec(
        **{
            "api": Api.inference,
            "provider_type": "inline::test",
            "config": "tests.conformance.right.inference:RightConfig",
            "factory": factory,
            "provider_data": "tests.conformance.right.inference:CallerData",
            "capabilities": ALL_OF_INFERENCE,
            "description": "For the tests of the kit.",
            **fields,
        }
    )


class RightInferenceKit(InferenceConformance):
    """What an author writes for it; collected under another name."""

    provider_type = spec_of()
    model = "right"
    backend_faults = Faults()
    patience_s = 1.5
    provider_data: ClassVar[dict[str, Any]] = {"ann": {"key": "ann"}, "bob": {"key": "bob"}}
