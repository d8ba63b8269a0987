"""From a plan to running providers: each is built, started, watched and retried by itself."""

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from hitchpost.api import PROTOCOLS
from hitchpost.errors import BackendUnavailableError, ConfigError, HitchpostError, PluginError
from hitchpost.plugin import Provider, ProviderDeps
from hitchpost.plugin.declarations import load_import_string
from hitchpost.plugin.foreign import describe, is_failure
from hitchpost.plugin.jobs import ProviderJobs
from hitchpost.plugin.manager import HookManager
from hitchpost.plugin.promises import broken_promises
from hitchpost.routing import ProviderGate, ProviderState
from hitchpost.stack.plan import ProviderPlan

START_TIMEOUT_S = 600.0
"""How long a provider may take to start; loading a large model takes minutes."""
STOP_TIMEOUT_S = 30.0
HEALTH_INTERVAL_S = 15.0
HEALTH_TIMEOUT_S = 10.0
HEALTH_PAUSE_S = 0.05
"""Between two questions for its health, however often a provider asks for them."""
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
        jobs: what the provider runs in the background; cancelled whenever it stops.
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
        jobs: ProviderJobs,
        synchronize: Callable[[bool], Awaitable[None]],
        withdraw: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.gate = gate
        self._hooks = hooks
        self._deps = deps
        self._jobs = jobs
        self._synchronize = synchronize
        self._withdraw = withdraw
        self._task: asyncio.Task[None] | None = None
        self._health_changed = asyncio.Event()
        self._logged: dict[str, str] = {}
        """Per step, the failure whose traceback is in the log already."""
        self.first_attempt = asyncio.Event()
        """Set when the first attempt to start has ended, well or badly."""
        self.stopped = asyncio.Event()
        """Set when the provider was told to stop and did, or took too long."""

    def run(self, after: Sequence[asyncio.Event]) -> None:
        """Begin in the background, once all of `after` are set."""
        self._task = asyncio.create_task(
            self._live(after), name=f"supervisor of {self.plan.api}/{self.plan.provider_id}"
        )

    async def stop(self, after: Sequence[asyncio.Event]) -> None:
        """End the background work and stop the provider, once all of `after` are set."""
        for event in after:
            await event.wait()
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            await self._stop_provider()
        finally:
            self.stopped.set()

    async def _live(self, after: Sequence[asyncio.Event]) -> None:
        try:
            for event in after:
                await event.wait()
            await self._keep_up()
        except Exception as error:
            log.exception("the supervisor of provider %s failed", self.plan.provider_id)
            self._fail(PluginError(f"unexpected {type(error).__name__}", distribution="hitchpost", stage="start"), None)
        finally:
            self.first_attempt.set()

    async def _keep_up(self) -> None:
        delay_s = RETRY_FIRST_S
        while not self._is_draining:
            try:
                await self._start()
            except HitchpostError as error:
                if self.plan.problem is not None or _is_permanent(error):
                    self._fail(error, None)
                    return
                self._fail(error, delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_LONGEST_S)
            else:
                delay_s = RETRY_FIRST_S
                await self._watch()

    @property
    def _is_draining(self) -> bool:
        return self.gate.state is ProviderState.draining

    async def _start(self) -> None:
        if self.plan.problem is not None:
            raise BackendUnavailableError(self.plan.problem, is_permanent=True)
        self.gate.provider = provider = await self._guarded("build", START_TIMEOUT_S, _in_own_thread, self._construct)
        try:
            await self._guarded("start", START_TIMEOUT_S, provider.start)
            self._hooks.register_provider(self.plan.api, self.plan.provider_id, provider)
            await self._synchronize(True)
        except BaseException:
            await self._stop_provider()
            raise
        self.gate.set_state(ProviderState.ready)
        self.first_attempt.set()

    def _construct(self) -> Provider[Any]:
        spec = self.plan.spec
        if spec is None:
            raise ConfigError(f"provider {self.plan.provider_id} has no provider type")
        try:
            provider = load_import_string(spec.factory)(
                self.plan.config, replace(self._deps(), health_changed=self._health_changed.set, jobs=self._jobs)
            )
        except StopIteration as error:
            # A future can't hold one: the thread that runs this would never be heard of again.
            raise RuntimeError("the factory raised StopIteration") from error
        distribution = spec.factory.partition(":")[0].partition(".")[0]
        if not isinstance(provider, Provider):
            message = f"factory {spec.factory} made {type(provider).__name__}, which is no subclass of hitchpost.plugin.Provider"
            raise PluginError(message, distribution=distribution, stage="start")
        methods = vars(PROTOCOLS[spec.api]) if spec.api in PROTOCOLS else ()
        missing = [name for name in methods if not name.startswith("_") and not hasattr(provider, name)]
        if missing:
            message = f"{type(provider).__name__} lacks methods of the API {spec.api}: {', '.join(missing)}"
            raise PluginError(message, distribution=distribution, stage="start")
        for promise in broken_promises(provider, spec.capabilities):
            self._warn_once(f"{promise}; implement what is missing, or take it out of the ProviderSpec")
        return provider

    def _warn_once(self, warning: str) -> None:
        """Also where the provider is built again."""
        if self._logged.get(warning) is None:
            self._logged[warning] = warning
            log.warning("provider %s of type %s: %s", self.plan.provider_id, self.plan.provider_type, warning)

    def _fail(self, error: HitchpostError, retry_after_s: float | None) -> None:
        self.gate.set_state(ProviderState.failed, error.message, retry_after_s=retry_after_s)
        self._withdraw()
        self.first_attempt.set()

    async def _watch(self) -> None:
        """Ask for its health until the end, now and then and when it says so; what it serves is asked again too."""
        while True:
            await asyncio.sleep(HEALTH_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEALTH_INTERVAL_S):
                    await self._health_changed.wait()
            self._health_changed.clear()
            provider = self.gate.provider
            if provider is None or self._is_draining:
                return
            try:
                await self._guarded("answer the health check", HEALTH_TIMEOUT_S, provider.health)
            except HitchpostError as error:
                self.gate.set_state(ProviderState.degraded, error.message)
                continue
            was_degraded = self.gate.state is ProviderState.degraded
            self.gate.set_state(ProviderState.ready)
            await self._synchronize(was_degraded)

    async def _stop_provider(self) -> None:
        provider, self.gate.provider = self.gate.provider, None
        self._hooks.unregister_provider(self.plan.api, self.plan.provider_id)
        await self._jobs.cancel_all(STOP_TIMEOUT_S)
        if provider is None:
            return
        try:
            await self._guarded("stop", STOP_TIMEOUT_S, provider.stop)
        except HitchpostError as error:
            log.warning("provider %s: %s", self.plan.provider_id, error.message)

    async def _guarded(self, what: str, timeout_s: float, step: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Await a step of somebody else's code; whatever it raises comes out as a HitchpostError that names the step.

        What the provider did not say in an error of ours stays in the log: callers read the reason too.
        """
        try:
            async with asyncio.timeout(timeout_s) as limit:
                answer = await step(*arguments)
        except BaseException as error:
            if isinstance(error, HitchpostError) or not is_failure(error):
                raise
            if limit.expired():
                raise BackendUnavailableError(f"it did not {what} within {timeout_s:g} s") from error
            self._log_failure(what, error)
            message = f"it failed to {what} with {type(error).__name__}; the log has the details"
            raise BackendUnavailableError(message) from error
        self._logged.pop(what, None)
        return answer

    def _log_failure(self, what: str, error: BaseException) -> None:
        """With its traceback, unless the step failed for the same reason the last time."""
        reason = describe(error)
        is_known = self._logged.get(what) == reason
        self._logged[what] = reason
        message = "provider %s failed to %s again: %s" if is_known else "provider %s failed to %s: %s"
        log.error(message, self.plan.provider_id, what, reason, exc_info=None if is_known else error)


def _is_permanent(error: HitchpostError) -> bool:
    if isinstance(error, BackendUnavailableError):
        return error.is_permanent
    return isinstance(error, ConfigError | PluginError)


async def _in_own_thread(build: Callable[[], Provider[Any]]) -> Provider[Any]:
    """What `build` returns or raises, from a thread of its own, as a factory may block.

    One that blocks for ever keeps neither the process from ending, as a thread of the loop's pool would, nor others from being built.
    """
    loop = asyncio.get_running_loop()
    built: asyncio.Future[Provider[Any]] = loop.create_future()

    def settle(provider: Provider[Any] | None, error: BaseException | None) -> None:
        if built.done():
            return
        if error is not None:
            built.set_exception(error)
        elif provider is not None:
            built.set_result(provider)

    def run() -> None:
        provider, failure = None, None
        try:
            provider = build()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            failure = error
        # The loop is closed where nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, provider, failure)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), name="factory", daemon=True).start()
    return await built


__all__ = ["Supervisor"]
