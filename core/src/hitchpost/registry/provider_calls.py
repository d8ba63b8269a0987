"""Calling the hooks of providers: each call has a time limit, and whatever goes wrong comes out as an error of ours."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic

from hitchpost.api import RequestContext
from hitchpost.errors import BadBackendAnswerError, DeadlineExceededError, HitchpostError, ProviderDefectError
from hitchpost.plugin.foreign import is_failure
from hitchpost.plugin.manager import HookManager
from hitchpost.registry.registry import ResourceT

HOOK_TIMEOUT_S = 30.0
"""How long a provider may take over one hook."""

log = logging.getLogger("hitchpost.registry")


class ProviderCalls(Generic[ResourceT]):
    """The hooks for one kind of resource.

    Args:
        kind: the class of the resources.
        hooks: knows the started providers.
    """

    def __init__(self, kind: type[ResourceT], hooks: HookManager) -> None:
        self._kind = kind
        self._hooks = hooks

    def is_running(self, provider_id: str) -> bool:
        """Whether the provider has been started, so that it can be told."""
        return bool(self._hooks.has_plugin(f"{self._kind.served_by}/{provider_id}"))

    def wants_registrations(self, provider_id: str) -> bool:
        """Whether the provider runs and wants to hear of registrations."""
        return self._find(self._kind.register_hook(), provider_id) is not None

    def wants_endings(self, provider_id: str) -> bool:
        """Whether the provider wants to hear of the end of registrations, or may want to once it runs."""
        return not self.is_running(provider_id) or self._find(self._kind.unregister_hook(), provider_id) is not None

    async def register(self, resource: ResourceT, context: RequestContext | None) -> ResourceT:
        """Tell the owner of a registration; one that doesn't run or has no such hook accepts everything.

        Returns: the resource as the provider completed it.

        Raises:
            HitchpostError: whatever the provider refuses with.
        """
        name, provider_id = self._kind.register_hook(), resource.provider_id
        hook = self._find(name, provider_id)
        if hook is None:
            return resource
        completed = await self._limited(hook, name, provider_id, **{self._kind.kind: resource, "context": context})
        if completed is None:
            return resource
        if not isinstance(completed, self._kind):
            message = f"hook {name} of provider {provider_id} answered {type(completed).__name__}"
            raise BadBackendAnswerError(message, provider_id=provider_id)
        return completed.copy_with(identifier=resource.identifier, provider_id=provider_id)

    async def unregister(self, resource: ResourceT, context: RequestContext | None) -> bool:
        """Tell the owner that a registration ended. Returns whether it knows now; a failure is reported."""
        name, provider_id = self._kind.unregister_hook(), resource.provider_id
        hook = self._find(name, provider_id)
        if hook is None:
            return self.is_running(provider_id)
        try:
            await self._limited(hook, name, provider_id, **{self._kind.kind: resource, "context": context})
        except HitchpostError as error:
            log.warning("provider %s failed to unregister %s: %s", provider_id, resource.identifier, error.message)
            return False
        return True

    async def served(self, provider_id: str) -> list[ResourceT] | None:
        """What a provider says that it serves; None where it doesn't say, or fails to, which is reported."""
        name = self._kind.list_hook()
        hook = self._find(name, provider_id)
        if hook is None:
            return None
        try:
            listed = await self._limited(hook, name, provider_id)
        except HitchpostError as error:
            log.warning("provider %s can't list what it serves: %s", provider_id, error.message)
            return None
        if not isinstance(listed, list | tuple) or not all(isinstance(item, self._kind) for item in listed):
            what = f"hook {name} answered what is no list of {self._kind.__name__}"
            log.warning("provider %s can't list what it serves: %s", provider_id, what)
            return None
        return [
            item.copy_with(identifier=f"{provider_id}/{item.provider_resource_id}", provider_id=provider_id)
            for item in listed
        ]

    def _find(self, hook: str, provider_id: str) -> Callable[..., Any] | None:
        return self._hooks.find_provider_hook(hook, self._kind.served_by, provider_id)

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


__all__ = ["HOOK_TIMEOUT_S", "ProviderCalls"]
