"""The models of Amazon Bedrock: chat by Converse and ConverseStream, completion and embeddings by InvokeModel.

boto3 blocks, so every call of it runs in a thread of `Workers`; a caller that leaves shuts the socket that its call waits at.
"""

import asyncio
import contextlib
import difflib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol, TypeVar

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
)
from hitchpost.errors import BackendUnavailableError, BadRequestError, HitchpostError, PermissionDeniedError, quoted
from hitchpost.plugin import InferenceProvider, ProviderDeps, collect_chat, collect_completion
from hitchpost_bedrock.aws.clients import AwsClients, Service
from hitchpost_bedrock.aws.credentials import AwsProviderData, Identity
from hitchpost_bedrock.aws.errors import NoAwsCredentialsError
from hitchpost_bedrock.aws.workers import Workers
from hitchpost_bedrock.inference.chat_events import ChatEvents
from hitchpost_bedrock.inference.chat_request import converse_arguments
from hitchpost_bedrock.inference.config import BedrockInferenceConfig, ModelSettings, read_settings
from hitchpost_bedrock.inference.embeddings import Body, EmbeddingFamily, embedding_bodies, get_family, vectors_of
from hitchpost_bedrock.inference.llama_completion import CompletionEvents, invoke_arguments, parsed_chunk
from hitchpost_bedrock.inference.model_list import metadata_of
from hitchpost_bedrock.inference.model_names import base_of, find_among, is_arn, llama_id
from hitchpost_bedrock.inference.sdk_calls import conversed, invoked, invoked_chunks, listed_models

T = TypeVar("T")
ItemT = TypeVar("ItemT")
EventT = TypeVar("EventT")
ItemT_contra = TypeVar("ItemT_contra", contravariant=True)
EventT_co = TypeVar("EventT_co", covariant=True)

CONTROL_THREADS = 4
"""For listing models and making clients, which must not wait behind answers."""
LISTING_KEPT_S = 60.0
EMBEDDINGS_AT_ONCE = 8
"""Calls for the texts of one request."""


class Translator(Protocol[ItemT_contra, EventT_co]):
    """Makes events of ours of what Bedrock tells of one answer."""

    @property
    def is_cut(self) -> bool:
        """Whether the rest of the answer is of no use."""
        ...

    def translate(self, item: ItemT_contra, /) -> Iterator[EventT_co]:
        """What is certain after this item."""
        ...

    def finish(self) -> Iterator[EventT_co]:
        """The end, once there are no more items."""
        ...


class BedrockInference(InferenceProvider[BedrockInferenceConfig]):
    """Serves every model of a region that the credentials may call."""

    def __init__(self, config: BedrockInferenceConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._calls: Workers | None = None
        self._control: Workers | None = None
        self._clients: AwsClients | None = None
        self._listing: tuple[float, list[Model]] | None = None

    async def start(self) -> None:
        """Makes the client of the provider's own credentials. Whether there are any shows at the first call; requests may bring theirs."""
        if self._clients is not None:
            return
        self._calls = Workers(self.config.max_connections)
        self._control = Workers(CONTROL_THREADS)
        self._clients = AwsClients(self.config, self._control)
        with self._named_errors():
            await self._clients.get("bedrock-runtime", None)

    async def stop(self) -> None:
        """Ends all calls and closes all connections."""
        clients, self._clients = self._clients, None
        for workers in (self._calls, self._control):
            if workers is not None:
                await workers.close()
        self._calls = self._control = self._listing = None
        if clients is not None:
            await clients.close()

    # --- models ---

    async def list_models(self) -> Sequence[Model]:
        """The region's models and inference profiles; none where the credentials may not list them."""
        with self._named_errors():
            return await self._served(None) or []

    async def register_model(self, model: Model, context: RequestContext | None) -> Model:
        """Accepts ids, inference profiles and ARNs of Bedrock, and any name of a Llama model that Bedrock has."""
        asked = model.provider_resource_id
        settings = read_settings(model.metadata)
        with self._named_errors():
            if is_arn(asked):
                base = settings.base_model or base_of(asked)
                return model.completed(asked, metadata_of(base, {}))
            served = await self._served(context)
            if served is None:
                # Without the right to list, the first request shows whether there is such a model.
                name = llama_id(asked) or asked
                return model.completed(name, metadata_of(base_of(name), {}))
            by_name = {one.provider_resource_id: one for one in served}
            found = find_among(asked, by_name)
            if found is None:
                raise BadRequestError(_unknown(asked, list(by_name)), param="provider_model_id")
            return model.completed(found, by_name[found].metadata)

    async def _served(self, context: RequestContext | None) -> list[Model] | None:
        """What there is under the caller's credentials, or the provider's own; None where that may not be asked."""
        is_own = self._identity(context) is None
        if is_own and self._listing is not None and self._listing[0] > time.monotonic():
            return self._listing[1]
        client = await self._client("bedrock", context)
        try:
            models = await self._workers(self._control).run(lambda: listed_models(client))
        except PermissionDeniedError:
            self.log.info("these AWS credentials may not list models; register those that you use")
            return None
        except NoAwsCredentialsError:
            self.log.info("there are no AWS credentials to list models with; callers must bring theirs")
            return None
        if is_own:
            self._listing = (time.monotonic() + LISTING_KEPT_S, models)
        return models

    # --- chat ---

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """Answers a conversation by Converse."""
        async with aclosing(self._chat(request, context, streams=False)) as events:
            return await collect_chat(events, 1)

    def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """Answers a conversation by ConverseStream; at once by Converse where the model can't stream."""
        return self._chat(request, context, streams=True)

    async def _chat(
        self, request: ChatCompletionRequest, context: RequestContext, *, streams: bool
    ) -> AsyncGenerator[InferenceEvent, None]:
        model, settings = _asked_model(request.model_id, context)
        streams = streams and settings.streaming
        with self._named_errors():
            arguments = converse_arguments(request, model, settings, settings.guardrail(self.config), streams=streams)
            translator = ChatEvents(only_one_call=request.parallel_tool_calls is False)
            call = partial(conversed, arguments=arguments, streams=streams)
            async with aclosing(self._told(call, translator, context, streams=streams)) as events:
                async for event in events:
                    yield event

    # --- completion ---

    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        """Continues a text by InvokeModel."""
        async with aclosing(self._completion(request, context, streams=False)) as events:
            return await collect_completion(events, 1)

    def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[CompletionEvent]:
        """Continues a text by InvokeModelWithResponseStream; at once by InvokeModel where the model can't stream."""
        return self._completion(request, context, streams=True)

    async def _completion(
        self, request: CompletionRequest, context: RequestContext, *, streams: bool
    ) -> AsyncGenerator[CompletionEvent, None]:
        model, settings = _asked_model(request.model_id, context)
        streams = streams and settings.streaming
        with self._named_errors():
            arguments = invoke_arguments(request, model, settings, settings.guardrail(self.config))
            translator = CompletionEvents(request)
            call = partial(invoked_chunks, arguments=arguments, streams=streams)
            async with aclosing(self._told(call, translator, context, streams=streams)) as events:
                async for event in events:
                    yield event

    async def _told(
        self,
        call: Callable[[Any], Generator[ItemT, None, None]],
        translator: Translator[ItemT, EventT],
        context: RequestContext,
        *,
        streams: bool,
    ) -> AsyncGenerator[EventT, None]:
        """What a call, made with a client of the SDK, answers, translated."""
        client = await self._client("bedrock-runtime", context)
        items = self._workers(self._calls).stream(lambda: call(client), says_nothing_until_done=not streams)
        async with aclosing(items) as told:
            async for item in told:
                for event in translator.translate(item):
                    yield event
                if translator.is_cut:
                    break
        for last in translator.finish():
            yield last

    # --- embeddings ---

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """Turns texts into vectors by InvokeModel, several calls at once where the model takes one text each."""
        model, settings = _asked_model(request.model_id, context)
        with self._named_errors():
            family = get_family(settings.base_model or model)
            bodies = embedding_bodies(request, family, settings)
            client = await self._client("bedrock-runtime", context)
            places = asyncio.Semaphore(EMBEDDINGS_AT_ONCE)
            left = range(len(request.contents), 0, -family.texts_per_call)
            answers = await _all_of(
                [
                    self._embed(client, model, family, body, min(count, family.texts_per_call), places)
                    for body, count in zip(bodies, left, strict=True)
                ]
            )
            counts = [tokens for _, tokens in answers]
            known = [count for count in counts if count is not None]
            usage = Usage(sum(known), 0) if len(known) == len(counts) else None
            return EmbeddingsResponse([vector for vectors, _ in answers for vector in vectors], usage)

    async def _embed(
        self,
        client: Any,
        model: str,
        family: EmbeddingFamily,
        body: Body,
        expected: int,
        places: asyncio.Semaphore,
    ) -> tuple[list[list[float]], int | None]:
        arguments = {
            "modelId": model,
            "contentType": "application/json",
            "accept": "application/json",
            "body": json.dumps(body),
        }
        async with places:
            data, headers = await self._workers(self._calls).run(lambda: invoked(client, arguments))
        answer = parsed_chunk(data)
        tokens = family.tokens(answer)
        if not isinstance(tokens, int):
            text = headers.get("x-amzn-bedrock-input-token-count", "")
            tokens = int(text) if text.isdecimal() else None
        return vectors_of(answer, family, expected), tokens

    # --- the SDK ---

    async def _client(self, service: Service, context: RequestContext | None) -> Any:
        if self._clients is None:
            raise BackendUnavailableError("the provider is not started")
        return await self._clients.get(service, self._identity(context))

    def _identity(self, context: RequestContext | None) -> Identity | None:
        """The credentials that a request brought, where the config has none."""
        data = None if context is None else context.provider_data
        if self.config.names_credentials or not isinstance(data, AwsProviderData):
            return None
        return data.identity()

    def _workers(self, workers: Workers | None) -> Workers:
        if workers is None:
            raise BackendUnavailableError("the provider is not started")
        return workers

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Puts this provider's name to errors of its calls."""
        try:
            yield
        except HitchpostError as error:
            error.provider_id = error.provider_id or self.deps.provider_id
            raise


def _asked_model(model_id: str, context: RequestContext) -> tuple[str, ModelSettings]:
    """Bedrock's name of the model, and what its registration says of it."""
    if not isinstance(context.resource, Model):
        return model_id, ModelSettings()
    return context.resource.provider_resource_id, read_settings(context.resource.metadata)


def _unknown(asked: str, served: Sequence[str]) -> str:
    close = difflib.get_close_matches(asked, served, 5) or list(served[:5])
    there = f"among its {len(served)} models are {', '.join(close)}" if served else "it has none"
    return f"Bedrock has no model {quoted(asked)} in this region; {there}"


async def _all_of(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all; when one fails, the others are cancelled and have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["BedrockInference"]
