"""The API memory: documents are put into banks and found again."""

from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, ConfigDict, Field

from hitchpost.api.content import URL, InterleavedContent
from hitchpost.api.context import RequestContext
from hitchpost.api.routes import route
from hitchpost.api.wire_model import FewEntries, Items, WireModel

# --- values ---


class MemoryBankDocument(WireModel):
    """A document. A text that begins with `http://`, `https://`, `file://` or `data:` stands for what is found there."""

    document_id: Annotated[str, Field(min_length=1, max_length=512)]
    content: InterleavedContent | URL
    mime_type: str | None = None
    metadata: Annotated[dict[str, Any], FewEntries] = Field(default_factory=dict)


class QueryParams(WireModel):
    """How a query chooses its chunks; further keys are the provider's own."""

    model_config = ConfigDict(extra="allow")

    max_chunks: Annotated[int, Field(ge=1, le=10_000)] = 3
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """Chunks with a lower score are left out."""


class Chunk(WireModel):
    """A piece of a document."""

    content: InterleavedContent
    token_count: int
    document_id: str


# --- requests ---


class InsertDocumentsRequest(WireModel):
    """Put documents into a bank; one whose id is there already replaces it."""

    bank_id: str
    documents: Items[MemoryBankDocument]
    ttl_seconds: Annotated[int, Field(ge=1)] | None = None
    """After how many seconds they vanish; absent: never."""


class QueryDocumentsRequest(WireModel):
    """Find what fits a query."""

    bank_id: str
    query: InterleavedContent
    params: Annotated[QueryParams, BeforeValidator(lambda value: {} if value is None else value)] = Field(
        default_factory=QueryParams
    )


# --- responses ---


class QueryDocumentsResponse(WireModel):
    """Chunks and their scores, side by side, best first; a higher score is better."""

    chunks: list[Chunk] = Field(default_factory=list)
    scores: list[float] = Field(default_factory=list)


# --- protocol ---


class Memory(Protocol):
    """What a memory provider, and the router in front of all of them, answers."""

    @route("POST", "/memory/insert", InsertDocumentsRequest)
    async def insert_documents(self, request: InsertDocumentsRequest, context: RequestContext) -> None:
        """Put documents into a bank; they can be found when this returns."""
        ...

    @route("POST", "/memory/query", QueryDocumentsRequest)
    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Find the chunks that fit a query best."""
        ...


__all__ = [
    "Chunk",
    "InsertDocumentsRequest",
    "Memory",
    "MemoryBankDocument",
    "QueryDocumentsRequest",
    "QueryDocumentsResponse",
    "QueryParams",
]
