"""The APIs models, shields and memory_banks, served from the registry by one implementation."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic

from hitchpost.api import (
    Api,
    GetMemoryBankRequest,
    GetModelRequest,
    GetShieldRequest,
    MemoryBank,
    Model,
    NoArguments,
    RegisterMemoryBankRequest,
    RegisterModelRequest,
    RegisterShieldRequest,
    RequestContext,
    Resource,
    Shield,
    UnregisterMemoryBankRequest,
    UnregisterModelRequest,
    UnregisterShieldRequest,
)
from hitchpost.errors import BadRequestError, ConflictError, quoted
from hitchpost.registry.announce import Announcer
from hitchpost.registry.metadata import check_metadata
from hitchpost.registry.registry import ResourceRegistry, ResourceT


class RegisteredResources(Generic[ResourceT]):
    """What the three APIs have in common.

    Args:
        registry: where the resources are kept.
        announcer: tells their providers.
        provider_ids: the ids of the providers that may own them, in the order of the run config.
        check_owner: raises the reason where the owner of a resource can't be asked to register it now.
    """

    api: ClassVar[Api]
    kind: ClassVar[type[Resource]]

    def __init__(
        self,
        registry: ResourceRegistry[ResourceT],
        announcer: Announcer[ResourceT],
        provider_ids: Sequence[str],
        check_owner: Callable[[ResourceT], None],
    ) -> None:
        self._registry = registry
        self._announcer = announcer
        self._provider_ids = provider_ids
        self._check_owner = check_owner

    def _list(self) -> list[ResourceT]:
        return [entry.resource for entry in self._registry.entries()]

    def _find(self, identifier: str) -> ResourceT | None:
        entry = self._registry.find(identifier)
        return entry.resource if entry else None

    async def _register(
        self, wanted_provider_id: str | None, make: Callable[[str], ResourceT], context: RequestContext
    ) -> ResourceT:
        resource = make(self._owner_of(wanted_provider_id))
        self._check_owner(resource)
        return await self._announcer.register(resource, context)

    def _owner_of(self, wanted: str | None) -> str:
        api, known = self._registry.kind.served_by.value, ", ".join(self._provider_ids)
        if wanted is not None:
            if wanted not in self._provider_ids:
                message = f"Provider {quoted(wanted, '`')} not found; {api} providers: {known or 'none'}"
                raise BadRequestError(message, param="provider_id")
            return wanted
        if len(self._provider_ids) == 1:
            return self._provider_ids[0]
        message = (
            f"no provider was named and several are available ({known}); say which one by provider_id"
            if self._provider_ids
            else f"no {api} provider is configured"
        )
        raise BadRequestError(message, param="provider_id")


class RegisteredModels(RegisteredResources[Model]):
    """Implements `hitchpost.api.Models`."""

    api = Api.models
    kind = Model

    async def list_models(self, request: NoArguments, context: RequestContext) -> list[Model]:
        """Every model that a request may name, embedding models last: many clients take the first model of the list to talk to."""
        return sorted(self._list(), key=lambda model: model.metadata.get("model_type") == "embedding")

    async def get_model(self, request: GetModelRequest, context: RequestContext) -> Model | None:
        """One model by its registered identifier, or None."""
        return self._find(request.identifier)

    async def register_model(self, request: RegisterModelRequest, context: RequestContext) -> Model:
        """Announce a model to its provider and, if it accepts, keep it."""
        check_metadata(request)
        return await self._register(request.provider_id, request.resource, context)

    async def unregister_model(self, request: UnregisterModelRequest, context: RequestContext) -> None:
        """End a registration that was made through the API."""
        await self._announcer.unregister(request.model_id, context)


class RegisteredShields(RegisteredResources[Shield]):
    """Implements `hitchpost.api.Shields`."""

    api = Api.shields
    kind = Shield

    async def list_shields(self, request: NoArguments, context: RequestContext) -> list[Shield]:
        """Every shield that a request may name."""
        return self._list()

    async def get_shield(self, request: GetShieldRequest, context: RequestContext) -> Shield | None:
        """One shield by its registered identifier, or None."""
        return self._find(request.identifier)

    async def register_shield(self, request: RegisterShieldRequest, context: RequestContext) -> Shield:
        """Announce a shield to its provider and, if it accepts, keep it."""
        return await self._register(request.provider_id, request.resource, context)

    async def unregister_shield(self, request: UnregisterShieldRequest, context: RequestContext) -> None:
        """End a registration that was made through the API."""
        await self._announcer.unregister(request.shield_id, context)


class RegisteredMemoryBanks(RegisteredResources[MemoryBank]):
    """Implements `hitchpost.api.MemoryBanks`."""

    api = Api.memory_banks
    kind = MemoryBank

    async def list_memory_banks(self, request: NoArguments, context: RequestContext) -> list[MemoryBank]:
        """Every memory bank that a request may name."""
        return self._list()

    async def get_memory_bank(self, request: GetMemoryBankRequest, context: RequestContext) -> MemoryBank | None:
        """One memory bank by its registered identifier, or None."""
        return self._find(request.memory_bank_id)

    async def register_memory_bank(self, request: RegisterMemoryBankRequest, context: RequestContext) -> MemoryBank:
        """Announce a memory bank to its provider and, if it accepts, keep it.

        Raises:
            ConflictError: the bank is registered already, as one of another type.
        """
        bank = await self._register(request.provider_id, request.resource, context)
        kept, wanted = getattr(bank, "memory_bank_type", ""), request.params.memory_bank_type
        if kept != wanted:
            raise ConflictError(
                f"params.memory_bank_type: memory bank {quoted(bank.identifier)} is registered already, as a {kept} bank of provider "
                f"{bank.provider_id}; for a {wanted} bank choose another memory_bank_id, or unregister the {kept} bank first",
                param="params.memory_bank_type",
            )
        return bank

    async def unregister_memory_bank(self, request: UnregisterMemoryBankRequest, context: RequestContext) -> None:
        """End a registration that was made through the API."""
        await self._announcer.unregister(request.memory_bank_id, context)


REGISTRY_APIS: tuple[type[RegisteredResources[Any]], ...] = (RegisteredModels, RegisteredShields, RegisteredMemoryBanks)
"""One implementation per kind of resource."""

__all__ = [
    "REGISTRY_APIS",
    "RegisteredMemoryBanks",
    "RegisteredModels",
    "RegisteredResources",
    "RegisteredShields",
]
