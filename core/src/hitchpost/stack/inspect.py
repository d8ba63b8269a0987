"""The API inspect, answered from the plan and the route declarations, and what it can't say: each provider with its state."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hitchpost.api import (
    NATIVE_PREFIX,
    PROTOCOLS,
    Api,
    HealthInfo,
    NoArguments,
    ProviderInfo,
    RequestContext,
    RouteInfo,
    WireModel,
    routes_of,
)
from hitchpost.errors import NotFoundError
from hitchpost.plugin.catalog import Catalog
from hitchpost.registry import ResourceRegistry
from hitchpost.routing import ProviderGate, ProviderState


class ServedResource(WireModel):
    """A resource of a provider."""

    kind: str
    identifier: str
    origin: str
    problem: str | None = None
    """Why it can't be used now, if so."""
    shadowing: str | None = None
    """Which registration of the identifier shadows which, where there are several."""


class ProviderStatus(WireModel):
    """A configured provider as it is now."""

    api: Api
    provider_id: str
    provider_type: str
    state: ProviderState
    reason: str | None = None
    """Why it is not ready."""
    since: datetime
    """When its state last changed."""
    distribution: str | None = None
    """The installed package that its type is from; None where the type isn't installed."""
    version: str | None = None
    serves: list[ServedResource]
    provider_data: dict[str, Any] | None = None
    """JSON schema of what callers may send for it in the provider data header, if anything."""


class HostInspect:
    """Implements `hitchpost.api.Inspect`.

    Args:
        gates: every provider.
        catalog: where their types are from.
        registries: what they serve, by the API that serves it.
    """

    def __init__(
        self, gates: Sequence[ProviderGate], catalog: Catalog, registries: Mapping[Api, ResourceRegistry[Any]]
    ) -> None:
        self._gates = gates
        self._catalog = catalog
        self._registries = registries

    def provider_statuses(self) -> list[ProviderStatus]:
        """Each provider with its state, in the order of the run config."""
        return [self._status(gate) for gate in self._gates]

    async def list_providers(self, request: NoArguments, context: RequestContext) -> dict[str, list[ProviderInfo]]:
        """API name to its providers, in the order of the run config."""
        listed: dict[str, list[ProviderInfo]] = {}
        for gate in self._gates:
            info = ProviderInfo(provider_id=gate.provider_id, provider_type=gate.provider_type)
            listed.setdefault(gate.api.value, []).append(info)
        return listed

    async def list_routes(self, request: NoArguments, context: RequestContext) -> dict[str, list[RouteInfo]]:
        """API name to its routes, for every API that the host knows."""
        return {api.value: self._routes(api, protocol) for api, protocol in PROTOCOLS.items()}

    async def health(self, request: NoArguments, context: RequestContext) -> HealthInfo:
        """Whether the process lives."""
        return HealthInfo()

    def _status(self, gate: ProviderGate) -> ProviderStatus:
        try:
            plugin = self._catalog.get(gate.api, gate.provider_type).plugin
        except NotFoundError:
            plugin = None
        registry = self._registries.get(gate.api)
        return ProviderStatus(
            api=gate.api,
            provider_id=gate.provider_id,
            provider_type=gate.provider_type,
            state=gate.state,
            reason=gate.reason or None,
            since=gate.since,
            distribution=plugin.distribution if plugin else None,
            version=plugin.version if plugin else None,
            serves=[
                ServedResource(
                    kind=entry.resource.kind,
                    identifier=entry.resource.identifier,
                    origin=entry.origin.name,
                    problem=entry.problem,
                    shadowing=registry.describe_shadowing(entry.resource.identifier),
                )
                for entry in registry.of_provider(gate.provider_id)
            ]
            if registry
            else [],
            provider_data=gate.provider_data.model_json_schema() if gate.provider_data else None,
        )

    def _routes(self, api: Api, protocol: type) -> list[RouteInfo]:
        types = [gate.provider_type for gate in self._gates if gate.api is api]
        return [
            RouteInfo(route=NATIVE_PREFIX + route.path, method=route.verb.lower(), provider_types=types)
            for route in routes_of(protocol)
        ]


__all__ = ["HostInspect", "ProviderStatus", "ServedResource"]
