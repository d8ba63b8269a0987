"""Memory banks on a Weaviate server, through weaviate-client 4.23: REST for collections, gRPC for what is in them.

Quirks that shape the code: names of collections (`names`), no transactions (`documents`), errors that only words tell apart (`failures`), start-up
checks that ask the internet, and calls that go on for a minute after gRPC has died (`connection`).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from hitchpost.api import (
    BankStatistics,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    KeyValueMemoryBank,
    KeywordMemoryBank,
    ListDocumentsRequest,
    ListDocumentsResponse,
    MemoryBank,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    QueryMode,
    RequestContext,
    StoredDocument,
    VectorMemoryBank,
    content_items,
    content_text,
)
from hitchpost.errors import (
    BackendUnavailableError,
    ConflictError,
    HitchpostError,
    NotFoundError,
    UnauthenticatedError,
    UnsupportedError,
    quoted,
)
from hitchpost.ingest import BankEmbedder, Ingestor, cut_of
from hitchpost.plugin import MemoryProvider, ProviderDeps
from hitchpost_weaviate.bank_collections import BankCollections, BankDescription
from hitchpost_weaviate.config import WeaviateConfig
from hitchpost_weaviate.connection import Connection, Identity
from hitchpost_weaviate.connections import Connections
from hitchpost_weaviate.documents import Documents
from hitchpost_weaviate.insertion import Insertion
from hitchpost_weaviate.search import Search

ANNOUNCEMENT = RequestContext(request_id="announcement")
"""Of the host, which announces a bank again by itself."""
_BANK_CLASSES = (VectorMemoryBank, KeywordMemoryBank, KeyValueMemoryBank)


@dataclass(frozen=True, slots=True)
class OpenBank:
    """A bank, while a connection to its server is leased."""

    resource: MemoryBank
    banks: BankCollections
    documents: Documents
    search: Search
    is_own: bool
    """Whether it is on the provider's own server, under the provider's own key."""


class WeaviateMemory(MemoryProvider[WeaviateConfig]):
    """Keeps each bank in a collection of its own."""

    def __init__(self, config: WeaviateConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self._connections = Connections(config)
        self._ingestor = Ingestor(config.ingest, deps.log)
        self._banks: dict[str, MemoryBank] = {}
        """By identifier: those that are announced."""
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._last_inserted_at = 0.0
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connects, where there is a server of the provider's own."""
        if self._sweeper is not None:
            return
        self._connections.open()
        try:
            await self.health()
            await self._ingestor.start()
        except BaseException:
            await self._connections.close()
            raise
        self._sweeper = asyncio.create_task(self._sweep_again_and_again())

    async def stop(self) -> None:
        """Closes all connections."""
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.wait({sweeper})
        await self._ingestor.stop()
        await self._connections.close()

    async def health(self) -> None:
        """Raises the reason when the provider's own server doesn't answer by REST and by gRPC."""
        own = self._connections.own_identity()
        if own is None:
            return
        try:
            async with self._named_errors(), self._connections.lease(own) as connection:
                await connection.check()
        except UnauthenticatedError:
            # Callers bring their keys.
            if own.api_key is not None:
                raise

    # --- banks ---

    async def list_memory_banks(self) -> Sequence[MemoryBank]:
        """The banks that the provider's own server has, whoever made them."""
        own = self._connections.own_identity()
        if own is None:
            return []
        try:
            async with self._named_errors(), self._connections.lease(own) as connection:
                return await self._collections(connection).banks()
        except UnauthenticatedError:
            if own.api_key is not None:
                raise
            return []

    async def register_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        """Opens a bank, or makes it where it isn't there yet; without a server of its own or the caller's, the first insertion makes it.

        Raises:
            UnsupportedError: it is a graph bank.
            BadRequestError: its overlap is no less than its chunks, or its model makes no vectors.
            ConflictError: the server has the bank with another type or model.
        """
        self._check(memory_bank)
        identity = self._identity_or_none(context)
        async with self._named_errors():
            if identity is None:
                if isinstance(memory_bank, VectorMemoryBank) and context is not None:
                    await self._embedder(memory_bank).dimension(context)
            else:
                async with self._connections.lease(identity) as connection:
                    await self._open_or_make(self._collections(connection), memory_bank, context, is_announced=True)
        self._banks[memory_bank.identifier] = memory_bank

    async def unregister_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        """Removes a bank with its documents when a caller ends its last registration; what only left the run config stays on the server."""
        self._banks.pop(memory_bank.identifier, None)
        identity = self._identity_or_none(context)
        name = memory_bank.provider_resource_id
        if context is None or identity is None or any(one.provider_resource_id == name for one in self._banks.values()):
            return
        async with self._named_errors(), self._connections.lease(identity) as connection:
            await self._collections(connection).drop(memory_bank)

    # --- documents ---

    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse:
        """Puts documents into a bank, each as a whole or not at all; one that is there already is replaced in one step."""
        async with self._bank(context, request.bank_id, makes_it=True) as bank:
            embedder = self._embedder(bank.resource) if isinstance(bank.resource, VectorMemoryBank) else None
            insertion = Insertion(
                bank.resource, bank.documents, self._ingestor, embedder, context, self._next_inserted_at()
            )
            reports = await insertion.run(request)
            if not bank.is_own:
                await self._sweep(bank.documents)
        return InsertDocumentsResponse(documents=reports)

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Finds the chunks that fit a query best; a bank of the type keyvalue is asked for ids."""
        async with self._bank(context, request.bank_id) as bank:
            if isinstance(bank.resource, KeyValueMemoryBank):
                ids = [item for item in content_items(request.query) if isinstance(item, str)]
                return await bank.search.by_ids(ids, request.params)
            text = content_text(request.query)
            if not isinstance(bank.resource, VectorMemoryBank):
                return await bank.search.by_text(QueryMode.keyword, text, None, request.params)
            mode = request.params.mode or QueryMode.vector
            vector = None
            if mode is not QueryMode.keyword:
                [vector] = await self._embedder(bank.resource).embed([text], context, purpose="query")
            return await bank.search.by_text(mode, text, vector, request.params)

    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        """A page of a bank's documents."""
        async with self._bank(context, request.bank_id) as bank:
            records = await bank.documents.page(request.after, request.limit + 1)
        data = [record.info() for record in records[: request.limit]]
        return ListDocumentsResponse(data=data, has_more=len(records) > request.limit)

    async def get_document(self, request: GetDocumentRequest, context: RequestContext) -> StoredDocument:
        """One document with its chunks."""
        async with self._bank(context, request.bank_id) as bank:
            record = (await bank.documents.records([request.document_id])).get(request.document_id)
            if record is None or not record.is_alive:
                message = f"the memory bank {quoted(request.bank_id)} has no document {quoted(request.document_id)}"
                raise NotFoundError(message, param="document_id")
            chunks = [chunk.of(record) for chunk in await bank.documents.chunks(record)]
        return StoredDocument(**dict(record.info()), chunks=chunks)

    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        """Removes documents from the server."""
        async with self._bank(context, request.bank_id) as bank:
            return DeleteDocumentsResponse(deleted=await bank.documents.delete(request.document_ids))

    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        """How much a bank holds."""
        async with self._bank(context, request.bank_id) as bank:
            return await bank.documents.statistics()

    # --- what these stand on ---

    @asynccontextmanager
    async def _bank(self, context: RequestContext, bank_id: str, *, makes_it: bool = False) -> AsyncIterator[OpenBank]:
        resource = context.resource
        if not isinstance(resource, MemoryBank):
            raise NotFoundError(f"the memory bank {quoted(bank_id)} is not registered", param="bank_id")
        identity = self._connections.identity_for(context.provider_data)
        async with self._noticed_absence(identity), self._connections.lease(identity) as connection:
            banks = self._collections(connection)
            if makes_it:
                # Each time, since a server whose collection is gone would guess one from the first chunk.
                await self._open_or_make(banks, resource, context, is_announced=False)
            try:
                yield self._open(connection, banks, resource)
            except NotFoundError as error:
                if error.param is not None:
                    raise
                message = f"Weaviate has nothing of the memory bank {quoted(bank_id)} for this key; insert documents, or register it anew"
                raise NotFoundError(message, param="bank_id") from error

    def _open(self, connection: Connection, banks: BankCollections, resource: MemoryBank) -> OpenBank:
        collection = banks.use(resource)
        key = (connection.identity.endpoint.url, banks.name_of(resource))
        lock = self._locks.setdefault(key, asyncio.Lock())
        documents = Documents(connection, collection, lock, self.log)
        is_own = connection.identity == self._connections.own_identity()
        return OpenBank(resource, banks, documents, Search(connection, collection, documents), is_own)

    async def _open_or_make(
        self, banks: BankCollections, resource: MemoryBank, context: RequestContext | None, *, is_announced: bool
    ) -> None:
        found = await banks.find(resource)
        dimension = None
        if isinstance(resource, VectorMemoryBank) and (found is None or (is_announced and context is not None)):
            dimension = await self._embedder(resource).dimension(context or ANNOUNCEMENT)
        wanted = _describe(resource, dimension)
        if found is None:
            await banks.make(wanted)
            return
        name = quoted(resource.provider_resource_id)
        if found.memory_bank_type != wanted.memory_bank_type:
            message = f"Weaviate has the bank {name} already, of the type {found.memory_bank_type}"
            raise ConflictError(message, param="params.memory_bank_type")
        same_model = found.embedding_model == wanted.embedding_model
        if not same_model or (dimension is not None and dimension != found.embedding_dimension):
            raise ConflictError(
                f"Weaviate has the bank {name} already, with {found.embedding_dimension} dimensions of the model "
                f"{quoted(found.embedding_model or '')}; unregister it first, which removes its documents, or choose another name",
                param="params.embedding_model",
            )

    def _check(self, bank: MemoryBank) -> None:
        if not isinstance(bank, _BANK_CLASSES):
            raise UnsupportedError(
                f"params.memory_bank_type: {self.deps.provider_id} has no {getattr(bank, 'memory_bank_type', '')} banks; "
                "register a vector bank, and query it with mode hybrid for names as well as meaning",
                param="params.memory_bank_type",
                provider_id=self.deps.provider_id,
            )
        cut_of(bank)  # or it is refused

    def _embedder(self, bank: VectorMemoryBank) -> BankEmbedder:
        return BankEmbedder(self.deps.inference, self.deps.models, bank.embedding_model)

    def _collections(self, connection: Connection) -> BankCollections:
        return BankCollections(connection, self.config.collection_prefix, self.config.tenant)

    def _identity_or_none(self, context: RequestContext | None) -> Identity | None:
        """None where neither the config nor the caller names a server; an insertion then says so."""
        try:
            return self._connections.identity_for(None if context is None else context.provider_data)
        except UnauthenticatedError:
            return None

    def _next_inserted_at(self) -> float:
        # A microsecond is more than two neighbouring floats of this size differ by.
        self._last_inserted_at = max(time.time(), self._last_inserted_at + 1e-6)
        return self._last_inserted_at

    async def _sweep_again_and_again(self) -> None:
        own = self._connections.own_identity()
        while own is not None:
            await asyncio.sleep(self.config.sweep_interval_s)
            for bank in list(self._banks.values()):
                with contextlib.suppress(HitchpostError):
                    # A server that is away is what health says.
                    async with self._connections.lease(own) as connection:
                        await self._sweep(self._open(connection, self._collections(connection), bank).documents)

    async def _sweep(self, documents: Documents) -> None:
        try:
            await documents.sweep()
        except HitchpostError as error:
            self.log.debug("expired documents stay for now: %s", error)

    @asynccontextmanager
    async def _noticed_absence(self, identity: Identity) -> AsyncIterator[None]:
        """Named errors; the host hears at once when the provider's own server is away."""
        try:
            async with self._named_errors():
                yield
        except BackendUnavailableError:
            if identity == self._connections.own_identity():
                self.deps.health_changed()
            raise

    @asynccontextmanager
    async def _named_errors(self) -> AsyncIterator[None]:
        try:
            yield
        except HitchpostError as error:
            error.provider_id = error.provider_id or self.deps.provider_id
            raise


def _describe(bank: MemoryBank, dimension: int | None) -> BankDescription:
    if isinstance(bank, VectorMemoryBank):
        return BankDescription(
            bank_id=bank.provider_resource_id,
            memory_bank_type="vector",
            embedding_model=bank.embedding_model,
            embedding_dimension=dimension,
            chunk_size_in_tokens=bank.chunk_size_in_tokens,
            overlap_size_in_tokens=bank.overlap_size_in_tokens,
        )
    kind = "keyword" if isinstance(bank, KeywordMemoryBank) else "keyvalue"
    return BankDescription(bank_id=bank.provider_resource_id, memory_bank_type=kind)


__all__ = ["OpenBank", "WeaviateMemory"]
