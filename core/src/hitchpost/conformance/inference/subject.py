"""What an author says of an inference provider, and the requests that the checks make of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar

from hitchpost.api import (
    Api,
    Capability,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionRequest,
    EmbeddingsRequest,
    InferenceEvent,
    Model,
    RequestContext,
)
from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.harness import PROVIDER_ID, Harness
from hitchpost.plugin import Provider


class InferenceSubject(ConformanceBase):
    """All but `model` may be left out. Prompts are only as clever as the model must be to pass: choose ones that it answers well."""

    api = Api.inference
    model: ClassVar[str]
    """The provider's own name of a model that it serves."""
    model_metadata: ClassVar[Mapping[str, Any]] = {}
    """Metadata of its registration; `capabilities` narrows what is checked to what this model can do."""
    embedding_model: ClassVar[str | None] = None
    """The model for embeddings, where it is another one."""
    embedding_metadata: ClassVar[Mapping[str, Any]] = {}
    """Its metadata; `embedding_dimension` is compared with the vectors."""
    chat_prompt: ClassVar[str] = "Say hello in one short sentence."
    chat_expected: ClassVar[str] = r"\S"
    """Regular expression that is found in the answer to `chat_prompt`."""
    completion_prompt: ClassVar[str] = "The quick brown fox jumps over"
    completion_expected: ClassVar[str] = r"\S"
    long_prompt: ClassVar[str] = (
        "Count from one to one hundred in words: one two three four five six seven eight nine ten"
    )
    """Its answer has at least a dozen words."""
    json_prompt: ClassVar[str] = "Who was Ada Lovelace? Answer as JSON."
    tool_prompt: ClassVar[str] = "What is the weather in Oslo? Use the tool."
    """Makes the model call `get_weather` with a `location`, when it is offered."""
    repeatable: ClassVar[bool] = True
    """Whether the same request at temperature 0 gets the same answer, alone or among others."""
    max_tokens: ClassVar[int] = 64

    # --- requests ---

    def chat(self, text: str | None = None, **fields: Any) -> ChatCompletionRequest:
        """A request for chat at temperature 0; `sampling_params` are added to its own."""
        sampling = {"temperature": 0, "max_tokens": self.max_tokens, **fields.pop("sampling_params", {})}
        messages = [{"role": "user", "content": self.chat_prompt if text is None else text}]
        return ChatCompletionRequest.model_validate(
            {"model_id": self.model, "messages": messages, "sampling_params": sampling, **fields}
        )

    def completion(self, text: str | None = None, **fields: Any) -> CompletionRequest:
        """The same for the continuation of a text."""
        sampling = {"temperature": 0, "max_tokens": self.max_tokens, **fields.pop("sampling_params", {})}
        content = self.completion_prompt if text is None else text
        return CompletionRequest.model_validate(
            {"model_id": self.model, "content": content, "sampling_params": sampling, **fields}
        )

    def embedding_request(self, *texts: str, **fields: Any) -> EmbeddingsRequest:
        """A request for the vectors of texts."""
        return EmbeddingsRequest.model_validate(
            {"model_id": self.embedding_model or self.model, "contents": texts, **fields}
        )

    def resource(self) -> Model:
        """The model under test, as the stack registers it."""
        return Model(
            identifier=self.model,
            provider_resource_id=self.model,
            provider_id=PROVIDER_ID,
            metadata=dict(self.model_metadata),
        )

    # --- answers ---

    async def events(
        self, harness: Harness, request: ChatCompletionRequest, context: RequestContext | None = None
    ) -> list[InferenceEvent]:
        """All events of a streamed answer, through the router."""
        router = await harness.router(Api.inference)
        stream = router.stream_chat_completion(request, context or harness.context())
        events: list[InferenceEvent] = await harness.within(collected(stream), "a streamed answer")
        return events

    async def whole(
        self, harness: Harness, request: ChatCompletionRequest, context: RequestContext | None = None
    ) -> ChatCompletionResponse:
        """A whole answer, through the router."""
        router = await harness.router(Api.inference)
        work = router.chat_completion(request, context or harness.context())
        answer: ChatCompletionResponse = await harness.within(work, "a whole answer")
        return answer

    # --- what the checks of every API ask for ---

    async def use(self, harness: Harness, provider: Provider[Any]) -> AsyncIterator[None]:
        """A streamed answer to `long_prompt`, or vectors where there is no chat."""
        model = self.resource()
        await harness.announce(provider, model)
        context = harness.context(model)
        able: Any = provider
        if Capability.chat in harness.capabilities:
            stream = able.stream_chat_completion(self.chat(self.long_prompt), context)
        elif Capability.completion in harness.capabilities:
            stream = able.stream_completion(self.completion(self.long_prompt), context)
        else:
            await able.embeddings(self.embedding_request(self.chat_prompt), context)
            return
        async with aclosing(stream) as events:
            async for _ in events:
                yield

    async def ask(self, harness: Harness, context: RequestContext, prompt: str | None = None) -> str:
        """The text of a whole answer."""
        router = await harness.router(Api.inference)
        if Capability.chat in harness.capabilities:
            return "".join(choice.text for choice in (await router.chat_completion(self.chat(prompt), context)).choices)
        if Capability.completion in harness.capabilities:
            answer = await router.completion(self.completion(prompt), context)
            return "".join(choice.text for choice in answer.choices)
        return str(await router.embeddings(self.embedding_request(prompt or self.chat_prompt), context))

    def long_request(self) -> str | None:
        """See `long_prompt`."""
        return self.long_prompt

    def odd_requests(self, harness: Harness) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Empty, huge and contradictory ones."""
        odd: dict[str, Any] = {}
        if Capability.chat in harness.capabilities:
            conversation = [{"role": "assistant", "content": "hi", "stop_reason": "end_of_turn"}]
            orphan = [{"role": "ipython", "call_id": "none", "tool_name": "none", "content": "42"}]
            odd |= {
                "an empty text": self.chat(""),
                "a long text": self.chat("far too long " * 20_000),
                "unusual characters": self.chat("\u0000 \ud83d\ude00 \u202e <|eot_id|> {{ 7*7 }}"),
                "a huge max_tokens": self.chat(sampling_params={"max_tokens": 10**9}),
                "extreme sampling": self.chat(sampling_params={"temperature": 100, "top_p": 0, "top_k": 10**6}),
                "an answer in place of a question": self.chat(messages=conversation),
                "the result of a call that nobody made": self.chat(messages=orphan),
                "an empty system message": self.chat(messages=[{"role": "system", "content": ""}]),
            }
        if Capability.completion in harness.capabilities:
            odd["an empty prompt"] = self.completion("")
        if Capability.embeddings in harness.capabilities:
            odd |= {
                "nothing to embed": self.embedding_request(),
                "an empty text to embed": self.embedding_request(""),
            }
        return {name: _asking(harness, request) for name, request in odd.items()}

    def resources(self, provider_id: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The model, and that for embeddings where it is another one."""
        models = [{"model_id": self.model, "provider_id": provider_id, "metadata": dict(self.model_metadata)}]
        if self.embedding_model is not None:
            metadata = {"model_type": "embedding", **self.embedding_metadata}
            models.append({"model_id": self.embedding_model, "provider_id": provider_id, "metadata": metadata})
        return {"models": models}

    def narrowed_capabilities(self) -> frozenset[Capability] | None:
        """As `model_metadata` says."""
        listed = self.model_metadata.get("capabilities")
        return None if listed is None else frozenset(map(Capability, listed))


async def collected(stream: Any) -> list[Any]:
    """All events of a stream."""
    async with aclosing(stream) as events:
        return [event async for event in events]


def _asking(harness: Harness, request: Any) -> Callable[[], Awaitable[Any]]:
    async def ask() -> None:
        router = await harness.router(Api.inference)
        match request:
            case ChatCompletionRequest():
                await router.chat_completion(request, harness.context())
                await collected(router.stream_chat_completion(request, harness.context()))
            case CompletionRequest():
                await router.completion(request, harness.context())
            case EmbeddingsRequest():
                await router.embeddings(request, harness.context())

    return ask


__all__ = ["InferenceSubject", "collected"]
