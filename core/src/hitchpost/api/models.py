"""The API models: the registry of what can be asked for inference."""

from typing import Annotated, Protocol

from pydantic import AliasChoices, Field

from hitchpost.api.context import RequestContext
from hitchpost.api.resources import Model
from hitchpost.api.routes import NoArguments, route
from hitchpost.api.wire_model import Identifier, Metadata, WireModel

# --- requests ---


class RegisterModelRequest(WireModel):
    """Names a model of a provider; entries under `models` of a run config have the same form."""

    model_id: Identifier
    provider_model_id: Identifier | None = None
    """The provider's name for it; absent: `model_id`."""
    provider_id: str | None = None
    """May be left out while one provider serves inference."""
    metadata: Metadata | None = None

    def resource(self, provider_id: str) -> Model:
        """The model as it is to be owned by `provider_id`."""
        return Model(
            identifier=self.model_id,
            provider_resource_id=self.provider_model_id or self.model_id,
            provider_id=provider_id,
            metadata=self.metadata or {},
        )


class GetModelRequest(WireModel):
    """`model_id` is accepted in place of `identifier`."""

    identifier: Annotated[str, Field(validation_alias=AliasChoices("identifier", "model_id"))]


class UnregisterModelRequest(WireModel):
    """Names the registration that is to end."""

    model_id: str


# --- protocol ---


class Models(Protocol):
    """The registered models."""

    @route("GET", "/models/list", NoArguments)
    async def list_models(self, request: NoArguments, context: RequestContext) -> list[Model]:
        """Every model that a request may name."""
        ...

    @route("GET", "/models/get", GetModelRequest)
    async def get_model(self, request: GetModelRequest, context: RequestContext) -> Model | None:
        """One model, or None where there is no such model."""
        ...

    @route("POST", "/models/register", RegisterModelRequest)
    async def register_model(self, request: RegisterModelRequest, context: RequestContext) -> Model:
        """Announce a model to its provider and, if it accepts, keep it."""
        ...

    @route("POST", "/models/unregister", UnregisterModelRequest)
    async def unregister_model(self, request: UnregisterModelRequest, context: RequestContext) -> None:
        """End a registration that was made through the API."""
        ...


__all__ = ["GetModelRequest", "Models", "RegisterModelRequest", "UnregisterModelRequest"]
