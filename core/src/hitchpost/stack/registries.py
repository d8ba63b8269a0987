"""The registries of a stack: filled from the plan, connected with their store and their providers."""

import logging
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from hitchpost.api import RESOURCE_KINDS, Api, Model, Resource
from hitchpost.config.home import path_safe, stack_home
from hitchpost.llama import find_llama_model
from hitchpost.plugin.manager import HookManager
from hitchpost.registry import Announcer, Persistence, ProviderCalls, ResourceRecords, ResourceRegistry
from hitchpost.registry.registry import no_meaning
from hitchpost.stack.plan import StackPlan
from hitchpost.store import KeyValueStore, open_store

WELL_KNOWN_NAMES: Mapping[type[Resource], Callable[[str], Hashable | None]] = {Model: find_llama_model}
"""Kinds of resources that have well-known names, and what tells which names mean the same."""

log = logging.getLogger("hitchpost.stack")


def registries_of(plan: StackPlan) -> dict[Api, ResourceRegistry[Any]]:
    """A registry per kind of resource, by the API that serves it, with what config and presets name."""
    registries: dict[Api, ResourceRegistry[Any]] = {
        kind.served_by: ResourceRegistry(kind, WELL_KNOWN_NAMES.get(kind, no_meaning)) for kind in RESOURCE_KINDS
    }
    for planned in plan.resources:
        resource = planned.request.resource(planned.provider_id)
        shadowing = registries[resource.served_by].add(resource, planned.origin)
        if shadowing:
            log.warning("%s", shadowing)
    return registries


def announcers_of(
    plan: StackPlan, registries: Mapping[Api, ResourceRegistry[Any]], persistence: Persistence, hooks: HookManager
) -> dict[Api, Announcer[Any]]:
    """What keeps each registry in step with its store and its providers."""
    name = path_safe(plan.name)
    return {
        api: Announcer(
            registry,
            ResourceRecords(registry.kind, persistence.get_store, name),
            ProviderCalls(registry.kind, hooks),
            frozenset(planned.provider_id for planned in plan.providers if planned.api is api),
        )
        for api, registry in registries.items()
    }


async def open_registry_store(plan: StackPlan) -> KeyValueStore:
    """The store of registrations that the config names; by default a file of this host's own."""
    return await open_store(plan.store, default_path=stack_home(plan.name) / "registry.db")


__all__ = ["announcers_of", "open_registry_store", "registries_of"]
