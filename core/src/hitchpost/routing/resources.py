"""The routers of safety and memory: a request goes to the provider that owns the shield or bank which it names."""

from collections.abc import Mapping
from typing import Any, Generic

from hitchpost.api import (
    Capability,
    InsertDocumentsRequest,
    MemoryBank,
    QueryDocumentsRequest,
    QueryDocumentsResponse,
    RequestContext,
    RunShieldRequest,
    RunShieldResponse,
    Shield,
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
        async with gate.admit(operation, context, resource) as admitted:
            return await gate.answer(operation, request, admitted)


class SafetyRouter(ResourceRouter[Shield]):
    """Implements `hitchpost.api.Safety`."""

    async def run_shield(self, request: RunShieldRequest, context: RequestContext) -> RunShieldResponse:
        """Check a conversation by one shield."""
        gate, shield = self._route(request.shield_id)
        answer: RunShieldResponse = await self._answer(gate, shield, "run_shield", request, context)
        return answer


class MemoryRouter(ResourceRouter[MemoryBank]):
    """Implements `hitchpost.api.Memory`. An insertion runs to its end though the caller left."""

    def __init__(self, resources: Resolver[MemoryBank], gates: Mapping[str, ProviderGate]) -> None:
        super().__init__(resources, gates)
        self._insertions = OwnedTasks()

    async def insert_documents(self, request: InsertDocumentsRequest, context: RequestContext) -> None:
        """Put documents into a bank; they can be found when this returns."""
        gate, bank = self._route(request.bank_id)
        check_bank_type(bank, gate)
        work = self._answer(gate, bank, "insert_documents", request, context)
        await self._insertions.run_to_end(work)

    async def query_documents(self, request: QueryDocumentsRequest, context: RequestContext) -> QueryDocumentsResponse:
        """Find the chunks that fit a query best."""
        gate, bank = self._route(request.bank_id)
        check_bank_type(bank, gate)
        answer: QueryDocumentsResponse = await self._answer(gate, bank, "query_documents", request, context)
        return answer

    async def close(self, timeout_s: float) -> None:
        """Wait for insertions that are under way; what takes longer is given up."""
        await self._insertions.close(timeout_s)


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
    raise UnsupportedError(message, param="params.memory_bank_type", provider_id=gate.provider_id)


__all__ = ["MemoryRouter", "ResourceRouter", "SafetyRouter", "check_bank_type"]
