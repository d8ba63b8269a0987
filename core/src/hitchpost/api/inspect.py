"""The API inspect: what this host is made of. Always served."""

from typing import Protocol

from hitchpost.api.context import RequestContext
from hitchpost.api.routes import NoArguments, route
from hitchpost.api.wire_model import WireModel

# --- responses ---


class ProviderInfo(WireModel):
    """A configured provider."""

    provider_id: str
    provider_type: str


class RouteInfo(WireModel):
    """A route, with the types of the providers behind it; `method` is in lower case."""

    route: str
    method: str
    provider_types: list[str]


class HealthInfo(WireModel):
    """`OK` while the process lives."""

    status: str = "OK"


# --- protocol ---


class Inspect(Protocol):
    """Looks at the host itself."""

    @route("GET", "/providers/list", NoArguments)
    async def list_providers(self, request: NoArguments, context: RequestContext) -> dict[str, list[ProviderInfo]]:
        """API name to its providers, in the order of the run config."""
        ...

    @route("GET", "/routes/list", NoArguments)
    async def list_routes(self, request: NoArguments, context: RequestContext) -> dict[str, list[RouteInfo]]:
        """API name to its routes, for every API that the host knows."""
        ...

    @route("GET", "/health", NoArguments)
    async def health(self, request: NoArguments, context: RequestContext) -> HealthInfo:
        """Whether the process lives."""
        ...


__all__ = ["HealthInfo", "Inspect", "ProviderInfo", "RouteInfo"]
