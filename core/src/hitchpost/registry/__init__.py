"""The registered resources: identity, owner, origin, how they are kept, and keeping the providers in step."""

from hitchpost.registry.announce import Announcer
from hitchpost.registry.apis import REGISTRY_APIS, RegisteredResources
from hitchpost.registry.metadata import check_metadata
from hitchpost.registry.owned_tasks import OwnedTasks
from hitchpost.registry.persistence import Persistence
from hitchpost.registry.provider_calls import ProviderCalls
from hitchpost.registry.records import ResourceRecords
from hitchpost.registry.registry import Entry, Origin, ResourceRegistry

__all__ = [
    "REGISTRY_APIS",
    "Announcer",
    "Entry",
    "Origin",
    "OwnedTasks",
    "Persistence",
    "ProviderCalls",
    "RegisteredResources",
    "ResourceRecords",
    "ResourceRegistry",
    "check_metadata",
]
