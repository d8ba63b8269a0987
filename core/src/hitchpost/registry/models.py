"""The API models, served from the registry."""

from collections.abc import Callable, Sequence

from hitchpost.api import (
    Capability,
    GetModelRequest,
    Model,
    NoArguments,
    RegisterModelRequest,
    RequestContext,
    UnregisterModelRequest,
)
from hitchpost.errors import BadRequestError, quoted
from hitchpost.llama import find_llama_model
from hitchpost.registry.announce import Announcer
from hitchpost.registry.registry import ResourceRegistry


class RegisteredModels:
    """Implements `hitchpost.api.Models`.

    Args:
        registry: where the models are kept.
        announcer: tells their providers.
        provider_ids: the ids of the inference providers, in the order of the run config.
        check_serving: raises the reason where a provider can't be asked to register now.
    """

    def __init__(
        self,
        registry: ResourceRegistry[Model],
        announcer: Announcer[Model],
        provider_ids: Sequence[str],
        check_serving: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._announcer = announcer
        self._provider_ids = provider_ids
        self._check_serving = check_serving

    async def list_models(self, request: NoArguments, context: RequestContext) -> list[Model]:
        """Every model that a request may name."""
        return [entry.resource for entry in self._registry.entries()]

    async def get_model(self, request: GetModelRequest, context: RequestContext) -> Model | None:
        """One model by its registered identifier, or None."""
        entry = self._registry.find(request.identifier)
        return entry.resource if entry else None

    async def register_model(self, request: RegisterModelRequest, context: RequestContext) -> Model:
        """Announce a model to its provider and, if it accepts, keep it."""
        provider_id = self._owner_of(request)
        self._check_serving(provider_id)
        check_metadata(request)
        return await self._announcer.register(request.resource(provider_id), context)

    async def unregister_model(self, request: UnregisterModelRequest, context: RequestContext) -> None:
        """End a registration that was made through the API."""
        await self._announcer.unregister(request.model_id, context)

    def _owner_of(self, request: RegisterModelRequest) -> str:
        if request.provider_id is not None:
            if request.provider_id not in self._provider_ids:
                message = f"Provider {quoted(request.provider_id, '`')} not found; inference providers: {', '.join(self._provider_ids) or 'none'}"
                raise BadRequestError(message, param="provider_id")
            return request.provider_id
        if len(self._provider_ids) == 1:
            return self._provider_ids[0]
        message = (
            f"no provider was named and several are available ({', '.join(self._provider_ids)}); say which one by provider_id"
            if self._provider_ids
            else "no inference provider is configured"
        )
        raise BadRequestError(message, param="provider_id")


def check_metadata(request: RegisterModelRequest) -> None:
    """Raises BadRequestError where `metadata.llama_model` names no known Llama model, or `metadata.capabilities` no capabilities."""
    metadata = request.metadata or {}
    llama_model = metadata.get("llama_model")
    if llama_model is not None and (not isinstance(llama_model, str) or find_llama_model(llama_model) is None):
        message = f"metadata.llama_model {quoted(llama_model)} is no known Llama model; give the repository id of one, or leave it out"
        raise BadRequestError(message, param="metadata.llama_model")
    capabilities = metadata.get("capabilities") or []
    if not isinstance(capabilities, list) or not all(capability in list(Capability) for capability in capabilities):
        message = f"metadata.capabilities must be a list of some of: {', '.join(Capability)}"
        raise BadRequestError(message, param="metadata.capabilities")


__all__ = ["RegisteredModels", "check_metadata"]
