"""What an OpenAI-shaped server serves, by its own routes for chats, completions, embeddings and models."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import SecretStr

from hitchpost.api import (
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
    Usage,
    content_text,
)
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    HitchpostError,
    NotFoundError,
    UnauthenticatedError,
    UnsupportedError,
    quoted,
)
from hitchpost.llama import find_llama_model
from hitchpost.plugin import InferenceProvider, ProviderDeps, chat_of, completion_of
from hitchpost.remote import RemoteServer, ServerError, ServerEvent, find_server_error, parse_json, server_words
from hitchpost_remote_openai.answers import ChatEvents, CompletionEvents, vectors
from hitchpost_remote_openai.config import OpenAIConfig
from hitchpost_remote_openai.echoed_prompt import with_prompt
from hitchpost_remote_openai.models import listed_models
from hitchpost_remote_openai.requests import Body, chat_body, completion_body, embeddings_bodies
from hitchpost_remote_openai.stop_text import without_stops

QUICK_S = 8.0
"""How long an answer about models may take to begin."""

AnswerT = TypeVar("AnswerT")
EventT = TypeVar("EventT")


class OpenAIInference(InferenceProvider[OpenAIConfig]):
    """Serves what one OpenAI-shaped server has."""

    def __init__(self, config: OpenAIConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._service = config.service
        self._server = RemoteServer(config, self._service.name, key=config.api_key, read_error=_read_error)
        self._is_away = False

    async def start(self) -> None:
        """Opens the pool of connections and asks whether anybody is there."""
        with self._named_errors():
            await self._server.open()
            try:
                await self._ask_models()
            except BaseException:
                await self._server.close()
                raise

    async def stop(self) -> None:
        """Ends every connection."""
        await self._server.close()

    async def health(self) -> None:
        """Raises the reason when the server doesn't answer."""
        self._is_away = True
        with self._named_errors():
            await self._ask_models()
        self._is_away = False

    # --- models ---

    async def list_models(self) -> Sequence[Model]:
        """What the server lists; what is known of the service where only callers have keys."""
        with self._named_errors():
            listed = await self._ask_models()
        return [Model(provider_resource_id=name) for name in self._service.known_models] if listed is None else listed

    async def register_model(self, model: Model, context: RequestContext | None) -> Model:
        """Accepts what the server lists, by its own name or a Llama model's; anything where only callers have keys.

        Raises:
            BadRequestError: the server lists all that it has, and not this; a server that lists nothing may have it all the same.
        """
        asked = model.provider_resource_id
        with self._named_errors():
            answer = await self._ask_models()
            known = await self.list_models() if answer is None else answer
            listed = {other.provider_resource_id: other for other in known}
            found = listed.get(asked) or _same_llama_model(asked, listed)
            if found is not None:
                return model.completed(found.provider_resource_id, found.metadata)
            if listed and self._service.lists_all and not await self._has_unlisted(asked):
                some = ", ".join(sorted(listed)[:10]) or "nothing"
                message = f"{self._service.name} has no model {quoted(asked)}; it lists {some}"
                raise BadRequestError(message, param="provider_model_id")
        return model

    async def _has_unlisted(self, name: str) -> bool:
        """Whether the server answers to a name that isn't in its list, as Hitchpost does to short ones."""
        try:
            await self._server.fetch_json("GET", f"/models/{quote(name)}", first_byte_timeout_s=QUICK_S)
        except (BadRequestError, NotFoundError, BadBackendAnswerError):
            return False
        return True

    async def _ask_models(self) -> list[Model] | None:
        """What the server lists; None where it tells only callers, who have keys and the config has not."""
        has_key = self.config.api_key is not None
        if self._service.needs_key and not has_key:
            return None
        try:
            answer = await self._server.fetch_json("GET", "/models", first_byte_timeout_s=QUICK_S)
        except UnauthenticatedError:
            if has_key:
                raise
            return None
        return listed_models(answer, self._service.name)

    # --- inference ---

    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        """See `hitchpost.api.Inference`; by the server's own whole answer."""
        n = request.sampling_params.n
        read = _as_asked(CompletionEvents(n, self._server.name).whole, request)
        body = self._completion_body(request, context, stream=False)
        return await self._ask(
            "/completions", body, lambda answer: completion_of(read(answer), n), context, "text completions"
        )

    def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[CompletionEvent]:
        """See `hitchpost.api.Inference`."""
        events = CompletionEvents(request.sampling_params.n, self._server.name)
        read = _as_asked(events.chunk, request)
        body = self._completion_body(request, context, stream=True)
        return self._stream("/completions", body, read, events.end, context, "text completions")

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """See `hitchpost.api.Inference`; by the server's own whole answer."""
        n = request.sampling_params.n
        read = without_stops(ChatEvents(n, self._server.name).whole, request.sampling_params.stop or ())
        body = self._chat_body(request, context, stream=False)
        return await self._ask("/chat/completions", body, lambda answer: chat_of(read(answer), n), context)

    def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """See `hitchpost.api.Inference`."""
        events = ChatEvents(request.sampling_params.n, self._server.name)
        read = without_stops(events.chunk, request.sampling_params.stop or ())
        return self._stream(
            "/chat/completions", self._chat_body(request, context, stream=True), read, events.end, context
        )

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """See `hitchpost.api.Inference`; more texts than the form takes at once are sent one batch after the other."""
        found: list[list[float]] = []
        tokens = 0
        for body in embeddings_bodies(request, self._model_name(request.model_id, context)):
            read = partial(self._vectors, count=len(body["input"]))
            batch, usage = await self._ask("/embeddings", body, read, context, "embeddings")
            found += batch
            tokens += usage.prompt_tokens if usage else 0
        return EmbeddingsResponse(found, Usage(tokens, 0))

    def _vectors(self, answer: Any, count: int) -> tuple[list[list[float]], Usage | None]:
        batch, usage = vectors(answer, self._server.name)
        if len(batch) != count:
            raise BadBackendAnswerError(f"{self._server.name} answered {len(batch)} vectors for {count} texts")
        return batch, usage

    # --- one exchange ---

    def _chat_body(self, request: ChatCompletionRequest, context: RequestContext, *, stream: bool) -> Body:
        return chat_body(
            request,
            self._model_name(request.model_id, context),
            stream=stream,
            max_tokens=self.config.max_tokens,
            max_tokens_field=self.config.max_tokens_field,
            schema_form=self.config.schema_form,
            repetition_fields=self._service.repetition_fields,
        )

    def _completion_body(self, request: CompletionRequest, context: RequestContext, *, stream: bool) -> Body:
        return completion_body(
            request,
            self._model_name(request.model_id, context),
            stream=stream,
            max_tokens=self.config.max_tokens,
            schema_form=self.config.schema_form,
            repetition_fields=self._service.repetition_fields,
        )

    def _model_name(self, model_id: str, context: RequestContext) -> str:
        return context.resource.provider_resource_id if context.resource is not None else model_id

    async def _ask(
        self, path: str, body: Body, read: Callable[[Any], AnswerT], context: RequestContext, served: str = ""
    ) -> AnswerT:
        """What a request answers, read. `served` is what a server may have no route for, though it has models."""
        try:
            answer = read(
                await self._server.fetch_json("POST", path, body, key=self._key(context), deadline=context.deadline)
            )
        except HitchpostError as error:
            raise self._noticed(error, served) from None
        self._answered()
        return answer

    async def _stream(
        self,
        path: str,
        body: Body,
        read: Callable[[Any], list[EventT]],
        end: Callable[[], list[EventT]],
        context: RequestContext,
        served: str = "",
    ) -> AsyncGenerator[EventT, None]:
        """The events of a stream. `served` as of `_ask`."""
        is_over = False
        try:
            sending = self._server.send(
                "POST", path, body, key=self._key(context), accept="text/event-stream", deadline=context.deadline
            )
            async with sending as answer:
                while not is_over and (events := await answer.next_events()):
                    for event in events:
                        if event.data == b"[DONE]":
                            is_over = True
                            await answer.finish()
                            break
                        for ours in read(self._chunk(event)):
                            yield ours
            for ours in end():
                yield ours
        except HitchpostError as error:
            raise self._noticed(error, served) from None
        self._answered()

    def _chunk(self, event: ServerEvent) -> Any:
        chunk = parse_json(self._server.name, event.data)
        if event.name == "error" or (
            isinstance(chunk, dict) and (chunk.get("error") or chunk.get("object") == "error")
        ):
            error = find_server_error(chunk) or ServerError("an error that it says nothing of")
            raise self._server.refusal(error.likely_status, error)
        return chunk

    def _key(self, context: RequestContext) -> SecretStr | None:
        """What the caller brings, where the config has no key; else None.

        Raises:
            BadRequestError: there is neither, and the service answers nothing without.
        """
        if self.config.api_key is not None:
            return None
        name = self._service.key_name
        own: SecretStr | None = getattr(context.provider_data, name, None)
        if own is None and self._service.needs_key:
            raise BadRequestError(
                f"{self._service.name} needs a key: set api_key of the provider, or send the header "
                f'X-LlamaStack-ProviderData with {{"{name}": ...}}'
            )
        return own

    def _answered(self) -> None:
        if self._is_away:
            self.deps.health_changed()

    def _noticed(self, error: HitchpostError, served: str) -> HitchpostError:
        """The error of a request as callers see it; a server that has gone is looked after at once."""
        if served and isinstance(error, _NoRouteError):
            error = UnsupportedError(f"{self._server.name} at the configured url doesn't serve {served}")
        if isinstance(error, BackendUnavailableError | BadBackendAnswerError) and not self._is_away:
            self._is_away = True
            self.deps.health_changed()
        return self._named(error)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except HitchpostError as error:
            raise self._named(error) from None

    def _named(self, error: HitchpostError) -> HitchpostError:
        error.provider_id = error.provider_id or self.deps.provider_id
        return error


class _NoRouteError(BadBackendAnswerError):
    """The server doesn't know the path."""


def _read_error(status: int, error: ServerError) -> HitchpostError | None:
    """What the status doesn't say: routes that a server lacks are answered by its framework, in the form of an error of its own;
    llama.cpp answers 500 to images for a model that can't see; and another Hitchpost tells by a code what it doesn't support.
    """
    if status == 404 and error.message in ("Not Found", "File Not Found", "404 page not found"):
        return _NoRouteError("the server at the configured url has no such route; correct url (404)")
    if error.code == "unsupported" or (status == 500 and " is not supported" in error.message):
        words = server_words(error.message)
        return UnsupportedError(f"the server at the configured url can't do this: {words}", param=error.param)
    return None


def _as_asked(read: Callable[[Any], list[EventT]], request: CompletionRequest) -> Callable[[Any], list[EventT]]:
    """`read`, with the prompt where it is to be repeated, and else without the stop strings, which a repeated prompt may hold."""
    if request.echo:
        return with_prompt(read, content_text(request.content))
    return without_stops(read, request.sampling_params.stop or ())


def _same_llama_model(asked: str, listed: Mapping[str, Model]) -> Model | None:
    """The listed model that is the Llama model called `asked`, which may be its descriptor or its repository."""
    meant = find_llama_model(asked)
    if meant is None:
        return None
    return next((model for name, model in listed.items() if find_llama_model(name) is meant), None)


__all__ = ["OpenAIInference"]
