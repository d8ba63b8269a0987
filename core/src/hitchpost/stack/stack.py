"""A running stack: providers, registered resources and the routers in front of them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from hitchpost.api import PROVIDABLE, RESOURCE_KINDS, Api, Inference, Inspect, Models
from hitchpost.config import RunConfig, ServerConfig, state_home
from hitchpost.plugin import ProviderDeps
from hitchpost.plugin.catalog import Catalog, build_catalog
from hitchpost.plugin.discovery import Plugins, PluginSelection, discover_plugins
from hitchpost.registry import Announcer, RegisteredModels, ResourceRegistry
from hitchpost.routing import (
    AgentsRouter,
    BatchInferenceRouter,
    InferenceRouter,
    MemoryRouter,
    ProviderGate,
    ProviderState,
    Resolver,
    SafetyRouter,
    TelemetryRouter,
    llama_meaning_of,
)
from hitchpost.routing.resolve import MeaningOf, no_other_meaning
from hitchpost.stack.build import STOP_TIMEOUT_S, Supervisor
from hitchpost.stack.inspect import HostInspect
from hitchpost.stack.plan import ProviderPlan, StackPlan, plan_stack

log = logging.getLogger("hitchpost.stack")


class Stack:
    """What the host serves. Building it touches nothing outside; `start` does.

    Args:
        plan: what to build.
        plugins: what discovery found; the stack takes over its hook manager.
    """

    def __init__(self, plan: StackPlan, plugins: Plugins) -> None:
        self.server: ServerConfig = plan.server
        self.notes = plan.notes
        self.plugins = plugins
        self._gates = {
            planned.key: ProviderGate(
                planned.api,
                planned.provider_id,
                planned.provider_type,
                planned.limits,
                capabilities=planned.spec.capabilities if planned.spec else frozenset(),
                provider_data=planned.provider_data,
            )
            for planned in plan.providers
        }
        self.providers: Sequence[ProviderGate] = tuple(self._gates.values())
        self._registries: dict[Api, ResourceRegistry[Any]] = {
            kind.served_by: ResourceRegistry(kind) for kind in RESOURCE_KINDS
        }
        for planned_resource in plan.resources:
            resource = planned_resource.request.resource(planned_resource.provider_id)
            shadowing = self._registries[resource.served_by].add(resource, planned_resource.origin)
            if shadowing:
                log.warning("%s", shadowing)
        self._announcers = {api: Announcer(registry, plugins.manager) for api, registry in self._registries.items()}
        self.apis: Mapping[Api, Any] = self._routers()
        self.inference: Inference = self.apis[Api.inference]
        self.models: Models = self.apis[Api.models]
        self.inspect: Inspect = self.apis[Api.inspect]
        self._supervisors = [self._supervisor(planned) for planned in plan.start_order]
        self._was_built = False
        self._is_draining = False

    def _routers(self) -> dict[Api, Any]:
        """What answers each API: the registries and inspect always, the others where a provider is configured."""
        gates = {api: {gate.provider_id: gate for gate in self.providers if gate.api is api} for api in PROVIDABLE}
        models = RegisteredModels(
            self._registries[Api.inference],
            self._announcers[Api.inference],
            tuple(gates[Api.inference]),
            lambda provider_id: gates[Api.inference][provider_id].check_serving(),
        )
        routers: dict[Api, Any] = {Api.models: models, Api.inspect: HostInspect(self.providers)}
        inference = InferenceRouter(self._resolver(Api.inference, llama_meaning_of), gates[Api.inference])
        routers[Api.inference] = inference
        if gates[Api.inference]:
            routers[Api.batch_inference] = BatchInferenceRouter(inference)
        if gates[Api.safety]:
            routers[Api.safety] = SafetyRouter(self._resolver(Api.safety), gates[Api.safety])
        if gates[Api.memory]:
            routers[Api.memory] = MemoryRouter(self._resolver(Api.memory), gates[Api.memory])
        for api, router in ((Api.agents, AgentsRouter), (Api.telemetry, TelemetryRouter)):
            for gate in gates[api].values():
                routers[api] = router(gate)
        return routers

    def _resolver(self, api: Api, meaning_of: MeaningOf[Any] = no_other_meaning) -> Resolver[Any]:
        provider_ids = tuple(gate.provider_id for gate in self.providers if gate.api is api)
        return Resolver(self._registries[api], provider_ids, meaning_of)

    @property
    def is_ready(self) -> bool:
        """Whether the first attempt to start each provider has ended and the stack is not draining."""
        return self._was_built and not self._is_draining

    async def start(self) -> None:
        """Start every provider, and return when each was tried once; those that failed are retried in the background."""
        for supervisor in self._supervisors:
            called = [other for other in self._supervisors if other.plan.api in supervisor.plan.calls]
            supervisor.run(after=[other.first_attempt for other in called])
        await asyncio.gather(*(supervisor.first_attempt.wait() for supervisor in self._supervisors))
        self._was_built = True

    def drain(self) -> None:
        """Take no more requests; those under way go on."""
        self._is_draining = True
        for gate in self.providers:
            gate.set_state(ProviderState.draining)

    async def stop(self) -> None:
        """Stop every provider, those that call others before those."""
        self.drain()
        await asyncio.gather(*(announcer.close() for announcer in self._announcers.values()))
        if Api.memory in self.apis:
            await self.apis[Api.memory].close(STOP_TIMEOUT_S)
        steps = []
        for supervisor in self._supervisors:
            callers = [other for other in self._supervisors if supervisor.plan.api in other.plan.calls]
            steps.append(supervisor.stop(after=[other.stopped for other in callers]))
        await asyncio.gather(*steps)

    def _supervisor(self, planned: ProviderPlan) -> Supervisor:
        gate = self._gates[planned.key]

        def deps() -> ProviderDeps:
            return ProviderDeps(
                provider_id=planned.provider_id,
                state_dir=state_home() / "providers" / planned.api.value / planned.provider_id,
                log=logging.getLogger(f"hitchpost.provider.{planned.provider_id}"),
                **{api.value: self.apis.get(api) for api in planned.calls},
            )

        async def synchronize(has_started: bool) -> None:
            announcer = self._announcers.get(planned.api)
            if announcer is None:
                return
            if has_started:
                await announcer.announce_all(planned.provider_id)
            else:
                await announcer.discover(planned.provider_id)

        def withdraw() -> None:
            if planned.api in self._announcers:
                self._announcers[planned.api].forget_discovered(planned.provider_id)

        return Supervisor(planned, gate, self.plugins.manager, deps, synchronize, withdraw)


def select_plugins(config: RunConfig | None) -> PluginSelection:
    """Which plugins a run config lets in; without one, all that are installed."""
    if config is None:
        return PluginSelection()
    section = config.plugins
    return PluginSelection(section.allow, section.deny, section.paths)


def build_stack(config: RunConfig | None, plugins: Plugins | None = None, catalog: Catalog | None = None) -> Stack:
    """Discover plugins, plan, and put a stack together, ready to be started.

    Args:
        config: the run config; None builds every preset of the loaded plugins.
        plugins: what discovery found, when it has run already.
        catalog: the provider types of `plugins`, when collected already.

    Raises:
        ConfigError: the config contradicts itself or the plugins.
    """
    if plugins is None:
        plugins = discover_plugins(select_plugins(config))
    return Stack(plan_stack(config, plugins, catalog or build_catalog(plugins.reports)), plugins)


__all__ = ["Stack", "build_stack", "select_plugins"]
