"""Banks as collections: what properties they have, and how a bank is found again from its collection.

A collection holds two kinds of objects. A *record* says of one document what the bank has under its id: its metadata, when it expires, and its
revision. *Chunks* carry the text, the vector and the revision that they are of; only those of the revision that the record names count.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from weaviate.classes.config import Configure, DataType, Property, StopwordsPreset, Tokenization, VectorDistances
from weaviate.exceptions import UnexpectedStatusCodeError

from hitchpost.api import AnyMemoryBank, KeyValueMemoryBank, KeywordMemoryBank, MemoryBank, VectorMemoryBank
from hitchpost.errors import ConflictError, quoted
from hitchpost_weaviate.connection import Connection
from hitchpost_weaviate.names import collection_name

BANK_TYPES = ("vector", "keyvalue", "keyword")


class BankDescription(BaseModel):
    """What the description of a collection says of its bank, as JSON."""

    model_config = ConfigDict(extra="ignore")

    hitchpost: Literal[1] = 1
    """Version of this form, and the mark of collections that are ours."""
    bank_id: str
    memory_bank_type: Literal["vector", "keyvalue", "keyword"]
    embedding_model: str | None = None
    embedding_dimension: int | None = None
    chunk_size_in_tokens: int | None = None
    overlap_size_in_tokens: int | None = None
    has_tenants: bool = False

    def bank(self) -> AnyMemoryBank:
        """The bank as a provider lists it."""
        if self.memory_bank_type == "vector":
            return VectorMemoryBank(
                provider_resource_id=self.bank_id,
                embedding_model=self.embedding_model or "",
                chunk_size_in_tokens=self.chunk_size_in_tokens or 512,
                overlap_size_in_tokens=self.overlap_size_in_tokens,
            )
        kind = KeywordMemoryBank if self.memory_bank_type == "keyword" else KeyValueMemoryBank
        return kind(provider_resource_id=self.bank_id)


class BankCollections:
    """The banks of one server.

    Args:
        connection: to the server.
        prefix: what names of collections begin with.
        tenant: whose documents are kept and found; None without multi-tenancy.
    """

    def __init__(self, connection: Connection, prefix: str, tenant: str | None) -> None:
        self._connection = connection
        self._collections = connection.client.collections
        self._prefix = prefix
        self._tenant = tenant

    def name_of(self, bank: MemoryBank) -> str:
        """The name of a bank's collection."""
        return collection_name(self._prefix, bank.provider_resource_id)

    async def find(self, bank: MemoryBank) -> BankDescription | None:
        """What is there for a bank; None where there is nothing.

        Raises:
            ConflictError: what is there was not made by this provider, or not in this way.
        """
        name = self.name_of(bank)
        collection = self._collections.use(name)
        config = await self._connection.read(_config_or_none, collection)
        if config is None:
            return None
        description = _parse(config.description)
        if description is None or description.bank_id != bank.provider_resource_id:
            raise ConflictError(f"Weaviate has a collection {name} that is no memory bank; rename it")
        if description.has_tenants != (self._tenant is not None):
            state = "with" if description.has_tenants else "without"
            raise ConflictError(
                f"the memory bank {quoted(description.bank_id)} was made {state} multi-tenancy; "
                "set tenant of the provider accordingly, or another collection_prefix"
            )
        if self._tenant and not await self._connection.read(collection.tenants.exists, self._tenant):
            return None
        return description

    async def make(self, description: BankDescription) -> BankDescription:
        """Make a bank's collection, and its tenant; one that another host made at the same moment is taken as it is."""
        name = collection_name(self._prefix, description.bank_id)
        description = description.model_copy(update={"has_tenants": self._tenant is not None})
        if not await self._connection.read(self._collections.exists, name):
            await self._connection.write(_created, self._collections, name, description)
        if self._tenant:
            await self._connection.write(_with_tenant, self._collections.use(name), self._tenant)
        return description

    async def drop(self, bank: MemoryBank) -> None:
        """Remove a bank with its documents; of one with tenants only this one's."""
        name = self.name_of(bank)
        if self._tenant is None:
            await self._connection.write(self._collections.delete, name)
        elif await self._connection.read(self._collections.exists, name):
            await self._connection.write(self._collections.use(name).tenants.remove, [self._tenant])

    async def banks(self) -> list[AnyMemoryBank]:
        """The banks that were made here, by any host with the same prefix, and for this tenant."""
        found = []
        for name, config in (await self._connection.read(self._collections.list_all, simple=True)).items():
            description = _parse(config.description)
            if description is None or name != collection_name(self._prefix, description.bank_id):
                continue
            if description.has_tenants != (self._tenant is not None):
                continue
            tenants = self._collections.use(name).tenants
            if self._tenant is None or await self._connection.read(tenants.exists, self._tenant):
                found.append(description.bank())
        return found

    def use(self, bank: MemoryBank) -> Any:
        """The client's handle of a bank's collection."""
        collection = self._collections.use(self.name_of(bank))
        return collection if self._tenant is None else collection.with_tenant(self._tenant)


async def _config_or_none(collection: Any) -> Any:
    try:
        return await collection.config.get(simple=True)
    except UnexpectedStatusCodeError as error:
        if error.status_code == 404:
            return None
        raise


async def _created(collections: Any, name: str, description: BankDescription) -> None:
    try:
        await collections.create(
            name,
            description=description.model_dump_json(exclude_none=True),
            properties=_properties(description.memory_bank_type),
            # Said also where there are no vectors: else the server's default module would send the texts to a service for some.
            vector_config=Configure.Vectors.self_provided(
                vector_index_config=Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE)
            ),
            # English ones are no good for other languages, and a query of nothing else would be an error.
            inverted_index_config=Configure.inverted_index(stopwords_preset=StopwordsPreset.NONE),
            multi_tenancy_config=Configure.multi_tenancy(enabled=True) if description.has_tenants else None,
        )
    except UnexpectedStatusCodeError as error:
        if error.status_code != 422 or "already exists" not in error.message:
            raise


async def _with_tenant(collection: Any, tenant: str) -> None:
    if not await collection.tenants.exists(tenant):
        await collection.tenants.create([tenant])


def _properties(bank_type: str) -> list[Property]:
    def exact(name: str) -> Property:
        return Property(
            name=name,
            data_type=DataType.TEXT,
            tokenization=Tokenization.FIELD,
            index_filterable=True,
            index_searchable=False,
        )

    def unsearched(name: str, data_type: DataType) -> Property:
        searchable = False if data_type is DataType.TEXT else None
        return Property(name=name, data_type=data_type, index_filterable=False, index_searchable=searchable)

    def ranged(name: str) -> Property:
        return Property(name=name, data_type=DataType.NUMBER, index_filterable=True, index_range_filters=True)

    return [
        exact("kind"),
        exact("document_id"),
        exact("document_key"),
        exact("revision"),
        Property(
            name="text",
            data_type=DataType.TEXT,
            tokenization=Tokenization.WORD,
            index_filterable=False,
            index_searchable=bank_type != "keyvalue",
        ),
        Property(name="position", data_type=DataType.INT, index_filterable=True),
        Property(name="token_count", data_type=DataType.INT, index_filterable=True),
        Property(name="chunk_count", data_type=DataType.INT, index_filterable=True),
        Property(
            name="metadata_terms",
            data_type=DataType.TEXT_ARRAY,
            tokenization=Tokenization.FIELD,
            index_filterable=True,
            index_searchable=False,
        ),
        unsearched("metadata", DataType.TEXT),
        exact("mime_type"),
        ranged("inserted_at"),
        ranged("expires_at"),
    ]


def _parse(text: str | None) -> BankDescription | None:
    if not text or not text.startswith("{"):
        return None
    try:
        return BankDescription.model_validate_json(text)
    except ValidationError:
        return None


__all__ = ["BANK_TYPES", "BankCollections", "BankDescription"]
