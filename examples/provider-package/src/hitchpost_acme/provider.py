"""A provider that runs as it stands. Whatever knows the backend is the class `Backend`: put yours in its place."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from hitchpost.api import (
    ChatCompletionRequest,
    Finish,
    FinishReason,
    InferenceEvent,
    Model,
    RequestContext,
    TextDelta,
    Usage,
    content_text,
)
from hitchpost.errors import BackendUnavailableError, BadRequestError
from hitchpost.plugin import InferenceProvider, ProviderDeps

from hitchpost_acme.config import AcmeConfig


class AcmeInference(InferenceProvider[AcmeConfig]):
    """Serves the models of its config. Whole answers are collected from the stream by the base class."""

    def __init__(self, config: AcmeConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._backend: Backend | None = None

    async def start(self) -> None:
        """Called again after a failure, and perhaps twice; raise BackendUnavailableError with the reason when it can't serve."""
        # YOUR BACKEND: open one session for all requests, with time limits, and look whether the server is there.
        if self._backend is None:
            self._backend = Backend(self.config)

    async def stop(self) -> None:
        """Let go of all that `start` took, also of half of it."""
        # YOUR BACKEND: close the session.
        self._backend = None

    async def health(self) -> None:
        """Asked every 15 seconds; raise the reason when it can't serve now."""
        # YOUR BACKEND: ask it something that costs nothing.
        self._running()

    async def list_models(self) -> list[Model]:
        """What is served without being registered."""
        return [Model(provider_resource_id=name) for name in self.config.models]

    async def register_model(self, model: Model, context: RequestContext | None) -> None:
        """Refuse what isn't served, so that a misspelt name is not kept."""
        if model.provider_resource_id not in self.config.models:
            served = ", ".join(self.config.models)
            message = f"provider {self.deps.provider_id} has no model {model.provider_resource_id!r}; it has {served}"
            raise BadRequestError(message, param="provider_model_id")

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncGenerator[InferenceEvent]:
        """Answer a conversation, word by word."""
        backend = self._running()
        # The registered model; callers may know it by another name than the backend does.
        model = context.resource.provider_resource_id if context.resource else request.model_id
        texts = [content_text(message.content) for message in request.messages]
        max_tokens = request.sampling_params.max_tokens or None
        said, reason = 0, FinishReason.stop
        # A caller that leaves closes this generator: `aclosing` hands that on, and the backend's work ends too.
        async with aclosing(backend.answer(model, texts[-1])) as words:
            async for word in words:
                if said == max_tokens:
                    reason = FinishReason.length
                    break
                said += 1
                yield TextDelta(word)
        yield Usage(prompt_tokens=sum(len(text.split()) for text in texts), completion_tokens=said)
        yield Finish(reason)

    def _running(self) -> "Backend":
        if self._backend is None:
            raise BackendUnavailableError(f"provider {self.deps.provider_id} has not started")
        return self._backend


class Backend:
    """Stands for the client of your backend."""

    def __init__(self, config: AcmeConfig) -> None:
        self._config = config

    async def answer(self, model: str, prompt: str) -> AsyncGenerator[str]:
        """The words of an answer as they come."""
        # YOUR BACKEND: send the request and yield what comes. Turn its failures into errors of hitchpost.errors:
        # BackendUnavailableError (unreachable), RateLimitedError, BadBackendAnswerError (nonsense, or broken off) ...
        answers = self._config.answers.items()
        found = next((text for key, text in answers if key.casefold() in prompt.casefold()), None)
        for word in re.findall(r"\s*\S+", f"{model} hears: {prompt}" if found is None else found):
            # Waiting never blocks the event loop; what computes goes into asyncio.to_thread or a process of its own.
            await asyncio.sleep(self._config.word_delay_s)
            yield word
