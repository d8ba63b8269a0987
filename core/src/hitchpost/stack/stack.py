"""A running stack: providers, registered resources and the routers in front of them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hitchpost.api import PROVIDABLE, Api, Inference, MemoryBank, Model, Models, Resource, SpanSink
from hitchpost.config import RunConfig, ServerConfig
from hitchpost.config.home import stack_home
from hitchpost.errors import UnsupportedError
from hitchpost.plugin import ProviderDeps
from hitchpost.plugin.catalog import Catalog, build_catalog
from hitchpost.plugin.discovery import Plugins, PluginSelection, discover_plugins
from hitchpost.plugin.jobs import JobBoard, ProviderJobs
from hitchpost.registry import REGISTRY_APIS, Persistence, RegisteredResources
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
    Tracer,
    check_bank_type,
)
from hitchpost.stack.build import STOP_TIMEOUT_S, Supervisor
from hitchpost.stack.inspect import HostInspect
from hitchpost.stack.plan import ProviderPlan, StackPlan, plan_stack
from hitchpost.stack.registries import announcers_of, open_registry_store, registries_of

log = logging.getLogger("hitchpost.stack")


class Stack:
    """What the host serves. Building it touches nothing outside; `start` does.

    Args:
        plan: what to build.
        plugins: what discovery found; the stack takes over its hook manager.
        catalog: the provider types of `plugins`.
    """

    def __init__(self, plan: StackPlan, plugins: Plugins, catalog: Catalog) -> None:
        self.server: ServerConfig = plan.server
        self.notes = plan.notes
        self.plugins = plugins
        self.jobs = JobBoard()
        """What providers do in the background."""
        self._name = plan.name
        self._catalog = catalog
        has_telemetry = any(planned.api is Api.telemetry for planned in plan.providers)
        self.tracer = Tracer(self._find_span_sink) if has_telemetry else None
        """Takes the spans of requests; None where no telemetry is configured."""
        self._gates = {
            planned.key: ProviderGate(
                planned.api,
                planned.provider_id,
                planned.provider_type,
                planned.limits,
                capabilities=planned.spec.capabilities if planned.spec else frozenset(),
                provider_data=planned.provider_data,
                tracer=self.tracer,
            )
            for planned in plan.providers
        }
        self.providers: Sequence[ProviderGate] = tuple(self._gates.values())
        self._telemetry = next((gate for gate in self.providers if gate.api is Api.telemetry), None)
        self._registries = registries_of(plan)
        self._persistence = Persistence(lambda: open_registry_store(plan))
        self._announcers = announcers_of(plan, self._registries, self._persistence, plugins.manager)
        self.model_names: Resolver[Model] = self._resolver(Api.inference)
        """From a model's name in a request to the registered model."""
        self._routers: Mapping[Api, Any] = self._make_routers()
        self._supervisors = [self._supervisor(planned) for planned in plan.start_order]
        self._was_built = False
        self._is_draining = False

    def _make_routers(self) -> dict[Api, Any]:
        """What answers each API: the registries and inspect always, the others where a provider is configured."""
        gates = {api: {gate.provider_id: gate for gate in self.providers if gate.api is api} for api in PROVIDABLE}
        routers: dict[Api, Any] = {Api.inspect: HostInspect(self.providers, self._catalog, self._registries)}
        for registered in REGISTRY_APIS:
            routers[registered.api] = self._registered(registered, gates[registered.kind.served_by])
        if gates[Api.inference]:
            inference = InferenceRouter(self.model_names, gates[Api.inference])
            routers |= {Api.inference: inference, Api.batch_inference: BatchInferenceRouter(inference)}
        if gates[Api.safety]:
            routers[Api.safety] = SafetyRouter(self._resolver(Api.safety), gates[Api.safety])
        if gates[Api.memory]:
            routers[Api.memory] = MemoryRouter(self._resolver(Api.memory), gates[Api.memory])
        for api, router in ((Api.agents, AgentsRouter), (Api.telemetry, TelemetryRouter)):
            for gate in gates[api].values():
                routers[api] = router(gate)
        return routers

    def _registered(
        self, registered: type[RegisteredResources[Any]], gates: Mapping[str, ProviderGate]
    ) -> RegisteredResources[Any]:
        def check_owner(resource: Resource) -> None:
            gate = gates[resource.provider_id]
            gate.check_serving()
            if isinstance(resource, MemoryBank):
                check_bank_type(resource, gate)

        served_by = registered.kind.served_by
        return registered(self._registries[served_by], self._announcers[served_by], tuple(gates), check_owner)

    def get_router(self, api: Api) -> Any:
        """What answers an API: an implementation of its Protocol.

        Raises:
            UnsupportedError: no provider serves it; the message says which provider types would.
        """
        router = self._routers.get(api)
        if router is None:
            needed = Api.inference if api is Api.batch_inference else api
            offers = self._catalog.offers(needed)
            raise UnsupportedError(
                f"this host serves no {api.value}: no provider of {needed.value} is configured. Provider types for it: {offers}"
            )
        return router

    @property
    def inference(self) -> Inference:
        """The router of inference; see `get_router`."""
        router: Inference = self.get_router(Api.inference)
        return router

    @property
    def models(self) -> Models:
        """The registered models."""
        router: Models = self.get_router(Api.models)
        return router

    @property
    def inspect(self) -> HostInspect:
        """What this host is made of."""
        router: HostInspect = self.get_router(Api.inspect)
        return router

    def _find_span_sink(self) -> SpanSink | None:
        """The telemetry provider while it serves, or still finishes what it has."""
        gate = self._telemetry
        if gate is None or gate.state not in (ProviderState.ready, ProviderState.degraded, ProviderState.draining):
            return None
        sink: Any = gate.provider
        return sink  # type: ignore[no-any-return]

    def _resolver(self, api: Api) -> Resolver[Any]:
        gates = {gate.provider_id: gate for gate in self.providers if gate.api is api}
        return Resolver(self._registries[api], tuple(gates), lambda provider_id: gates[provider_id].check_serving())

    @property
    def registrations_problem(self) -> str | None:
        """Why registrations made through the API can't be shown or changed now, if so."""
        return self._persistence.problem

    @property
    def is_ready(self) -> bool:
        """Whether the first attempt to start each provider has ended and the stack is not draining."""
        return self._was_built and not self._is_draining

    async def open_store(self) -> None:
        """Open the store of registrations before `start` would, as long as it takes to reach it; `stop` closes it.

        Raises:
            ConfigError: the store can't be used as it is.
        """
        await self._persistence.open()

    async def start(self) -> None:
        """Open the store of registrations, start every provider, and return when each was tried once.

        Providers that failed are retried in the background, and so is a store that can't be reached.

        Raises:
            ConfigError: the store can't be used as it is.
        """
        await self._persistence.start(tuple(self._announcers.values()))
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
        # First, so that no registration waits for a job, and no job finds its provider gone.
        await self.jobs.close(STOP_TIMEOUT_S)
        await asyncio.gather(*(announcer.close() for announcer in self._announcers.values()))
        owners = [self._routers[api] for api in (Api.memory, Api.agents) if api in self._routers]
        await asyncio.gather(*(router.close(STOP_TIMEOUT_S) for router in owners))
        steps = []
        for supervisor in self._supervisors:
            callers = [other for other in self._supervisors if supervisor.plan.api in other.plan.calls]
            steps.append(supervisor.stop(after=[other.stopped for other in callers]))
        await asyncio.gather(*steps)
        await self._persistence.stop()

    def _supervisor(self, planned: ProviderPlan) -> Supervisor:
        gate = self._gates[planned.key]

        def deps() -> ProviderDeps:
            routers: dict[str, Any] = {api.value: self._routers.get(api) for api in planned.calls}
            return ProviderDeps(
                provider_id=planned.provider_id,
                state_dir=stack_home(self._name) / "providers" / planned.api.value / planned.provider_id,
                log=logging.getLogger(f"hitchpost.provider.{planned.provider_id}"),
                **routers,
            )

        async def synchronize(has_started: bool) -> None:
            announcer = self._announcers.get(planned.api)
            if announcer is None:
                return
            if has_started:
                await announcer.announce_all(planned.provider_id)
            else:
                await announcer.look_again(planned.provider_id)

        def withdraw() -> None:
            if planned.api in self._announcers:
                self._announcers[planned.api].forget_discovered(planned.provider_id)

        jobs = ProviderJobs(self.jobs, planned.provider_id)
        return Supervisor(planned, gate, self.plugins.manager, deps, jobs, synchronize, withdraw)


def select_plugins(config: RunConfig | None, file: Path | None = None) -> PluginSelection:
    """Which plugins a run config lets in; without one, all that are installed. `file` is where it was read from."""
    if config is None:
        return PluginSelection()
    section = config.plugins
    named_by = "the run config" if file is None else f"run config {file}"
    return PluginSelection(section.allow, section.deny, section.paths, named_by)


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
    catalog = catalog or build_catalog(plugins.reports)
    return Stack(plan_stack(config, plugins, catalog), plugins, catalog)


__all__ = ["Stack", "build_stack", "select_plugins"]
