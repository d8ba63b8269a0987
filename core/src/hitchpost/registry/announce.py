"""Telling providers what is registered, and asking them what they serve.

Registering and unregistering run to their end though the caller left: half of one is worse than all of it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic
from weakref import WeakValueDictionary

from hitchpost.api import RequestContext
from hitchpost.errors import BadBackendAnswerError, DeadlineExceededError, HitchpostError, ProviderDefectError
from hitchpost.plugin.foreign import is_failure
from hitchpost.plugin.manager import HookManager
from hitchpost.registry.owned_tasks import OwnedTasks
from hitchpost.registry.registry import Origin, ResourceRegistry, ResourceT

HOOK_TIMEOUT_S = 30.0
"""How long a provider may take over one hook."""

log = logging.getLogger("hitchpost.registry")


class Announcer(Generic[ResourceT]):
    """Keeps a registry and its providers in step."""

    def __init__(self, registry: ResourceRegistry[ResourceT], hooks: HookManager) -> None:
        self._registry = registry
        self._hooks = hooks
        self._owned = OwnedTasks()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def register(self, resource: ResourceT, context: RequestContext | None) -> ResourceT:
        """Announce a resource to its provider and keep it if the provider accepts.

        Returns: what is kept; the stored object, unchanged, where the same identifier and provider were registered before.

        Raises:
            ConflictError: the identifier has another owner.
            HitchpostError: whatever the provider refuses with; nothing is kept then.
        """
        return await self._owned.run_to_end(self._register(resource, context))

    async def unregister(self, identifier: str, context: RequestContext | None) -> None:
        """End a registration that came through the API; a provider that fails at it is reported, and the registration ends all the same."""
        await self._owned.run_to_end(self._unregister(identifier, context))

    async def announce_all(self, provider_id: str) -> None:
        """Tell a provider that has just started what is registered at it, and ask what it serves by itself.

        What it refuses stays listed, with the reason, and can't be used.
        """
        registered = [
            entry for entry in self._registry.of_provider(provider_id) if entry.origin is not Origin.discovered
        ]
        for entry in registered:
            async with self._lock(entry.resource.identifier):
                if not self._registry.is_current(entry):
                    continue
                try:
                    accepted = await self._tell(entry.resource, None)
                except HitchpostError as error:
                    entry.problem = error.message
                    log.warning("provider %s refuses %s: %s", provider_id, entry.resource.identifier, error.message)
                else:
                    self._registry.add(accepted, entry.origin)
        await self.discover(provider_id)

    async def discover(self, provider_id: str) -> None:
        """Ask a provider what it serves by itself; where it fails, what was known of it stays."""
        kind = self._registry.kind
        hook = self._hooks.find_provider_hook(kind.list_hook(), kind.served_by, provider_id)
        if hook is None:
            return
        try:
            listed = await self._limited(hook, kind.list_hook(), provider_id)
        except HitchpostError as error:
            log.warning("provider %s can't list what it serves: %s", provider_id, error.message)
            return
        if not isinstance(listed, list | tuple) or not all(isinstance(item, kind) for item in listed):
            what = f"hook {kind.list_hook()} answered what is no list of {kind.__name__}"
            log.warning("provider %s can't list what it serves: %s", provider_id, what)
            return
        resources = [
            item.copy_with(identifier=f"{provider_id}/{item.provider_resource_id}", provider_id=provider_id)
            for item in listed
        ]
        self._registry.replace_discovered(provider_id, resources)

    def forget_discovered(self, provider_id: str) -> None:
        """Discovered resources vanish with their backend."""
        self._registry.replace_discovered(provider_id, [])

    async def close(self) -> None:
        """Wait for registrations that are under way; what takes longer than a hook may is given up."""
        await self._owned.close(HOOK_TIMEOUT_S)

    async def _register(self, resource: ResourceT, context: RequestContext | None) -> ResourceT:
        async with self._lock(resource.identifier):
            stored = self._registry.find_same(resource)
            if stored is not None:
                return stored
            self._registry.check_sharing(resource)
            accepted = await self._tell(resource, context)
            try:
                self._registry.check_sharing(accepted)
            except HitchpostError:
                await self._untell(accepted, context)
                raise
            shadowing = self._registry.add(accepted, Origin.api)
            if shadowing:
                log.info("%s", shadowing)
            return accepted

    async def _unregister(self, identifier: str, context: RequestContext | None) -> None:
        async with self._lock(identifier):
            entry = self._registry.get_unregisterable(identifier)
            self._registry.remove(identifier, Origin.api)
            await self._untell(entry.resource, context)

    async def _untell(self, resource: ResourceT, context: RequestContext | None) -> None:
        kind, provider_id = self._registry.kind, resource.provider_id
        hook = self._hooks.find_provider_hook(kind.unregister_hook(), kind.served_by, provider_id)
        if hook is None:
            return
        try:
            await self._limited(hook, kind.unregister_hook(), provider_id, **{kind.kind: resource, "context": context})
        except HitchpostError as error:
            log.warning("provider %s failed to unregister %s: %s", provider_id, resource.identifier, error.message)

    async def _tell(self, resource: ResourceT, context: RequestContext | None) -> ResourceT:
        kind = self._registry.kind
        hook = self._hooks.find_provider_hook(kind.register_hook(), kind.served_by, resource.provider_id)
        if hook is None:
            return resource
        arguments = {kind.kind: resource, "context": context}
        completed = await self._limited(hook, kind.register_hook(), resource.provider_id, **arguments)
        if completed is None:
            return resource
        if not isinstance(completed, kind):
            message = (
                f"hook {kind.register_hook()} of provider {resource.provider_id} answered {type(completed).__name__}"
            )
            raise BadBackendAnswerError(message, provider_id=resource.provider_id)
        return completed.copy_with(identifier=resource.identifier, provider_id=resource.provider_id)

    async def _limited(self, call: Callable[..., Any], hook: str, provider_id: str, **arguments: Any) -> Any:
        try:
            async with asyncio.timeout(HOOK_TIMEOUT_S) as limit:
                return await call(**arguments)
        except BaseException as error:
            if not is_failure(error):
                raise
            if limit.expired():
                message = f"provider {provider_id} did not answer {hook} within {HOOK_TIMEOUT_S:g} s"
                raise DeadlineExceededError(message, provider_id=provider_id) from error
            if isinstance(error, HitchpostError):
                error.provider_id = error.provider_id or provider_id
                raise
            log.exception("hook %s of provider %s failed", hook, provider_id)
            message = (
                f"hook {hook} of provider {provider_id} failed with {type(error).__name__}; the log has the details"
            )
            raise ProviderDefectError(message, provider_id=provider_id) from error

    def _lock(self, identifier: str) -> asyncio.Lock:
        lock = self._locks.get(identifier)
        if lock is None:
            lock = self._locks[identifier] = asyncio.Lock()
        return lock


__all__ = ["HOOK_TIMEOUT_S", "Announcer"]
