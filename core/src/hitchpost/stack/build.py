"""From a plan to running providers: each is built, started, watched and retried by itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from hitchpost.errors import BackendUnavailableError, ConfigError, HitchpostError, PluginError
from hitchpost.plugin import Provider, ProviderDeps
from hitchpost.plugin.declarations import load_import_string
from hitchpost.plugin.manager import HookManager
from hitchpost.routing import ProviderGate, ProviderState
from hitchpost.stack.plan import ProviderPlan

START_TIMEOUT_S = 600.0
"""How long a provider may take to start; loading a large model takes minutes."""
STOP_TIMEOUT_S = 30.0
HEALTH_INTERVAL_S = 15.0
HEALTH_TIMEOUT_S = 10.0
RETRY_FIRST_S = 1.0
RETRY_LONGEST_S = 60.0

log = logging.getLogger("hitchpost.stack")


class Supervisor:
    """Brings one provider up and keeps looking after it.

    Args:
        plan: what to build.
        gate: where its state is shown and its requests come through.
        hooks: knows the provider's hooks while it runs.
        deps: made anew for each attempt.
        synchronize: called after each successful start, and now and then, to announce its resources and ask what it serves;
            its argument says whether the provider has just started.
        withdraw: called when it no longer serves.
    """

    def __init__(
        self,
        plan: ProviderPlan,
        gate: ProviderGate,
        hooks: HookManager,
        deps: Callable[[], ProviderDeps],
        synchronize: Callable[[bool], Awaitable[None]],
        withdraw: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.gate = gate
        self._hooks = hooks
        self._deps = deps
        self._synchronize = synchronize
        self._withdraw = withdraw
        self._task: asyncio.Task[None] | None = None
        self.first_attempt = asyncio.Event()
        """Set when the first attempt to start has ended, well or badly."""

    def run(self, after: Awaitable[object]) -> None:
        """Begin in the background, once `after` is done."""
        self._task = asyncio.create_task(
            self._live(after), name=f"supervisor of {self.plan.api}/{self.plan.provider_id}"
        )

    async def stop(self) -> None:
        """End the background work and stop the provider."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and self._task.exception() is not None:
                log.error("supervisor of %s failed", self.plan.provider_id, exc_info=self._task.exception())
        await self._stop_provider()

    async def _live(self, after: Awaitable[object]) -> None:
        await after
        delay_s = RETRY_FIRST_S
        while True:
            try:
                await self._start()
            except HitchpostError as error:
                self._fail(error)
                if self.gate.is_permanent:
                    return
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_LONGEST_S)
            else:
                delay_s = RETRY_FIRST_S
                await self._watch()

    async def _start(self) -> None:
        if self.plan.problem is not None:
            raise BackendUnavailableError(self.plan.problem, is_permanent=True)
        provider = await _guarded(asyncio.to_thread(self._construct), "build", START_TIMEOUT_S)
        self.gate.provider = provider
        try:
            await _guarded(provider.start(), "start", START_TIMEOUT_S)
            self._hooks.register_provider(self.plan.api, self.plan.provider_id, provider)
            await self._synchronize(True)
        except BaseException:
            await self._stop_provider()
            raise
        if not self._is_draining:
            self.gate.set_state(ProviderState.ready)
        self.first_attempt.set()

    @property
    def _is_draining(self) -> bool:
        return self.gate.state is ProviderState.draining

    def _construct(self) -> Provider[Any]:
        spec = self.plan.spec
        if spec is None:
            raise ConfigError(f"provider {self.plan.provider_id} has no provider type")
        provider = load_import_string(spec.factory)(self.plan.config, self._deps())
        if not isinstance(provider, Provider):
            message = f"factory {spec.factory} made {type(provider).__name__}, which is no subclass of hitchpost.plugin.Provider"
            raise PluginError(message, distribution=spec.factory.partition(".")[0], stage="start")
        return provider

    def _fail(self, error: HitchpostError) -> None:
        permanent = isinstance(error, PluginError) or (
            isinstance(error, BackendUnavailableError) and error.is_permanent
        )
        self.gate.set_state(ProviderState.failed, error.message, is_permanent=permanent)
        self._withdraw()
        self.first_attempt.set()

    async def _watch(self) -> None:
        """Ask for its health until the end; what it serves is asked again now and then."""
        while True:
            await asyncio.sleep(HEALTH_INTERVAL_S)
            provider = self.gate.provider
            if provider is None or self._is_draining:
                return
            try:
                await _guarded(provider.health(), "answer the health check", HEALTH_TIMEOUT_S)
            except HitchpostError as error:
                self.gate.set_state(ProviderState.degraded, error.message)
                continue
            was_degraded = self.gate.state is ProviderState.degraded
            self.gate.set_state(ProviderState.ready)
            await self._synchronize(was_degraded)

    async def _stop_provider(self) -> None:
        provider, self.gate.provider = self.gate.provider, None
        self._hooks.unregister_provider(self.plan.api, self.plan.provider_id)
        if provider is None:
            return
        try:
            await _guarded(provider.stop(), "stop", STOP_TIMEOUT_S)
        except HitchpostError as error:
            log.warning("provider %s: %s", self.plan.provider_id, error.message)


async def _guarded(step: Awaitable[Any], what: str, timeout_s: float) -> Any:
    """Await a step of somebody else's code; whatever it raises comes out as a HitchpostError that names the step."""
    try:
        async with asyncio.timeout(timeout_s):
            return await step
    except HitchpostError:
        raise
    except TimeoutError as error:
        raise BackendUnavailableError(f"it did not {what} within {timeout_s:g} s") from error
    except (Exception, SystemExit) as error:
        log.exception("a provider failed to %s", what)
        raise BackendUnavailableError(f"it failed to {what}: {type(error).__name__}: {error}") from error


__all__ = ["Supervisor"]
