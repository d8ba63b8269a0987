"""The API memory: documents are put into banks and found again."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, ConfigDict, Field

from hitchpost.api.content import URL, InterleavedContent
from hitchpost.api.context import RequestContext
from hitchpost.api.routes import route
from hitchpost.api.wire_model import FewEntries, FiniteNumbers, Items, WireModel

DocumentId = Annotated[str, Field(min_length=1, max_length=512)]
TtlSeconds = Annotated[int, Field(ge=1, le=10_000_000_000)]
"""Up to three centuries: every moment that far away can be written down."""

# --- values ---


class MemoryBankDocument(WireModel):
    """A document. A text that begins with `http://`, `https://`, `file://` or `data:` stands for what is found there."""

    document_id: DocumentId
    content: InterleavedContent | URL
    mime_type: str | None = None
    metadata: Annotated[dict[str, Any], FewEntries, FiniteNumbers] = Field(default_factory=dict)


class QueryMode(StrEnum):
    """How a vector bank looks for chunks."""

    vector = "vector"
    """By the vectors' likeness."""
    keyword = "keyword"
    """By the words."""
    hybrid = "hybrid"
    """By both, the two rankings fused by reciprocal rank (Cormack, Clarke and Buettcher, SIGIR 2009)."""


FilterValue = str | int | float | bool | None
MAX_FILTER_KEYS = 100
FilterValues = Annotated[list[FilterValue], Field(fail_fast=True, max_length=1000)]


class QueryParams(WireModel):
    """How a query chooses its chunks; further keys are the provider's own."""

    model_config = ConfigDict(extra="allow")

    max_chunks: Annotated[int, Field(ge=1, le=10_000)] = 3
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """Chunks with a lower score are left out."""
    mode: QueryMode | None = None
    """For vector banks. Absent: `vector`."""
    filter: Annotated[dict[str, FilterValue | FilterValues], Field(max_length=MAX_FILTER_KEYS), FewEntries] | None = (
        None
    )
    """Only documents whose metadata have, for each of these keys, this value or one of this list. See `metadata_fits`."""


class Chunk(WireModel):
    """A piece of a document. The native surface leaves out what is optional here, since the clients of its time don't know it."""

    content: InterleavedContent
    token_count: int
    document_id: str
    position: int | None = None
    """Its place in the document, from 0."""
    metadata: dict[str, Any] | None = None
    """That of its document."""


class DocumentReport(WireModel):
    """What became of one document of an insertion."""

    document_id: str
    chunk_count: int | None = None
    """Chunks that went in; None where the provider doesn't count them."""
    error: str | None = None
    """Why the document did not go in; what the bank had under its id is still there."""


class DocumentInfo(WireModel):
    """A document in a bank."""

    document_id: str
    mime_type: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    chunk_count: int
    token_count: int
    inserted_at: datetime
    expires_at: datetime | None = None


class StoredDocument(DocumentInfo):
    """A document in a bank, with its chunks in their order."""

    chunks: list[Chunk]


class BankStatistics(WireModel):
    """How much a bank holds."""

    document_count: int
    chunk_count: int
    token_count: int
    size_bytes: int | None = None
    """What it takes where it is kept; None where that isn't known."""


# --- requests ---


class InsertDocumentsRequest(WireModel):
    """Put documents into a bank; one whose id is there already replaces it."""

    bank_id: str
    documents: Items[MemoryBankDocument]
    ttl_seconds: TtlSeconds | None = None
    """After how many seconds they vanish; absent: never."""


class QueryDocumentsRequest(WireModel):
    """Find what fits a query."""

    bank_id: str
    query: InterleavedContent
    params: Annotated[QueryParams, BeforeValidator(lambda value: {} if value is None else value)] = Field(
        default_factory=QueryParams
    )


class ListDocumentsRequest(WireModel):
    """A page of a bank's documents, in the order of their ids."""

    bank_id: str
    after: str | None = None
    """The id after which the page begins; absent: the first page."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class GetDocumentRequest(WireModel):
    """One document of a bank."""

    bank_id: str
    document_id: str


class DeleteDocumentsRequest(WireModel):
    """Documents that are to leave a bank."""

    bank_id: str
    document_ids: Items[str]


class GetBankStatisticsRequest(WireModel):
    """How much a bank holds."""

    bank_id: str


# --- responses ---


class InsertDocumentsResponse(WireModel):
    """What became of each document, in the order of the request."""

    documents: list[DocumentReport]

    @property
    def failed(self) -> list[DocumentReport]:
        """Those that did not go in."""
        return [report for report in self.documents if report.error is not None]


class ListDocumentsResponse(WireModel):
    """A page of documents."""

    data: list[DocumentInfo]
    has_more: bool
    """Whether there are documents after the last of these."""


class DeleteDocumentsResponse(WireModel):
    """The ids of the documents that were there, and are no more."""

    deleted: list[str]


class QueryDocumentsResponse(WireModel):
    """Chunks and their scores, side by side, best first; a higher score is better."""

    chunks: list[Chunk] = Field(default_factory=list)
    scores: list[float] = Field(default_factory=list)


# --- protocol ---


class Memory(Protocol):
    """What a memory provider, and the router in front of all of them, answers."""

    @route("POST", "/memory/insert", InsertDocumentsRequest)
    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse | None:
        """Put documents into a bank; they can be found when this returns. None: all of them went in.

        One document that can't be read is a report with its error, and the others go in. An error is raised for what concerns all of them.
        """
        ...

    @route("POST", "/memory/query", QueryDocumentsRequest)
    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Find the chunks that fit a query best."""
        ...

    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        """A page of a bank's documents."""
        ...

    async def get_document(self, request: GetDocumentRequest, context: RequestContext) -> StoredDocument:
        """One document with its chunks; NotFoundError where there is none."""
        ...

    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        """Let documents leave a bank, for good; ids that aren't there are passed over."""
        ...

    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        """How much a bank holds."""
        ...


# --- functions ---


def metadata_fits(metadata: Mapping[str, Any], wanted: Mapping[str, FilterValue | list[FilterValue]]) -> bool:
    """Whether a document with this metadata is one that `QueryParams.filter` asks for.

    Values are compared as JSON does: 1 is 1.0, but neither `true` nor `"1"`. `null` stands for a key that is not there, too.
    """
    return all(
        any(_is_same(metadata.get(key), value) for value in (values if isinstance(values, list) else [values]))
        for key, values in wanted.items()
    )


def _is_same(kept: Any, wanted: FilterValue) -> bool:
    return isinstance(kept, bool) is isinstance(wanted, bool) and bool(kept == wanted)


__all__ = [
    "BankStatistics",
    "Chunk",
    "DeleteDocumentsRequest",
    "DeleteDocumentsResponse",
    "DocumentInfo",
    "DocumentReport",
    "GetBankStatisticsRequest",
    "GetDocumentRequest",
    "InsertDocumentsRequest",
    "InsertDocumentsResponse",
    "ListDocumentsRequest",
    "ListDocumentsResponse",
    "Memory",
    "MemoryBankDocument",
    "QueryDocumentsRequest",
    "QueryDocumentsResponse",
    "QueryMode",
    "QueryParams",
    "StoredDocument",
    "metadata_fits",
]
