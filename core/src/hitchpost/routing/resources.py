"""The routers of safety and memory: a request goes to the provider that owns the shield or bank which it names."""

from collections.abc import Mapping
from typing import Any, Generic

from hitchpost.api import (
    BankStatistics,
    Capability,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    DocumentReport,
    GetBankStatisticsRequest,
    GetDocumentRequest,
    InsertDocumentsRequest,
    InsertDocumentsResponse,
    ListDocumentsRequest,
    ListDocumentsResponse,
    MemoryBank,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    RunShieldRequest,
    RunShieldResponse,
    Shield,
    StoredDocument,
)
from hitchpost.errors import UnsupportedError
from hitchpost.registry import OwnedTasks
from hitchpost.registry.registry import ResourceT
from hitchpost.routing.gate import ProviderGate
from hitchpost.routing.resolve import Resolver


class ResourceRouter(Generic[ResourceT]):
    """Finds the owner of a resource and asks it.

    Args:
        resources: finds the resource.
        gates: the providers of the API, by id.
    """

    def __init__(self, resources: Resolver[ResourceT], gates: Mapping[str, ProviderGate]) -> None:
        self._resources = resources
        self._gates = gates

    def _route(self, identifier: str) -> tuple[ProviderGate, ResourceT]:
        resource = self._resources.get(identifier)
        gate = self._gates[resource.provider_id]
        gate.check_serving()
        return gate, resource

    async def _answer(
        self, gate: ProviderGate, resource: ResourceT, operation: str, request: object, context: RequestContext
    ) -> Any:
        return await gate.answer(operation, request, context, resource)


class SafetyRouter(ResourceRouter[Shield]):
    """Implements `hitchpost.api.Safety`."""

    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        """Check a conversation by one shield."""
        gate, shield = self._route(request.shield_id)
        answer: RunShieldResponse = await self._answer(gate, shield, "run_shield", request, context)
        return answer


class MemoryRouter(ResourceRouter[MemoryBank]):
    """Implements `hitchpost.api.Memory`. Insertions and deletions run to their end though the caller left."""

    def __init__(self, resources: Resolver[MemoryBank], gates: Mapping[str, ProviderGate]) -> None:
        super().__init__(resources, gates)
        self._changes = OwnedTasks()

    async def insert_documents(
        self, request: InsertDocumentsRequest, context: RequestContext
    ) -> InsertDocumentsResponse:
        """Put documents into a bank; they can be found when this returns. There is a report for each of them."""
        gate, bank = self._route(request.bank_id)
        check_bank_type(bank, gate)
        work = self._answer(gate, bank, "insert_documents", request, context)
        answer: InsertDocumentsResponse | None = await self._changes.run_to_end(work)
        if answer is not None:
            return answer
        reports = [DocumentReport(document_id=document.document_id) for document in request.documents]
        return InsertDocumentsResponse(documents=reports)

    def get_owner(self, bank_id: str) -> str:
        """The id of the provider that has a bank; where it could take no documents, the errors of an insertion are raised."""
        gate, bank = self._route(bank_id)
        check_bank_type(bank, gate)
        return gate.provider_id

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Find the chunks that fit a query best."""
        gate, bank = self._route(request.bank_id)
        check_bank_type(bank, gate)
        check_query(request, bank, gate)
        answer: QueryDocumentsResponse = await self._answer(gate, bank, "query_documents", request, context)
        return answer

    async def list_documents(self, request: ListDocumentsRequest, context: RequestContext) -> ListDocumentsResponse:
        """A page of a bank's documents."""
        gate, bank = self._route_to_documents(request.bank_id)
        answer: ListDocumentsResponse = await self._answer(gate, bank, "list_documents", request, context)
        return answer

    async def get_document(self, request: GetDocumentRequest, context: RequestContext) -> StoredDocument:
        """One document with its chunks."""
        gate, bank = self._route_to_documents(request.bank_id)
        answer: StoredDocument = await self._answer(gate, bank, "get_document", request, context)
        return answer

    async def delete_documents(
        self, request: DeleteDocumentsRequest, context: RequestContext
    ) -> DeleteDocumentsResponse:
        """Let documents leave a bank, for good."""
        gate, bank = self._route_to_documents(request.bank_id)
        work = self._answer(gate, bank, "delete_documents", request, context)
        answer: DeleteDocumentsResponse = await self._changes.run_to_end(work)
        return answer

    async def get_bank_statistics(self, request: GetBankStatisticsRequest, context: RequestContext) -> BankStatistics:
        """How much a bank holds."""
        gate, bank = self._route_to_documents(request.bank_id)
        answer: BankStatistics = await self._answer(gate, bank, "get_bank_statistics", request, context)
        return answer

    async def close(self, timeout_s: float) -> None:
        """Wait for insertions and deletions that are under way; what takes longer is given up."""
        await self._changes.close(timeout_s)

    def _route_to_documents(self, bank_id: str) -> tuple[ProviderGate, MemoryBank]:
        gate, bank = self._route(bank_id)
        check_bank_type(bank, gate)
        if Capability.documents not in gate.capabilities:
            message = f"bank_id: provider {gate.provider_id} can't list, read, count or delete the documents of a bank"
            raise UnsupportedError(message, param="bank_id", provider_id=gate.provider_id)
        return gate, bank


def check_bank_type(bank: MemoryBank, gate: ProviderGate) -> None:
    """Raises UnsupportedError where the provider has no banks of this type."""
    bank_type: str = getattr(bank, "memory_bank_type", "")
    if f"{bank_type}_bank" in gate.capabilities:
        return
    has = [name.removesuffix("_bank") for name in Capability if name.endswith("_bank") and name in gate.capabilities]
    message = (
        f"memory_bank_type: provider {gate.provider_id} has no banks of type {bank_type!r}; "
        f"it has: {', '.join(has) or 'none'}"
    )
    if bank_type == "graph" and Capability.hybrid_query in gate.capabilities:
        message += "; a vector bank, queried with params.mode hybrid, finds names as well as meaning"
    raise UnsupportedError(message, param="params.memory_bank_type", provider_id=gate.provider_id)


def check_query(request: QueryDocumentsRequest, bank: MemoryBank, gate: ProviderGate) -> None:
    """Raises UnsupportedError where the provider, or the bank by its type, can't be asked in the way that the params say."""
    params = request.params
    bank_type: str = getattr(bank, "memory_bank_type", "")
    if params.filter is not None and Capability.metadata_filter not in gate.capabilities:
        message = f"params.filter: provider {gate.provider_id} can't choose documents by their metadata"
        raise UnsupportedError(message, param="params.filter", provider_id=gate.provider_id)
    if params.mode is None or params.mode == bank_type:
        return
    if bank_type != "vector":
        message = f"params.mode: a {bank_type} bank can't be searched by {params.mode}; a vector bank may be"
        raise UnsupportedError(message, param="params.mode", provider_id=gate.provider_id)
    if Capability.hybrid_query not in gate.capabilities:
        message = (
            f"params.mode: provider {gate.provider_id} searches vector banks by vectors only, not by {params.mode}"
        )
        raise UnsupportedError(message, param="params.mode", provider_id=gate.provider_id)


__all__ = ["MemoryRouter", "ResourceRouter", "SafetyRouter", "check_bank_type"]
