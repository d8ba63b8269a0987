"""Ollama's models, by its native API; a model keeps its own chat template, which Ollama applies."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from hitchpost.api import (
    Capability,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionEvent,
    CompletionRequest,
    CompletionResponse,
    EmbeddingsRequest,
    EmbeddingsResponse,
    InferenceEvent,
    Model,
    RequestContext,
    TextDelta,
    Usage,
    content_text,
)
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    HitchpostError,
    UnsupportedError,
    quoted,
)
from hitchpost.llama import find_llama_model
from hitchpost.plugin import InferenceProvider, ProviderDeps, collect_chat, collect_completion
from hitchpost_remote_ollama.client import OllamaClient
from hitchpost_remote_ollama.config import OllamaConfig
from hitchpost_remote_ollama.events import ChatEvents, completion_events
from hitchpost_remote_ollama.model_settings import ModelFacts, ModelSettings, read_facts, read_settings
from hitchpost_remote_ollama.names import find_among, ollama_names
from hitchpost_remote_ollama.plugin import provider_specs
from hitchpost_remote_ollama.pulls import Pulls
from hitchpost_remote_ollama.translate import Body, chat_body, completion_body, embeddings_body
from hitchpost_remote_ollama.wire import (
    Answer,
    ChatAnswer,
    EmbedAnswer,
    GenerateAnswer,
    ShowAnswer,
    Tag,
    TagsAnswer,
    VersionAnswer,
)

SHOWN_AT_ONCE = 8
LOGPROBS_SINCE = (0, 12, 11)
AnswerT = TypeVar("AnswerT", bound=Answer)


class OllamaInference(InferenceProvider[OllamaConfig]):
    """Serves what one Ollama server has."""

    def __init__(self, config: OllamaConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._client = OllamaClient(config)
        self._pulls = Pulls(config, deps)
        self._facts: dict[str, tuple[str, ModelFacts]] = {}
        """By the name that Ollama lists; with the digest of the model that they are true of."""
        self._version = ""

    async def start(self) -> None:
        """Opens the pools of connections and asks whether anybody is there."""
        with self._named_errors():
            try:
                await self._client.open()
                await self._pulls.open()
                await self._ask_version()
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Ends pulls, requests and connections."""
        await self._pulls.close()
        await self._client.close()

    async def health(self) -> None:
        """Raises the reason when Ollama doesn't answer."""
        with self._named_errors():
            await self._ask_version()

    # --- models ---

    async def list_models(self) -> Sequence[Model]:
        """What `ollama list` shows; `loaded` in the metadata says what is in memory."""
        with self._named_errors():
            tags = await self._tags()
            in_memory = {tag.name for tag in (await self._client.get("/api/ps", TagsAnswer)).models}
            await self._learn(tags.values())
            self._facts = {name: known for name, known in self._facts.items() if name in tags}
            return [
                Model(provider_resource_id=tag.name, metadata=self._metadata(tag, is_loaded=tag.name in in_memory))
                for tag in tags.values()
            ]

    async def register_model(self, model: Model, context: RequestContext | None) -> Model:
        """Accepts what Ollama has, by any of its names; what it lacks is pulled where the metadata say `pull: true`.

        Raises:
            BadRequestError: Ollama lacks it, with what to pull; or its metadata can't be.
            BackendUnavailableError: it is still being pulled, by a job that the message names.
        """
        with self._named_errors():
            settings = read_settings(model.metadata)
            asked = model.provider_resource_id
            tags = await self._tags()
            name = find_among(asked, tags)
            if name is None and settings.pull:
                await self._pulls.pull(ollama_names(asked)[0], is_asked=context is not None)
                tags = await self._tags()
                name = find_among(asked, tags)
            if name is None:
                raise BadRequestError(
                    f"Ollama has no model {quoted(asked)}; get it with `ollama pull {_printable(ollama_names(asked)[0])}`, "
                    'or register it with the metadata {"pull": true}',
                    param="provider_model_id",
                )
            await self._learn([tags[name]])
            return model.completed(name, self._metadata(tags[name]))

    # --- inference ---

    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        """Continues a text and answers the whole continuation."""
        async with aclosing(self._completion_events(request, context, must_stream=False)) as events:
            return await collect_completion(events, request.sampling_params.n)

    def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[CompletionEvent]:
        """Continues a text."""
        return self._completion_events(request, context, must_stream=True)

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """Answers a conversation with the whole answer."""
        async with aclosing(self._chat_events(request, context, must_stream=False)) as events:
            return await collect_chat(events, request.sampling_params.n)

    def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """Answers a conversation."""
        return self._chat_events(request, context, must_stream=True)

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """Makes vectors of texts; they have the length 1."""
        if not request.contents:
            return EmbeddingsResponse([], Usage(0, 0))
        with self._serving():
            name, settings, _ = self._model(request.model_id, context)
            body = embeddings_body(request, name, settings, truncate=self.config.truncate)
            answer = await self._client.post("/api/embed", body, EmbedAnswer)
            if len(answer.embeddings) != len(request.contents):
                raise BadBackendAnswerError(
                    f"Ollama answered {len(answer.embeddings)} vectors for {len(request.contents)} texts"
                )
            if request.dimensions not in (None, *map(len, answer.embeddings)):
                raise UnsupportedError(
                    f"Ollama {self._version} makes vectors of {len(answer.embeddings[0])} numbers only",
                    param="dimensions",
                )
            return EmbeddingsResponse(answer.embeddings, Usage(answer.prompt_eval_count, 0))

    async def _chat_events(
        self, request: ChatCompletionRequest, context: RequestContext, *, must_stream: bool
    ) -> AsyncGenerator[InferenceEvent, None]:
        with self._serving():
            self._check_logprobs(request)
            name, settings, facts = self._model(request.model_id, context)
            body = chat_body(request, name, settings, facts, truncate=self.config.truncate)
            translation = ChatEvents(only_one_call=request.parallel_tool_calls is False)
            async with aclosing(self._answers("/api/chat", body, ChatAnswer, must_stream=must_stream)) as answers:
                async for answer in answers:
                    for event in translation.translate(answer):
                        yield event

    async def _completion_events(
        self, request: CompletionRequest, context: RequestContext, *, must_stream: bool
    ) -> AsyncGenerator[CompletionEvent, None]:
        with self._serving():
            self._check_logprobs(request)
            name, settings, facts = self._model(request.model_id, context)
            body = completion_body(request, name, settings, facts, truncate=self.config.truncate)
            must_echo = request.echo
            async with aclosing(
                self._answers("/api/generate", body, GenerateAnswer, must_stream=must_stream)
            ) as answers:
                async for answer in answers:
                    if must_echo:
                        # Not earlier, so that a request that is refused is refused before its first event.
                        yield TextDelta(content_text(request.content))
                        must_echo = False
                    for event in completion_events(answer):
                        yield event

    async def _answers(
        self, path: str, body: Body, kind: type[AnswerT], *, must_stream: bool
    ) -> AsyncGenerator[AnswerT, None]:
        """The lines of a stream, or the whole answer as the only one; the last one says that it is."""
        if not must_stream:
            answer = await self._client.post(path, {**body, "stream": False}, kind)
            if not answer.done:
                raise BadBackendAnswerError("Ollama answered half of an answer")
            yield answer
            return
        async with aclosing(self._client.lines(path, {**body, "stream": True}, kind)) as lines:
            async for line in lines:
                yield line
                if line.done:
                    return
        # It does so where a model repeats itself without end, and where its process dies.
        raise BadBackendAnswerError("Ollama broke off in the middle of its answer")

    # --- what is known ---

    def _model(self, model_id: str, context: RequestContext) -> tuple[str, ModelSettings, ModelFacts]:
        """Ollama's name of the model that is asked, how it is run, and what is known of it."""
        resource = context.resource
        metadata: Mapping[str, Any] = resource.metadata if isinstance(resource, Model) else {}
        name = resource.provider_resource_id if resource is not None else model_id
        _, facts = self._facts.get(name, ("", ModelFacts()))
        return name, self.config.settings(read_settings(metadata)), facts

    def _check_logprobs(self, request: CompletionRequest | ChatCompletionRequest) -> None:
        if request.logprobs is not None and _release(self._version) < LOGPROBS_SINCE:
            raise UnsupportedError(
                f"Ollama {self._version} answers no log probabilities; 0.12.11 and newer do", param="logprobs"
            )

    async def _ask_version(self) -> None:
        self._version = (await self._client.get("/api/version", VersionAnswer)).version

    async def _tags(self) -> dict[str, Tag]:
        return {tag.name: tag for tag in (await self._client.get("/api/tags", TagsAnswer)).models}

    async def _learn(self, tags: Iterable[Tag]) -> None:
        """Asks about models that are new, or not the same as before."""
        limit = asyncio.Semaphore(SHOWN_AT_ONCE)

        async def learn(tag: Tag) -> None:
            async with limit:
                try:
                    shown = await self._client.ask("/api/show", {"model": tag.name}, ShowAnswer)
                except HitchpostError as error:
                    self.log.warning("Ollama does not show its model %s: %s", tag.name, error.message)
                    return
            self._facts[tag.name] = (tag.digest, read_facts(shown))

        unknown = [tag for tag in tags if self._facts.get(tag.name, (None,))[0] != tag.digest]
        async with asyncio.TaskGroup() as group:
            for tag in unknown:
                group.create_task(learn(tag))

    def _metadata(self, tag: Tag, *, is_loaded: bool | None = None) -> dict[str, Any]:
        _, facts = self._facts.get(tag.name, ("", ModelFacts()))
        details = {"parameter_size": tag.details.parameter_size, "quantization": tag.details.quantization_level}
        metadata = facts.metadata(_capabilities()) | {key: value for key, value in details.items() if value}
        if is_loaded is not None:
            metadata["loaded"] = is_loaded
        known = find_llama_model(tag.name)
        return metadata if known is None else {**metadata, "llama_model": known.repo}

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Puts this provider's name to errors."""
        try:
            yield
        except HitchpostError as error:
            error.provider_id = error.provider_id or self.deps.provider_id
            raise

    @contextlib.contextmanager
    def _serving(self) -> Iterator[None]:
        """Around what callers ask for: a server that turns out to be gone is looked after at once."""
        try:
            with self._named_errors():
                yield
        except BackendUnavailableError:
            self.deps.health_changed()
            raise


def _capabilities() -> frozenset[Capability]:
    return provider_specs()[0].capabilities


def _printable(name: str) -> str:
    return quoted(name, "")


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, as `0.33.0-rc2`; a build from source calls itself 0.0.0, or something else, and counts as the newest."""
    numbers = version.partition("-")[0].split(".")
    release = tuple(map(int, numbers)) if all(part.isdecimal() for part in numbers) else ()
    return release if any(release) else (999,)


__all__ = ["OllamaInference"]
