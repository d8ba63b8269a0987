"""The API inspect, answered from the plan and the route declarations."""

from collections.abc import Sequence

from hitchpost.api import (
    NATIVE_PREFIX,
    PROTOCOLS,
    Api,
    HealthInfo,
    NoArguments,
    ProviderInfo,
    RequestContext,
    RouteInfo,
    routes_of,
)
from hitchpost.routing import ProviderGate


class HostInspect:
    """Implements `hitchpost.api.Inspect`."""

    def __init__(self, gates: Sequence[ProviderGate]) -> None:
        self._gates = gates

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

    def _routes(self, api: Api, protocol: type) -> list[RouteInfo]:
        types = [gate.provider_type for gate in self._gates if gate.api is api]
        return [
            RouteInfo(route=NATIVE_PREFIX + route.path, method=route.verb.lower(), provider_types=types)
            for route in routes_of(protocol)
        ]


__all__ = ["HostInspect"]
