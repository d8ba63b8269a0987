"""Keeping the registry of one kind, its store and its providers in step.

A registration is told to its provider, then stored, then shown; its end is noted, stored, then told. So a process that dies at any moment leaves
a registration whole or not at all, and a provider that could not be told is told later. Both run to their end though the caller left: half
of one is worse than all of it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from hitchpost.api import RequestContext
from hitchpost.errors import (
    BackendUnavailableError,
    BadRequestError,
    ConflictError,
    DeadlineExceededError,
    HitchpostError,
)
from hitchpost.registry import provider_calls
from hitchpost.registry.owned_tasks import OwnedTasks
from hitchpost.registry.provider_calls import ProviderCalls
from hitchpost.registry.records import ResourceRecords
from hitchpost.registry.registry import Entry, Origin, ResourceRegistry, ResourceT

SIDE_BY_SIDE = 16
"""How many resources are announced at a time."""
PATIENCE = 3
"""After so many time limits that passed, a provider is not asked about the rest; that is done later."""
ASKED_AGAIN = 256
"""How many refused resources a provider is asked about again at a time."""

T = TypeVar("T")
log = logging.getLogger("hitchpost.registry")


class Announcer(Generic[ResourceT]):
    """Keeps one kind of resource in step.

    Args:
        registry: what is shown.
        records: what is stored.
        calls: how providers are told.
        provider_ids: the providers that this host has; a stored resource of another one is listed and can't be used.
    """

    def __init__(
        self,
        registry: ResourceRegistry[ResourceT],
        records: ResourceRecords[ResourceT],
        calls: ProviderCalls[ResourceT],
        provider_ids: Collection[str],
    ) -> None:
        self._registry = registry
        self._records = records
        self._calls = calls
        self._provider_ids = provider_ids
        self._owned = OwnedTasks()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changed_during_scan: set[str] | None = None
        self._first_asked_again = 0
        self._late: Counter[str] = Counter()
        """How often each provider took too long since it was last asked about everything."""

    async def register(self, resource: ResourceT, context: RequestContext | None) -> ResourceT:
        """Announce a resource to its provider and keep it if the provider accepts.

        Returns: what is kept; the stored object, unchanged, where the same identifier and provider were registered before.

        Raises:
            ConflictError: the identifier has another owner.
            BackendUnavailableError: the store can't be reached.
            HitchpostError: whatever the provider refuses with; nothing is kept then.
        """
        return await self._owned.run_to_end(self._register(resource, context))

    async def unregister(self, identifier: str, context: RequestContext | None) -> None:
        """End a registration that came through the API; a provider that fails at it is reported and told again later.

        Raises:
            NotFoundError: nothing is registered under the identifier.
            ConflictError: it wasn't registered through the API.
            BackendUnavailableError: the store can't be reached.
        """
        await self._owned.run_to_end(self._unregister(identifier, context))

    async def announce_all(self, provider_id: str) -> None:
        """Tell a provider that has just started what ended and what is registered at it, and ask what it serves by itself.

        What it refuses stays listed, with the reason, and can't be used.
        """
        await self._settle_endings(provider_id)
        await self._announce(
            provider_id, [entry for entry in self._registry.of_provider(provider_id) if self._is_told(entry)]
        )
        await self.discover(provider_id)

    async def look_again(self, provider_id: str) -> None:
        """Tell a running provider what it refused or failed at before, and ask what it serves by itself."""
        await self._settle_endings(provider_id)
        refused = [
            entry
            for entry in self._registry.of_provider(provider_id)
            if entry.problem is not None and self._is_told(entry)
        ]
        # Not all of very many at once, but each in its turn.
        start = self._first_asked_again % len(refused) if len(refused) > ASKED_AGAIN else 0
        self._first_asked_again = start + ASKED_AGAIN
        await self._announce(provider_id, (refused[start:] + refused[:start])[:ASKED_AGAIN])
        await self.discover(provider_id)

    async def discover(self, provider_id: str) -> None:
        """Ask a provider what it serves by itself; where it fails, what was known of it stays."""
        served = await self._calls.served(provider_id)
        if served is not None:
            self._registry.replace_discovered(provider_id, served)

    def forget_discovered(self, provider_id: str) -> None:
        """Discovered resources vanish with their backend."""
        self._registry.replace_discovered(provider_id, [])

    def key_prefix(self) -> str:
        """What the store's keys of this kind's registrations start with; the identifier follows."""
        return self._records.registered_prefix()

    async def reconcile_configured(self) -> None:
        """Compare the run config with what it registered before: the providers of what is gone are to be told."""
        before = await self._records.configured()
        now = {entry.resource.identifier: entry.declared for entry in self._registry.of_origin(Origin.config)}
        for identifier, old in before.items():
            new = now.get(identifier)
            if new is None or new.provider_id != old.provider_id:
                log.info("the run config no longer registers %s at provider %s", identifier, old.provider_id)
                await self._records.keep_ending(old)
            if new is None:
                await self._records.forget_configured(identifier)
        for identifier, new in now.items():
            if before.get(identifier) != new:
                try:
                    await self._records.keep_configured(new)
                except BadRequestError as error:
                    log.warning("%s of the run config can't be remembered: %s", identifier, error.message)

    async def take_in_all(self) -> None:
        """Bring the registry up to what is stored, whatever has happened since."""
        self._changed_during_scan = set()
        try:
            stored = await self._records.registered()
            known = {entry.resource.identifier: entry.declared for entry in self._registry.of_origin(Origin.api)}
            changed = [
                identifier
                for identifier in (*stored, *(known.keys() - stored.keys()))
                if stored.get(identifier) != known.get(identifier)
            ]

            async def take_in(identifier: str) -> None:
                async with self._lock(identifier):
                    if identifier in (self._changed_during_scan or ()):
                        await self._catch_up(identifier)
                    else:
                        await self._take_in(identifier, stored.get(identifier))

            await _side_by_side(changed, take_in)
        finally:
            self._changed_during_scan = None

    async def take_in(self, identifier: str) -> None:
        """Bring one identifier up to what is stored, as another host has changed it."""
        async with self._lock(identifier):
            await self._catch_up(identifier)

    async def close(self) -> None:
        """Wait for registrations that are under way; what takes longer than a hook may is given up."""
        await self._owned.close(provider_calls.HOOK_TIMEOUT_S)

    async def _register(self, resource: ResourceT, context: RequestContext | None) -> ResourceT:
        self._records.check_identifier(resource.identifier)
        async with self._lock(resource.identifier):
            self._note_change(resource.identifier)
            await self._catch_up(resource.identifier)
            stored = self._registry.find_same(resource)
            if stored is not None:
                return stored
            self._registry.check_room()
            self._registry.check_sharing(resource)
            accepted = await self._calls.register(resource, context)
            try:
                self._registry.check_sharing(accepted)
                is_kept = await self._keep(accepted)
            except HitchpostError:
                await self._withdraw(accepted, context)
                raise
            if not is_kept:
                return await self._give_way(accepted, context)
            self._report(self._registry.add(accepted, Origin.api))
            return accepted

    async def _unregister(self, identifier: str, context: RequestContext | None) -> None:
        async with self._lock(identifier):
            self._note_change(identifier)
            await self._catch_up(identifier)
            resource = self._registry.get_unregisterable(identifier).resource
            is_to_tell = self._calls.wants_endings(resource.provider_id)
            if is_to_tell:
                await self._records.keep_ending(resource)
            await self._records.remove(identifier)
            self._registry.remove(identifier, Origin.api)
            if await self._withdraw(resource, context) and is_to_tell:
                await self._forget_ending(resource)

    async def _keep(self, accepted: ResourceT) -> bool:
        try:
            return await self._records.add(accepted)
        except BackendUnavailableError:
            # It has happened whole or not at all, and only a look tells which. Where that fails too, the next scan will.
            if await self._records.find(accepted.identifier) == accepted:
                return True
            raise

    async def _give_way(self, accepted: ResourceT, context: RequestContext | None) -> ResourceT:
        """Another host has registered the identifier at the same moment."""
        winner = await self._records.find(accepted.identifier)
        if winner is None or winner.provider_id != accepted.provider_id:
            await self._withdraw(accepted, context)
        await self._take_in(accepted.identifier, winner)
        stored = self._registry.find_same(accepted)
        if stored is None:
            raise ConflictError(
                f"{self._registry.noun} {accepted.identifier!r} was registered and unregistered elsewhere at the same moment, "
                f"or the store holds something unreadable in its place; register it again or choose another identifier"
            )
        return stored

    async def _withdraw(self, resource: ResourceT, context: RequestContext | None) -> bool:
        """Tell a provider that a registration ended; where another origin has it registered there too, tell it of that one again.

        Returns: whether it knows now.
        """
        rest = self._registry.find_registered_at(resource.identifier, resource.provider_id)
        if rest is None:
            return await self._calls.unregister(resource, context)
        await self._tell(rest)
        return True

    async def _catch_up(self, identifier: str) -> None:
        await self._take_in(identifier, await self._records.find(identifier))

    async def _take_in(self, identifier: str, stored: ResourceT | None) -> None:
        known = self._registry.find_from(identifier, Origin.api)
        if stored == (known.declared if known else None):
            return
        if known is not None and (stored is None or stored.provider_id != known.resource.provider_id):
            self._registry.remove(identifier, Origin.api)
            is_running = self._calls.is_running(known.resource.provider_id)
            # One that doesn't run remembers nothing of its own, or shares its memory with the host that has told it.
            if is_running and not await self._withdraw(known.resource, None):
                await self._records.keep_ending(known.resource)
        if stored is not None:
            counts = self._registry.find_registered_at(identifier, stored.provider_id)
            is_outdone = counts is not None and counts.origin > Origin.api
            accepted, problem = (stored, None) if is_outdone else await self._ask(stored)
            self._report(self._registry.add(accepted, Origin.api, problem, declared=stored))

    def _is_told(self, entry: Entry[ResourceT]) -> bool:
        """Whether an entry is what its provider knows under the identifier; one from several origins is told once, as the highest has it."""
        return self._registry.find_registered_at(entry.resource.identifier, entry.resource.provider_id) is entry

    async def _ask(self, declared: ResourceT, known_problem: str | None = None) -> tuple[ResourceT, str | None]:
        """What its provider makes of a resource, and why it can't be used, if so; a problem that is known is not reported again."""
        provider_id = declared.provider_id
        if provider_id not in self._provider_ids:
            return declared, f"this host has no provider {provider_id} of {self._registry.kind.served_by}"
        if self._late[provider_id] >= PATIENCE:
            return declared, f"provider {provider_id} took too long over others; it will be asked again"
        try:
            return await self._calls.register(declared, None), None
        except HitchpostError as error:
            self._late[provider_id] += isinstance(error, DeadlineExceededError)
            if error.message != known_problem:
                log.warning("provider %s refuses %s: %s", provider_id, declared.identifier, error.message)
            return declared, error.message

    async def _announce(self, provider_id: str, entries: Collection[Entry[ResourceT]]) -> None:
        wants_to_hear = self._calls.wants_registrations(provider_id)
        self._late[provider_id] = 0

        async def announce(entry: Entry[ResourceT]) -> None:
            if not wants_to_hear:
                entry.problem = None
                return
            async with self._lock(entry.resource.identifier):
                if self._registry.is_current(entry):
                    await self._tell(entry)

        await _side_by_side(entries, announce)

    async def _tell(self, entry: Entry[ResourceT]) -> None:
        accepted, entry.problem = await self._ask(entry.declared, entry.problem)
        if entry.problem is None and accepted != entry.resource:
            self._registry.add(accepted, entry.origin, declared=entry.declared)

    async def _settle_endings(self, provider_id: str) -> None:
        """Tell a provider of ends that it could not be told of before; what can't be done now is done at the next occasion."""
        try:
            for ended in await self._records.endings(provider_id):
                async with self._lock(ended.identifier):
                    stored = await self._records.find(ended.identifier)
                    is_stored = stored is not None and stored.provider_id == provider_id
                    if is_stored or self._registry.find_registered_at(ended.identifier, provider_id) is not None:
                        continue
                    if await self._calls.unregister(ended, None):
                        await self._records.forget_ending(ended)
        except BackendUnavailableError as error:
            log.warning("provider %s can't be told yet what has ended: %s", provider_id, error.message)

    async def _forget_ending(self, resource: ResourceT) -> None:
        try:
            await self._records.forget_ending(resource)
        except BackendUnavailableError as error:
            # The registration has ended; its provider will merely hear of it twice.
            log.warning("the end of %s can't be ticked off: %s", resource.identifier, error.message)

    def _note_change(self, identifier: str) -> None:
        if self._changed_during_scan is not None:
            self._changed_during_scan.add(identifier)

    def _report(self, shadowing: str | None) -> None:
        if shadowing:
            log.warning("%s", shadowing)

    def _lock(self, identifier: str) -> asyncio.Lock:
        lock = self._locks.get(identifier)
        if lock is None:
            lock = self._locks[identifier] = asyncio.Lock()
        return lock


async def _side_by_side(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on all, some at a time, letting others have their turn."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for _ in range(SIDE_BY_SIDE):
            group.create_task(worker())


__all__ = ["Announcer"]
