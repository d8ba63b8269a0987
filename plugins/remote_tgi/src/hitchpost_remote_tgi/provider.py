"""Models behind text-generation-inference. What is asked on which wire: `wires`; how answers become events: `generate_events`, `chat_events`."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from hitchpost.api import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionEvent,
    CompletionRequest,
    CompletionResponse,
    InferenceEvent,
    LogProbConfig,
    Model,
    RequestContext,
    TextDelta,
    content_text,
)
from hitchpost.errors import BackendUnavailableError, BadRequestError, NotFoundError, quoted
from hitchpost.llama import LlamaFamily, find_llama_model
from hitchpost.plugin import InferenceProvider, ProviderDeps, collect_chat, collect_completion
from hitchpost.remote import Answer, RemoteConfig, RemoteServer
from hitchpost_remote_tgi.backends import Backend, EndpointBackend, OwnServer, Serverless
from hitchpost_remote_tgi.call import AnswerEvents, Call
from hitchpost_remote_tgi.chat_events import ChatEvents
from hitchpost_remote_tgi.config import EndpointConfig, ServerlessConfig, TgiConfig
from hitchpost_remote_tgi.generate_events import GenerateEvents
from hitchpost_remote_tgi.generate_request import completion_call, offered_tools
from hitchpost_remote_tgi.refusals import ContextExceededError
from hitchpost_remote_tgi.server_info import ServerInfo
from hitchpost_remote_tgi.wires import conversation_call


def own_server(config: TgiConfig, deps: ProviderDeps) -> "TgiInference":
    """A provider of the type `remote::tgi`."""
    return TgiInference(config, deps, OwnServer(config))


def serverless(config: ServerlessConfig, deps: ProviderDeps) -> "TgiInference":
    """A provider of the type `remote::hf::serverless`."""
    return TgiInference(config, deps, Serverless(config))


def endpoint(config: EndpointConfig, deps: ProviderDeps) -> "TgiInference":
    """A provider of the type `remote::hf::endpoint`."""
    return TgiInference(config, deps, EndpointBackend(config, deps))


class TgiInference(InferenceProvider[RemoteConfig]):
    """Serves the one model of a server.

    Args:
        config: of any of the provider types.
        deps: what the host hands over.
        backend: where the model is asked.
    """

    def __init__(self, config: RemoteConfig, deps: ProviderDeps, backend: Backend) -> None:
        super().__init__(config, deps)
        self._backend = backend
        self._info: ServerInfo | None = None

    async def start(self) -> None:
        """Opens the connections, and learns what is served where the server is awake."""
        self._info = await self._backend.start()

    async def stop(self) -> None:
        """Closes the connections."""
        await self._backend.stop()

    async def health(self) -> None:
        """Raises the reason when the model can't be asked now."""
        await self._backend.check()

    # --- models ---

    async def list_models(self) -> Sequence[Model]:
        """The model that the server serves now."""
        self._info = await self._backend.info()
        if self._info is None:
            return []
        return [Model(provider_resource_id=self._info.model_id, metadata=self._info.metadata())]

    async def register_model(self, model: Model, context: RequestContext | None) -> Model:
        """Accepts the model that the server serves, by its name or, for a Llama model, by any name of it."""
        info = self._known_info()
        asked = model.provider_resource_id
        if asked != info.model_id and (info.llama is None or find_llama_model(asked) != info.llama):
            raise BadRequestError(
                f"provider {self.deps.provider_id} serves only {quoted(info.model_id)}, not {quoted(asked)}",
                param="provider_model_id",
            )
        return model.copy_with(provider_resource_id=info.model_id, metadata={**info.metadata(), **model.metadata})

    def _known_info(self) -> ServerInfo:
        if self._info is None:
            raise BackendUnavailableError(f"provider {self.deps.provider_id} does not know yet what its server serves")
        return self._info

    # --- requests ---

    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        """Continues a text by one whole answer of the server."""
        async with aclosing(self._completion(request, context, stream=False)) as events:
            return await collect_completion(events, 1)

    def stream_completion(self, request: CompletionRequest, context: RequestContext) -> AsyncIterator[CompletionEvent]:
        """Continues a text, token by token."""
        return self._completion(request, context, stream=True)

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """Answers a conversation by one whole answer of the server."""
        async with aclosing(self._chat(request, context, stream=False)) as events:
            return await collect_chat(events, 1)

    def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """Answers a conversation, token by token."""
        return self._chat(request, context, stream=True)

    async def _completion(
        self, request: CompletionRequest, context: RequestContext, *, stream: bool
    ) -> AsyncGenerator[Any, None]:
        info = await self._info_for(context)
        call = completion_call(request, _family(info, context), info)
        stops, top = request.sampling_params.stop or (), _top(request.logprobs)
        must_echo = request.echo
        events = self._events(call, lambda: GenerateEvents(stops=stops, top=top), context, stream=stream)
        async with aclosing(events) as answered:
            async for event in answered:
                # Not earlier, so that a request that is refused is refused before its first event.
                if must_echo:
                    yield TextDelta(content_text(request.content))
                    must_echo = False
                yield event

    async def _chat(
        self, request: ChatCompletionRequest, context: RequestContext, *, stream: bool
    ) -> AsyncGenerator[InferenceEvent, None]:
        info = await self._info_for(context)
        call = conversation_call(request, _family(info, context), info, datetime.now(UTC).date())
        stops, top = request.sampling_params.stop or (), _top(request.logprobs)

        def reader() -> AnswerEvents:
            if call.is_chat:
                return ChatEvents(stops=stops, top=top)
            tools = [tool.tool_name for tool in offered_tools(request)]
            only_one_call = request.parallel_tool_calls is False
            return GenerateEvents(stops=stops, tools=tools, top=top, only_one_call=only_one_call)

        async with aclosing(self._events(call, reader, context, stream=stream)) as events:
            async for event in events:
                yield event

    async def _info_for(self, context: RequestContext) -> ServerInfo:
        """What is known of the server, which is awake then.

        Raises:
            NotFoundError: the server serves another model by now; it answers by that one whatever it is asked for.
        """
        await self._backend.server(context.deadline)
        if self._info is None:
            self._info = await self._backend.info()
        info = self._known_info()
        asked = None if context.resource is None else context.resource.provider_resource_id
        if asked not in (None, info.model_id):
            raise NotFoundError(
                f"provider {self.deps.provider_id} serves {quoted(info.model_id)} now, and no longer {quoted(asked)}",
                param="model",
            )
        return info

    async def _events(
        self, call: Call, reader: Callable[[], AnswerEvents], context: RequestContext, *, stream: bool
    ) -> AsyncGenerator[InferenceEvent, None]:
        """The events of an answer; asked once more where nothing has come yet and the reason is known to be gone."""
        has_begun = has_slept = False
        while True:
            since = time.monotonic()
            try:
                server = await self._backend.server(context.deadline)
                async with aclosing(self._ask(server, call, reader(), context, stream=stream)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
                return
            except ContextExceededError as exceeded:
                if has_begun:
                    raise
                call = call.shortened(exceeded)
            except BackendUnavailableError:
                if has_begun or has_slept or not await self._backend.may_try_again(since):
                    raise
                has_slept = True

    async def _ask(
        self, server: RemoteServer, call: Call, reader: AnswerEvents, context: RequestContext, *, stream: bool
    ) -> AsyncGenerator[InferenceEvent, None]:
        body = call.full_body(stream=stream)
        if not call.is_chat and self._backend.asks_root:
            body["stream"] = stream
        accept = "text/event-stream" if stream else "application/json"
        sending = server.send("POST", self._path(call, stream=stream), body, accept=accept, deadline=context.deadline)
        async with sending as answer:
            if not stream:
                for event in reader.whole(await answer.json(), _prompt_tokens(answer)):
                    yield event
                return
            while not reader.is_over and (batch := await answer.next_events()):
                for sent in batch:
                    if not reader.is_over:
                        for event in reader.feed(sent.data):
                            yield event
            if not reader.is_over:
                for event in reader.end():
                    yield event
            if reader.is_whole:
                await answer.finish()

    def _path(self, call: Call, *, stream: bool) -> str:
        if call.is_chat:
            return "/v1/chat/completions"
        if self._backend.asks_root:
            return ""
        return "/generate_stream" if stream else "/generate"


def _family(info: ServerInfo, context: RequestContext) -> LlamaFamily | None:
    """By what the model was registered as, or else by the server's name for it."""
    said = context.resource.metadata.get("llama_model") if isinstance(context.resource, Model) else None
    llama = (find_llama_model(said) if isinstance(said, str) else None) or info.llama
    return None if llama is None else llama.family


def _top(logprobs: LogProbConfig | None) -> int | None:
    return None if logprobs is None else logprobs.top_k or 0


def _prompt_tokens(answer: Answer) -> int | None:
    text = answer.headers.get("x-prompt-tokens", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


__all__ = ["TgiInference", "endpoint", "own_server", "serverless"]
