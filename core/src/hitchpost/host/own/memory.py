"""/hitchpost/v1/memory-banks: the documents of a bank, and queries whose answers have all that is known of a chunk."""

from typing import Annotated

from aiohttp import web
from pydantic import BeforeValidator, Field

from hitchpost.api import (
    Api,
    DeleteDocumentsRequest,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    InsertDocumentsRequest,
    InterleavedContent,
    ListDocumentsRequest,
    MemoryBankDocument,
    QueryDocumentsRequest,
    QueryParams,
    WireModel,
)
from hitchpost.api.memory import TtlSeconds
from hitchpost.api.wire_model import Items
from hitchpost.host.body import parse_query
from hitchpost.host.exchange import context_of
from hitchpost.host.json_text import json_response
from hitchpost.host.keys import STACK
from hitchpost.host.openai.handling import read_json
from hitchpost.host.own.insertions import insert_in_batches
from hitchpost.routing import MemoryRouter

# --- requests; the bank stands in the path ---


class Insertion(WireModel):
    """Body of an insertion."""

    documents: Items[MemoryBankDocument]
    ttl_seconds: TtlSeconds | None = None
    """After how many seconds they vanish; absent: never."""
    background: bool = False
    """Answer at once, with a job that tells how far it is."""


class Query(WireModel):
    """Body of a query."""

    query: InterleavedContent
    params: Annotated[QueryParams, BeforeValidator(lambda value: {} if value is None else value)] = Field(
        default_factory=QueryParams
    )


class Page(WireModel):
    """Query of a list."""

    after: str | None = None
    """The id after which the page begins; absent: the first page."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Deletion(WireModel):
    """Body of a deletion."""

    document_ids: Items[str]


# --- handlers ---


async def insert_documents(request: web.Request) -> web.StreamResponse:
    """Put documents into a bank, with a report for each; 202 with a job where it is to go on in the background."""
    body = await read_json(request, Insertion)
    router, bank_id = _asked(request)
    insertion = InsertDocumentsRequest(bank_id=bank_id, documents=body.documents, ttl_seconds=body.ttl_seconds)
    context = context_of(request)
    if not body.background:
        return json_response(await router.insert_documents(insertion, context))
    provider_id = router.get_owner(bank_id)
    job = request.app[STACK].jobs.start_for(
        provider_id,
        "insert_documents",
        bank_id,
        lambda progress: insert_in_batches(router, insertion, context, progress),
    )
    return json_response(job, status=202)


async def query_documents(request: web.Request) -> web.StreamResponse:
    """Find the chunks that fit a query best, with their places in their documents and the metadata of these."""
    body = await read_json(request, Query)
    router, bank_id = _asked(request)
    query = QueryDocumentsRequest(bank_id=bank_id, query=body.query, params=body.params)
    return json_response(await router.query_documents(query, context_of(request)))


async def list_documents(request: web.Request) -> web.StreamResponse:
    """A page of a bank's documents, in the order of their ids."""
    page = parse_query(Page, request.query)
    router, bank_id = _asked(request)
    asked = ListDocumentsRequest(bank_id=bank_id, after=page.after, limit=page.limit)
    return json_response(await router.list_documents(asked, context_of(request)))


async def get_document(request: web.Request) -> web.StreamResponse:
    """One document with its chunks."""
    router, bank_id = _asked(request)
    asked = GetDocumentRequest(bank_id=bank_id, document_id=request.match_info["document_id"])
    return json_response(await router.get_document(asked, context_of(request)))


async def delete_document(request: web.Request) -> web.StreamResponse:
    """Let one document leave a bank, for good."""
    return await _delete(request, [request.match_info["document_id"]])


async def delete_documents(request: web.Request) -> web.StreamResponse:
    """Let documents leave a bank, for good; ids that aren't there are passed over."""
    body = await read_json(request, Deletion)
    return await _delete(request, body.document_ids)


async def get_bank_statistics(request: web.Request) -> web.StreamResponse:
    """How much a bank holds."""
    router, bank_id = _asked(request)
    return json_response(
        await router.get_bank_statistics(GetBankStatisticsRequest(bank_id=bank_id), context_of(request))
    )


async def _delete(request: web.Request, document_ids: list[str]) -> web.StreamResponse:
    router, bank_id = _asked(request)
    asked = DeleteDocumentsRequest(bank_id=bank_id, document_ids=document_ids)
    return json_response(await router.delete_documents(asked, context_of(request)))


def _asked(request: web.Request) -> tuple[MemoryRouter, str]:
    router: MemoryRouter = request.app[STACK].get_router(Api.memory)
    return router, request.match_info["bank_id"]


__all__ = [
    "Deletion",
    "Insertion",
    "Page",
    "Query",
    "delete_document",
    "delete_documents",
    "get_bank_statistics",
    "get_document",
    "insert_documents",
    "list_documents",
    "query_documents",
]
