"""The route table of `/hitchpost/v1`, with what the OpenAPI document says of each route."""

from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from hitchpost.api import (
    BankStatistics,
    DeleteDocumentsResponse,
    InsertDocumentsResponse,
    Job,
    ListDocumentsResponse,
    QueryDocumentsResponse,
    StoredDocument,
)
from hitchpost.host.own import memory
from hitchpost.host.own.jobs import JobList, cancel_job, get_job, list_jobs
from hitchpost.host.own.providers import ProviderList, list_providers


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """A route and the types of its answer and its request: of the body, or of the query where the verb has no body."""

    verb: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Handler
    answer: Any
    request: type[BaseModel] | None = None
    accepted: Any = None
    """Type of the answer with 202, where the work may go on in the background."""


# Names of banks and documents may hold any character; a slash comes as %2F.
BANK = "/hitchpost/v1/memory-banks/{bank_id:[^/]+}"
DOCUMENTS = f"{BANK}/documents"
DOCUMENT = f"{DOCUMENTS}/{{document_id:[^/]+}}"

OWN_ROUTES = (
    OwnRoute("GET", "/hitchpost/v1/providers", list_providers, ProviderList),
    OwnRoute("GET", "/hitchpost/v1/jobs", list_jobs, JobList),
    OwnRoute("GET", "/hitchpost/v1/jobs/{job_id}", get_job, Job),
    OwnRoute("POST", "/hitchpost/v1/jobs/{job_id}/cancel", cancel_job, Job),
    OwnRoute("POST", DOCUMENTS, memory.insert_documents, InsertDocumentsResponse, memory.Insertion, accepted=Job),
    OwnRoute("GET", DOCUMENTS, memory.list_documents, ListDocumentsResponse, memory.Page),
    OwnRoute("GET", DOCUMENT, memory.get_document, StoredDocument),
    OwnRoute("DELETE", DOCUMENT, memory.delete_document, DeleteDocumentsResponse),
    OwnRoute("POST", f"{DOCUMENTS}/delete", memory.delete_documents, DeleteDocumentsResponse, memory.Deletion),
    OwnRoute("POST", f"{BANK}/query", memory.query_documents, QueryDocumentsResponse, memory.Query),
    OwnRoute("GET", f"{BANK}/statistics", memory.get_bank_statistics, BankStatistics),
)


def own_routes() -> list[web.RouteDef]:
    """The routes as aiohttp takes them."""
    return [web.route(route.verb, route.path, route.handler) for route in OWN_ROUTES]


__all__ = ["OWN_ROUTES", "OwnRoute", "own_routes"]
