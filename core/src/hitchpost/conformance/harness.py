"""What checks work with: providers of the type under test, built alone or inside a running stack, and limits on all that is awaited."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from hitchpost.api import Api, Capability, RequestContext, Resource
from hitchpost.config import RunConfig
from hitchpost.config.load import validate_as
from hitchpost.conformance.check import Check, CheckFailed, NotApplicable
from hitchpost.conformance.holdings import POLL_S, Holdings, settled, take_stock
from hitchpost.conformance.loop_thread import LoopThread
from hitchpost.conformance.preflight import (
    BUILD,
    ENTER_BACKEND,
    FIND_TYPE,
    IMPORT_TYPE,
    READ_CONFIG,
    REGISTER,
    SAY,
    SERVE,
    START,
    START_NEIGHBOURS,
    Preflight,
    Unusable,
)
from hitchpost.conformance.subject import Subject, find_subject
from hitchpost.errors import ConfigError, UnsupportedError
from hitchpost.plugin import Provider, ProviderDeps, ProviderSpec
from hitchpost.plugin.declarations import load_import_string
from hitchpost.routing import ProviderGate, ProviderState
from hitchpost.stack import Stack, build_stack

if TYPE_CHECKING:
    from hitchpost.conformance.base import BackendFaults, ConformanceBase

PROVIDER_ID = "under-test"
CHECK_LIMIT_S = 60.0
"""How long a check may take beside what the provider takes."""

T = TypeVar("T")


class Harness:
    """Serves the checks of one test class.

    Args:
        kit: the author's class, made once; every hook that the author wrote is called on this object.
        config: the provider's config; None where `kit.backend` yields it.
        faults: how the author makes the backend fail, if they can.
        home: a folder for what the provider and the stack keep.
    """

    def __init__(
        self,
        kit: "ConformanceBase",
        config: Mapping[str, Any],
        faults: "BackendFaults | None",
        home: Path,
    ) -> None:
        self.kit = kit
        self.preflight = Preflight()
        self.patience_s = kit.patience_s
        self._subject: Subject | None = None
        with suppress(Unusable):  # the first check tells
            self._find_subject()
        self.loop = LoopThread(self._subject.packages if self._subject else ())
        self._given_config = config
        self._given_faults = faults
        self._home = home
        self._backend: AsyncExitStack | None = None
        self._stack: Stack | None = None
        self._neighbours: Stack | None = None
        self._starting = asyncio.Lock()
        self._numbers = count(1)

    # --- called by pytest's thread ---

    def run(self, work: Any) -> None:
        """Run one check in the loop's thread."""
        self.loop.run(work, CHECK_LIMIT_S + self.patience_s * 6)

    def check_applies(self, described: Check) -> None:
        """Raises NotApplicable where the provider type, or the model, doesn't declare what the check needs."""
        declared = self.spec.capabilities
        missing = [capability for capability in described.needs if capability not in declared]
        if missing:
            raise NotApplicable(f"the capability {', '.join(missing)} is not declared")
        left_out = [capability for capability in described.needs if capability not in self.capabilities]
        if left_out:
            raise NotApplicable(f"the test class says that its model lacks the capability {', '.join(left_out)}")

    def close(self) -> None:
        """Stop all that runs; a provider that can't be stopped is left behind."""
        try:
            self.loop.run(self._close(), self.patience_s * 3)
        finally:
            self.loop.close(self.patience_s)

    def identity(self) -> dict[str, str]:
        """What a report says of what is under test; empty where it isn't found."""
        return self._subject.identity() if self._subject else {}

    # --- what is under test ---

    @property
    def subject(self) -> Subject:
        """The provider type, with its plugin.

        Raises:
            Unusable: it isn't found.
        """
        return self._subject or self._find_subject()

    @property
    def spec(self) -> ProviderSpec:
        """What the provider type declares; see `subject`."""
        return self.subject.spec

    def _find_subject(self) -> Subject:
        kit = self.kit
        with self.preflight.step(SAY):
            unsaid = kit.unsaid()
            if unsaid:
                raise CheckFailed(f"{type(kit).__name__} does not say {', '.join(unsaid)}")
        with self.preflight.step(FIND_TYPE):
            self._subject = subject = find_subject(kit.provider_type, kit.api, kit.find_plugin_paths())
            return subject

    def import_type(self) -> tuple[type[BaseModel], Callable[..., Any]]:
        """The config model and the factory of the provider type."""
        with self.preflight.step(IMPORT_TYPE):
            return self.subject.import_type()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the type declares, as far as the author's class doesn't narrow it."""
        narrowed = self.kit.narrowed_capabilities()
        return self.spec.capabilities if narrowed is None else self.spec.capabilities & narrowed

    @property
    def faults(self) -> "BackendFaults":
        """How the author makes the backend fail.

        Raises:
            NotApplicable: they can't.
        """
        faults = self._given_faults or self.kit.backend_faults
        if faults is None:
            raise NotApplicable("the test class has no backend_faults")
        return faults

    async def config(self) -> Mapping[str, Any]:
        """The provider's config; the author's backend runs from the first call on."""
        with self.preflight.step(ENTER_BACKEND):
            if self._backend is None:
                self._backend = AsyncExitStack()
                config = await self._backend.enter_async_context(self.kit.backend())
                if config is not None:
                    self._given_config = config
            return self._given_config

    async def read_config(self) -> BaseModel:
        """The provider's config, as its type reads it."""
        model, _ = self.import_type()
        given = await self.config()
        with self.preflight.step(READ_CONFIG):
            problems: list[str] = []
            config = validate_as(model, given, "config", problems)
            if config is None:
                raise CheckFailed("; ".join(problems))
            return config

    # --- providers by themselves ---

    def new_state_dir(self) -> Path:
        """A name for a folder in which a provider remembers; not made yet."""
        return self._home / f"state-{next(self._numbers)}"

    async def build(self, state_dir: Path | None = None) -> Provider[Any]:
        """A new provider, not started, made in a thread as the host does it; nothing else of the type runs meanwhile.

        Args:
            state_dir: of a provider before it; None for a new one.
        """
        await self.stop_stack()
        config = await self.read_config()
        deps = await self._deps(state_dir or self.new_state_dir())
        _, factory = self.import_type()
        with self.preflight.step(BUILD):
            provider = await asyncio.to_thread(factory, config, deps)
            if not isinstance(provider, Provider):
                raise CheckFailed(f"the factory made {type(provider).__name__}, which is no hitchpost.plugin.Provider")
            return provider

    @asynccontextmanager
    async def started(self, state_dir: Path | None = None) -> AsyncIterator[Provider[Any]]:
        """A new provider that has started; stopped at the end. See `build`."""
        provider = await self.build(state_dir)
        try:
            with self.preflight.step(START):
                await self.within(provider.start(), "start()")
            yield provider
        except BaseException:
            # What was seen first is what the author must read.
            with suppress(Exception):
                await self.within(provider.stop(), "stop()")
            raise
        await self.within(provider.stop(), "stop()")

    async def hook(self, provider: Provider[Any], name: str, **arguments: Any) -> Any:
        """What a provider hook answers, called as the host calls it: with those of the arguments that it asks for; None without it."""
        implementation = getattr(provider, name, None)
        if implementation is None:
            return None
        wanted = inspect.signature(implementation).parameters
        has_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in wanted.values())
        given = {key: value for key, value in arguments.items() if has_all or key in wanted}
        return await self.within(implementation(**given), f"{name}()")

    async def announce(self, provider: Provider[Any], resource: Resource) -> Any:
        """What a provider that runs by itself answers when the host registers a resource by itself; None where it has no hook for that."""
        with self.preflight.step(REGISTER):
            return await self.hook(provider, resource.register_hook(), **{resource.kind: resource}, context=None)

    async def start_surroundings(self) -> None:
        """Start what stays for all checks: the author's backend, and the providers that this one calls."""
        await self.config()
        if self._needed:
            with self.preflight.step(START_NEIGHBOURS):
                if self._neighbours is None:
                    self._neighbours = await self._start_stack({})
                    self._check_neighbours(self._neighbours)

    @property
    def _needed(self) -> tuple[Api, ...]:
        return (*self.spec.needs, *self.spec.uses)

    async def _deps(self, state_dir: Path) -> ProviderDeps:
        await self.start_surroundings()
        routers = {api.value: _find_router(self._neighbours, api) for api in self._needed} if self._neighbours else {}
        return ProviderDeps(
            provider_id=PROVIDER_ID,
            state_dir=state_dir,
            log=logging.getLogger(f"hitchpost.provider.{PROVIDER_ID}"),
            **routers,
        )

    # --- a provider inside a stack ---

    async def stack(self) -> Stack:
        """A running stack with a provider of the type and the author's resources.

        Raises:
            CheckFailed: the provider did not start, or the config is wrong.
        """
        # Concurrent requests of a check must meet in one provider.
        async with self._starting:
            await self.read_config()
            self.preflight.demand(START_NEIGHBOURS, BUILD, START, REGISTER)
            with self.preflight.step(SERVE):
                if self._stack is None:
                    entry = {
                        "provider_id": PROVIDER_ID,
                        "provider_type": self.spec.provider_type,
                        "config": dict(await self.config()),
                    }
                    self._stack = await self._start_stack({self.spec.api.value: [entry]})
                    with self.preflight.step(START_NEIGHBOURS):
                        self._check_neighbours(self._stack)
                gate = self._gate(self._stack)
                if gate.state is not ProviderState.ready:
                    raise CheckFailed(f"the provider is {gate.state}: {gate.reason}")
                return self._stack

    async def provider(self) -> Provider[Any]:
        """The provider of the running stack."""
        provider = self._gate(await self.stack()).provider
        assert provider is not None
        return provider

    async def router(self, api: Api) -> Any:
        """What answers an API in the running stack."""
        return (await self.stack()).get_router(api)

    async def stop_stack(self) -> None:
        """Stop the stack; the next `stack()` starts another."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await self.within(stack.stop(), "the stack's stop()")

    def context(self, resource: Resource | None = None, **fields: Any) -> RequestContext:
        """The context of a new request, with the first of the author's samples of provider data unless `fields` say otherwise."""
        raw = fields.pop("raw_provider_data", next(iter(self.kit.provider_data.values()), None))
        data = None
        if raw is not None and resource is not None and self.spec.provider_data is not None:
            data = load_import_string(self.spec.provider_data).model_validate(raw)
        return RequestContext(
            request_id=f"conformance-{next(self._numbers)}",
            resource=resource,
            raw_provider_data=raw,
            provider_data=data,
            **fields,
        )

    def _gate(self, stack: Stack) -> ProviderGate:
        return next(gate for gate in stack.providers if (gate.api, gate.provider_id) == (self.spec.api, PROVIDER_ID))

    def _check_neighbours(self, stack: Stack) -> None:
        failed = [
            f"provider {gate.provider_id} of {gate.api} failed: {gate.reason}"
            for gate in stack.providers
            if gate.state is ProviderState.failed and gate.provider_id != PROVIDER_ID
        ]
        if failed:
            raise CheckFailed("; ".join(failed))

    async def _start_stack(self, providers: Mapping[str, Any]) -> Stack:
        given = {"metadata_store": {"type": "memory"}, **self.kit.run_config}
        around = dict(given.pop("providers", {}))
        for api, entries in providers.items():
            around[api] = [*around.get(api, ()), *entries]
        resources = self.kit.resources(PROVIDER_ID) if providers else {}
        for section, entries in resources.items():
            given[section] = [*given.get(section, ()), *entries]
        try:
            config = RunConfig.model_validate({"providers": around, **given})
            stack = build_stack(config, self.subject.plugins)
        except (ConfigError, ValueError) as error:
            raise CheckFailed(f"no stack can be built: {error}") from error
        await self.within(stack.start(), "the stack's start()")
        return stack

    # --- waiting ---

    async def within(self, work: Awaitable[T], what: str, limit_s: float | None = None) -> T:
        """What `work` answers.

        Raises:
            CheckFailed: it takes longer than the author's `patience_s`, or ends with SystemExit.
        """
        task = asyncio.ensure_future(_kept_alive(work, what))
        limit_s = self.patience_s if limit_s is None else limit_s
        try:
            done, _ = await asyncio.wait({task}, timeout=limit_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            # Not awaited any more: whatever doesn't end may not heed its cancellation either.
            task.cancel()
            raise CheckFailed(f"{what} had not ended after {limit_s:g} s")
        return task.result()

    async def check_idle(self, after: str) -> None:
        """Wait until the backend works on nothing any more.

        Raises:
            CheckFailed: the author's `is_busy` still says so after `patience_s`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self.patience_s
        while await self.kit.is_busy():
            if loop.time() > end:
                raise CheckFailed(f"the backend was still busy {self.patience_s:g} s after {after}")
            await asyncio.sleep(POLL_S)

    async def check_no_new_tasks(self, before: Holdings, after: str) -> None:
        """Wait until there are no more tasks than `before`.

        Raises:
            CheckFailed: there are, after `SETTLE_S`: the work goes on.
        """
        more = await settled(lambda: take_stock().new_tasks(before), self.patience_s)
        if more:
            raise CheckFailed(f"after {after} there are still {more}")

    async def _close(self) -> None:
        await self.stop_stack()
        if self._neighbours is not None:
            await self.within(self._neighbours.stop(), "the stop of the providers that it needs")
        if self._backend is not None:
            await self._backend.aclose()


def _find_router(stack: Stack, api: Api) -> Any:
    try:
        return stack.get_router(api)
    except UnsupportedError:
        return None


async def _kept_alive(work: Awaitable[T], what: str) -> T:
    try:
        return await work
    except SystemExit as error:
        # It would end the kit's event loop with all that still runs in it.
        raise CheckFailed(f"{what} raised SystemExit") from error


__all__ = ["PROVIDER_ID", "Harness"]
