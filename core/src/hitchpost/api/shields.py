"""The API shields: the registry of what conversations can be checked by."""

from typing import Annotated, Protocol

from pydantic import AliasChoices, Field

from hitchpost.api.context import RequestContext
from hitchpost.api.resources import Shield
from hitchpost.api.routes import NoArguments, route
from hitchpost.api.wire_model import Identifier, Metadata, WireModel

# --- requests ---


class RegisterShieldRequest(WireModel):
    """Names a shield of a provider; entries under `shields` of a run config have the same form."""

    shield_id: Identifier
    provider_shield_id: Identifier | None = None
    """The provider's name for it; absent: `shield_id`."""
    provider_id: str | None = None
    """May be left out while one provider serves safety."""
    params: Metadata | None = None

    def resource(self, provider_id: str) -> Shield:
        """The shield as it is to be owned by `provider_id`."""
        return Shield(
            identifier=self.shield_id,
            provider_resource_id=self.provider_shield_id or self.shield_id,
            provider_id=provider_id,
            params=self.params or {},
        )


class GetShieldRequest(WireModel):
    """`shield_id` is accepted in place of `identifier`."""

    identifier: Annotated[str, Field(validation_alias=AliasChoices("identifier", "shield_id"))]


class UnregisterShieldRequest(WireModel):
    """Names the registration that is to end."""

    shield_id: str


# --- protocol ---


class Shields(Protocol):
    """The registered shields."""

    @route("GET", "/shields/list", NoArguments)
    async def list_shields(self, request: NoArguments, context: RequestContext) -> list[Shield]:
        """Every shield that a request may name."""
        ...

    @route("GET", "/shields/get", GetShieldRequest)
    async def get_shield(self, request: GetShieldRequest, context: RequestContext) -> Shield | None:
        """One shield, or None where there is no such shield."""
        ...

    @route("POST", "/shields/register", RegisterShieldRequest)
    async def register_shield(self, request: RegisterShieldRequest, context: RequestContext) -> Shield:
        """Announce a shield to its provider and, if it accepts, keep it."""
        ...

    @route("POST", "/shields/unregister", UnregisterShieldRequest)
    async def unregister_shield(self, request: UnregisterShieldRequest, context: RequestContext) -> None:
        """End a registration that was made through the API."""
        ...


__all__ = ["GetShieldRequest", "RegisterShieldRequest", "Shields", "UnregisterShieldRequest"]
