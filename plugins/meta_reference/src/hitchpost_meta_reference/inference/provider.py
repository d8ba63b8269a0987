"""Models in PyTorch, each in an engine process of its own: Llamas, and BERTs that make vectors of texts.

The provider translates and supervises; it imports no torch. A conversation is written by the checkpoint's own chat template where it has one, and
by `hitchpost.llama` for Meta's format, for Llama Guard, and for the tool formats that only Llama models know.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

from hitchpost.api import (
    Capability,
    ChatCompletionRequest,
    CompletionEvent,
    CompletionRequest,
    EmbeddingsRequest,
    EmbeddingsResponse,
    InferenceEvent,
    Model,
    RequestContext,
    TextDelta,
    content_text,
)
from hitchpost.errors import BadRequestError, HitchpostError, quoted
from hitchpost.llama import find_llama_model
from hitchpost.plugin import InferenceProvider, Metric, ProviderDeps
from hitchpost_meta_reference.engine.client import EngineClient, EngineLimits
from hitchpost_meta_reference.inference.config import MetaReferenceInferenceConfig
from hitchpost_meta_reference.inference.declarations import inference_spec
from hitchpost_meta_reference.inference.prompt_style import prompt_style
from hitchpost_meta_reference.inference.translate import ChatEvents, chat_submit, completion_event, completion_submit
from hitchpost_meta_reference.inference.vectors import VectorCollector, embed_message


class MetaReferenceInference(InferenceProvider[MetaReferenceInferenceConfig]):
    """Serves one model."""

    def __init__(self, config: MetaReferenceInferenceConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        limits = EngineLimits(
            start_timeout_s=config.start_timeout_s,
            heartbeat_timeout_s=config.heartbeat_timeout_s,
            step_timeout_s=config.step_timeout_s,
        )
        self._engine = EngineClient(config.engine_settings(), limits, deps.log, deps.health_changed)

    async def start(self) -> None:
        """Starts the engine and waits until its model is loaded."""
        with self._named_errors():
            await self._engine.start()

    async def stop(self) -> None:
        """Ends the engine."""
        await self._engine.stop()

    async def health(self) -> None:
        """Raises the reason while the engine is restarting."""
        with self._named_errors():
            self._engine.check()

    def metrics(self) -> Iterable[Metric]:
        """What the engine does and has done."""
        stats = self._engine.stats
        gauges = {
            "choices_running": ("Choices being generated.", stats.running),
            "choices_waiting": ("Choices waiting for a cache slot.", stats.waiting),
            "cache_slots_in_use": ("Cache slots that are taken.", stats.slots_in_use),
            "texts_waiting": ("Texts waiting for a batch that makes their vectors.", stats.texts_waiting),
        }
        counters = {
            "prompt_tokens_total": ("Prompt tokens computed.", stats.prompt_tokens),
            "generated_tokens_total": ("Tokens generated.", stats.generated_tokens),
            "steps_total": ("Steps computed.", stats.steps),
            "embedded_texts_total": ("Texts that became vectors.", stats.embedded_texts),
            "embedded_tokens_total": ("Tokens of texts that became vectors.", stats.embedded_tokens),
            "engine_restarts_total": ("Times that the engine had to be started again.", self._engine.restarts),
        }
        yield from (Metric(name=n, kind="gauge", help=text, value=value) for n, (text, value) in gauges.items())
        yield from (Metric(name=n, kind="counter", help=text, value=value) for n, (text, value) in counters.items())

    async def list_models(self) -> Sequence[Model]:
        """The model of the config."""
        return [Model(provider_resource_id=self.config.model, metadata=self._metadata())]

    async def register_model(self, model: Model, context: RequestContext | None) -> Model:
        """Accepts the model of the config, by its name or, for a Llama model, by any name of it.

        Raises:
            BadRequestError: another model is meant, or the metadata contradict it.
        """
        asked, served = model.provider_resource_id, self.config.model
        known = find_llama_model(asked)
        if asked != served and (known is None or known != find_llama_model(served)):
            raise BadRequestError(
                f"provider {self.deps.provider_id} serves only {served!r}, not {quoted(asked)}",
                param="provider_model_id",
            )
        return model.completed(served, self._metadata())

    async def stream_completion(
        self, request: CompletionRequest, context: RequestContext
    ) -> AsyncIterator[CompletionEvent]:
        """Continues a text."""
        with self._named_errors():
            submit = replace(completion_submit(request), group=context.request_id)
            must_echo = request.echo
            async with aclosing(self._engine.stream(submit)) as events:
                async for event in events:
                    # Not earlier, so that a request that is refused is refused before its first event.
                    for choice in range(submit.n if must_echo else 0):
                        yield TextDelta(content_text(request.content), choice)
                    must_echo = False
                    yield completion_event(event)

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """Answers a conversation."""
        with self._named_errors():
            style = prompt_style(self.config.model, self._engine.facts)
            submit = replace(chat_submit(request, style, datetime.now(UTC).date()), group=context.request_id)
            chat = ChatEvents(request)
            async with aclosing(self._engine.stream(submit)) as events:
                async for event in events:
                    for translated in chat.translate(event):
                        yield translated

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """Turns texts into vectors; what of a text lies behind the model's limit is cut off."""
        with self._named_errors():
            embed = embed_message(request, self._engine.facts.embedding_dimension)
            collector = VectorCollector(len(embed.texts))
            if embed.texts:
                async with aclosing(self._engine.stream(embed)) as events:
                    async for event in events:
                        collector.add(event)
            return collector.answer()

    def _metadata(self) -> dict[str, object]:
        facts = self._engine.facts
        metadata: dict[str, object] = {
            "model_type": facts.model_type,
            "context_length": facts.context_length,
            "embedding_dimension": facts.embedding_dimension,
        }
        if facts.model_type == "embedding":
            return {**metadata, "capabilities": [Capability.embeddings.value]}
        known = find_llama_model(self.config.model)
        if known is not None:
            metadata["llama_model"] = known.repo
        lacking = prompt_style(self.config.model, facts).lacking()
        if lacking:
            metadata["capabilities"] = sorted(
                capability.value for capability in inference_spec().capabilities - lacking
            )
        return metadata

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Puts this provider's name to errors of its engine."""
        try:
            yield
        except HitchpostError as error:
            error.provider_id = error.provider_id or self.deps.provider_id
            raise


__all__ = ["MetaReferenceInference"]
