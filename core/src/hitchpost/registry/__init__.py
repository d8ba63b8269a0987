"""The registered resources: identity, owner, origin, and keeping the providers in step."""

from hitchpost.registry.announce import Announcer
from hitchpost.registry.models import RegisteredModels, check_metadata
from hitchpost.registry.owned_tasks import OwnedTasks
from hitchpost.registry.registry import Entry, Origin, ResourceRegistry

__all__ = ["Announcer", "Entry", "Origin", "OwnedTasks", "RegisteredModels", "ResourceRegistry", "check_metadata"]
