"""A running stack: providers, registered resources and the routers in front of them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from hitchpost.api import Api, Inference, Inspect, Model, Models
from hitchpost.config import RunConfig, ServerConfig, state_home
from hitchpost.plugin import ProviderDeps
from hitchpost.plugin.catalog import Catalog, build_catalog
from hitchpost.plugin.discovery import Plugins, PluginSelection, discover_plugins
from hitchpost.registry import Announcer, RegisteredModels, ResourceRegistry
from hitchpost.routing import InferenceRouter, ProviderGate, ProviderState, Resolver, llama_meaning_of
from hitchpost.stack.build import Supervisor
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
        models: ResourceRegistry[Model] = ResourceRegistry(Model)
        for planned_resource in plan.resources:
            shadowing = models.add(
                planned_resource.request.resource(planned_resource.provider_id), planned_resource.origin
            )
            if shadowing:
                log.warning("%s", shadowing)
        self._announcer = Announcer(models, plugins.manager)
        inference_gates = {gate.provider_id: gate for gate in self.providers if gate.api is Api.inference}
        inference_ids = tuple(inference_gates)
        self.inference: Inference = InferenceRouter(Resolver(models, inference_ids, llama_meaning_of), inference_gates)
        self.models: Models = RegisteredModels(
            models, self._announcer, inference_ids, lambda provider_id: inference_gates[provider_id].check_serving()
        )
        self.inspect: Inspect = HostInspect(self.providers)
        self.apis: Mapping[Api, object] = {
            Api.inference: self.inference,
            Api.models: self.models,
            Api.inspect: self.inspect,
        }
        self._supervisors = [self._supervisor(planned) for planned in plan.start_order]
        self._was_built = False
        self._is_draining = False

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
        await self._announcer.close()
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
                inference=self.inference if Api.inference in planned.calls else None,
                models=self.models if Api.models in planned.calls else None,
            )

        async def synchronize(has_started: bool) -> None:
            if planned.api is not Model.served_by:
                return
            if has_started:
                await self._announcer.announce_all(planned.provider_id)
            else:
                await self._announcer.discover(planned.provider_id)

        def withdraw() -> None:
            if planned.api is Model.served_by:
                self._announcer.forget_discovered(planned.provider_id)

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
