"""The base classes of providers: a config, a life cycle, and the methods of the API that it serves."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from hitchpost.api import (
    Agents,
    BankStatistics,
    BatchInference,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionEvent,
    CompletionRequest,
    CompletionResponse,
    CreateAgentRequest,
    CreateAgentResponse,
    CreateSessionRequest,
    CreateSessionResponse,
    CreateTurnRequest,
    DeleteAgentRequest,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    DeleteSessionRequest,
    EmbeddingsRequest,
    EmbeddingsResponse,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    GetSessionRequest,
    GetStepRequest,
    GetStepResponse,
    GetTraceRequest,
    GetTurnRequest,
    Inference,
    InferenceEvent,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    JobRunner,
    ListDocumentsRequest,
    ListDocumentsResponse,
    LogEventRequest,
    Memory,
    MemoryBanks,
    MetricEvent,
    Models,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    RunShieldRequest,
    RunShieldResponse,
    Safety,
    Session,
    Shields,
    StoredDocument,
    StructuredLogEvent,
    Telemetry,
    Trace,
    Turn,
    TurnComplete,
    TurnEvent,
    UnstructuredLogEvent,
)
from hitchpost.errors import BadBackendAnswerError, UnsupportedError
from hitchpost.plugin.collect import collect_chat, collect_completion

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def _own_jobs() -> JobRunner:
    """For a provider that runs without a host, as in its own tests."""
    # Discovery imports this module, and need not pay for asyncio.
    from hitchpost.plugin.jobs import JobBoard

    return JobBoard()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDeps:
    """What the host hands to a provider's factory: one attribute per API that it `needs` or `uses`, else None, and the following."""

    provider_id: str
    state_dir: Path
    """A folder of the provider's own for what it must remember; made when it is first needed, by the provider."""
    log: logging.Logger
    health_changed: Callable[[], None] = lambda: None
    """To be called, in the event loop, when the answer of `health`, or what is served, has changed: the host asks at once, and not seconds later."""
    jobs: JobRunner = field(default_factory=_own_jobs)
    """Runs what takes longer than a request may; callers watch it at `/hitchpost/v1/jobs`."""
    inference: Inference | None = None
    models: Models | None = None
    safety: Safety | None = None
    shields: Shields | None = None
    memory: Memory | None = None
    memory_banks: MemoryBanks | None = None
    agents: Agents | None = None
    telemetry: Telemetry | None = None
    batch_inference: BatchInference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure for `/metrics`. The host adds the labels `api` and `provider_id` and the prefix `hitchpost_provider_`."""

    name: str
    """Snake case, with its unit: `generated_tokens_total`."""
    kind: Literal["counter", "gauge"]
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Provider(Generic[ConfigT]):
    """A configured provider. `__init__` only stores; connections and processes are opened in `start` and closed in `stop`.

    Args:
        config: validated by the type's `config` class.
        deps: what the host hands over.
    """

    def __init__(self, config: ConfigT, deps: ProviderDeps) -> None:
        self.config = config
        self.deps = deps
        self.log = deps.log

    async def start(self) -> None:
        """Get ready to serve. Starting twice is starting once; after a failure it is called again later.

        Raises:
            HitchpostError: why it can't serve; it is tried again in the background unless the error says it is permanent.
        """

    async def stop(self) -> None:
        """Let go of everything that `start` took, also when it took only half of it. Must end by itself."""

    async def health(self) -> None:
        """Returns when the provider can serve, and raises the reason when it can't; the host then shows it as degraded."""

    def metrics(self) -> Iterable[Metric]:
        """Figures that are worth watching, read at each visit of `/metrics`; must not block."""
        return ()

    def _unsupported(self, what: str, param: str | None = None) -> UnsupportedError:
        provider_id = self.deps.provider_id
        return UnsupportedError(f"provider {provider_id} does not serve {what}", param=param, provider_id=provider_id)


class InferenceProvider(Provider[ConfigT]):
    """A provider of the API inference.

    Implement the streams that your backend can do. The whole answers are collected from them, so that the two can't disagree; a provider
    in front of a server may override the whole answer with the server's own.
    Provider hooks (`list_models`, `register_model`, `unregister_model`) are optional coroutine methods.
    """

    async def completion(self, request: CompletionRequest, context: RequestContext) -> CompletionResponse:
        """The whole continuation of a text. See `hitchpost.api.Inference`."""
        async with aclosing(_generator(self.stream_completion(request, context))) as events:
            return await collect_completion(events, request.sampling_params.n)

    async def stream_completion(
        self, request: CompletionRequest, context: RequestContext
    ) -> AsyncIterator[CompletionEvent]:
        """The continuation of a text, event by event. See `hitchpost.api.Inference`."""
        raise self._unsupported("completion", "model")
        yield

    async def chat_completion(self, request: ChatCompletionRequest, context: RequestContext) -> ChatCompletionResponse:
        """The whole answer to a conversation. See `hitchpost.api.Inference`."""
        async with aclosing(_generator(self.stream_chat_completion(request, context))) as events:
            return await collect_chat(events, request.sampling_params.n)

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[InferenceEvent]:
        """The answer to a conversation, event by event. See `hitchpost.api.Inference`."""
        raise self._unsupported("chat completion", "model")
        yield

    async def embeddings(self, request: EmbeddingsRequest, context: RequestContext) -> EmbeddingsResponse:
        """Vectors of texts. See `hitchpost.api.Inference`."""
        raise self._unsupported("embeddings", "model")


class SafetyProvider(Provider[ConfigT]):
    """A provider of the API safety.

    Implement `run_shield`; the shield is `context.resource`. Provider hooks (`list_shields`, `register_shield`, `unregister_shield`) are
    optional coroutine methods.
    """

    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        """Check a conversation. See `hitchpost.api.Safety`."""
        raise self._unsupported("checks of conversations")


class MemoryProvider(Provider[ConfigT]):
    """A provider of the API memory.

    Implement the first two methods, and the others where the type declares the capability `documents`; the memory bank is
    `context.resource`. Provider hooks (`list_memory_banks`, `register_memory_bank`, `unregister_memory_bank`) are optional coroutine
    methods.
    """

    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse | None:
        """Put documents into a bank, with a report for each, or None where all went in. See `hitchpost.api.Memory`."""
        raise self._unsupported("inserting documents")

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Find the chunks that fit a query best. See `hitchpost.api.Memory`."""
        raise self._unsupported("queries")

    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        """A page of a bank's documents. See `hitchpost.api.Memory`."""
        raise self._unsupported("lists of documents")

    async def get_document(self, request: GetDocumentRequest, context: RequestContext) -> StoredDocument:
        """One document with its chunks. See `hitchpost.api.Memory`."""
        raise self._unsupported("reading documents")

    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        """Let documents leave a bank. See `hitchpost.api.Memory`."""
        raise self._unsupported("deleting documents")

    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        """How much a bank holds. See `hitchpost.api.Memory`."""
        raise self._unsupported("statistics of banks")


class AgentsProvider(Provider[ConfigT]):
    """A provider of the API agents. A host has at most one. The whole turn is taken from the stream's last event."""

    async def create_agent(self, request: CreateAgentRequest, context: RequestContext) -> CreateAgentResponse:
        """Keep an agent's configuration. See `hitchpost.api.Agents`."""
        raise self._unsupported("agents")

    async def create_turn(self, request: CreateTurnRequest, context: RequestContext) -> Turn:
        """Run a turn and answer the whole of it. See `hitchpost.api.Agents`."""
        async with aclosing(_generator(self.stream_turn(request, context))) as events:
            async for event in events:
                if type(event) is TurnComplete:
                    return event.turn
        message = f"provider {self.deps.provider_id} ended a turn without completing it"
        raise BadBackendAnswerError(message, provider_id=self.deps.provider_id)

    async def stream_turn(self, request: CreateTurnRequest, context: RequestContext) -> AsyncIterator[TurnEvent]:
        """Run a turn, event by event. See `hitchpost.api.Agents`."""
        raise self._unsupported("turns of agents")
        yield

    async def get_turn(self, request: GetTurnRequest, context: RequestContext) -> Turn:
        """A turn that completed. See `hitchpost.api.Agents`."""
        raise self._unsupported("reading turns")

    async def get_step(self, request: GetStepRequest, context: RequestContext) -> GetStepResponse:
        """A step of a turn that completed. See `hitchpost.api.Agents`."""
        raise self._unsupported("reading steps")

    async def create_session(self, request: CreateSessionRequest, context: RequestContext) -> CreateSessionResponse:
        """Begin a conversation with an agent. See `hitchpost.api.Agents`."""
        raise self._unsupported("sessions")

    async def get_session(self, request: GetSessionRequest, context: RequestContext) -> Session:
        """A conversation with its turns. See `hitchpost.api.Agents`."""
        raise self._unsupported("reading sessions")

    async def delete_session(self, request: DeleteSessionRequest, context: RequestContext) -> None:
        """Forget a conversation with its turns. See `hitchpost.api.Agents`."""
        raise self._unsupported("deleting sessions")

    async def delete_agent(self, request: DeleteAgentRequest, context: RequestContext) -> None:
        """Forget an agent with its conversations. See `hitchpost.api.Agents`."""
        raise self._unsupported("deleting agents")


class TelemetryProvider(Provider[ConfigT]):
    """A provider of the API telemetry. A host has at most one; it also takes the spans of the host's own requests."""

    async def log_event(self, request: LogEventRequest, context: RequestContext) -> None:
        """Keep an event. See `hitchpost.api.Telemetry`."""
        raise self._unsupported("logging events")

    async def get_trace(self, request: GetTraceRequest, context: RequestContext) -> Trace:
        """A trace that is kept. See `hitchpost.api.Telemetry`."""
        raise self._unsupported("reading traces")

    def record(self, event: UnstructuredLogEvent | MetricEvent | StructuredLogEvent) -> None:
        """Take an event of the host's own. See `hitchpost.api.SpanSink`."""
        # Nothing is kept by a provider that doesn't want the host's own spans.


def _generator(events: AsyncIterator[Any]) -> Any:
    """Async generators have `aclose`; a stream that is a plain async iterator gets one that does nothing."""
    if hasattr(events, "aclose"):
        return events
    return (event async for event in events)


__all__ = [
    "AgentsProvider",
    "ConfigT",
    "InferenceProvider",
    "MemoryProvider",
    "Metric",
    "Provider",
    "ProviderDeps",
    "SafetyProvider",
    "TelemetryProvider",
]
