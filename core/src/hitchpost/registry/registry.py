"""The registered resources of one kind: identity, owner, origin and precedence. Knows no provider and no API."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

from hitchpost.api import Resource
from hitchpost.errors import BadRequestError, ConflictError, NotFoundError

ResourceT = TypeVar("ResourceT", bound=Resource)


class Origin(IntEnum):
    """Who registered a resource; the higher one wins an identifier."""

    discovered = 0
    """The provider listed it."""
    preset = 1
    api = 2
    """A client registered it while the host ran."""
    config = 3


@dataclass(slots=True)
class Entry(Generic[ResourceT]):
    """A registered resource; `problem` says why it can't be used now, if so."""

    resource: ResourceT
    origin: Origin
    problem: str | None = None


@dataclass(slots=True)
class ResourceRegistry(Generic[ResourceT]):
    """Entries by identifier. Several origins may register one identifier: the highest shadows the others, which come back when it goes.

    A discovered resource is called `provider_id/name`; it steps back while the same provider resource is registered under another identifier.
    """

    kind: type[ResourceT]
    _entries: dict[str, dict[Origin, Entry[ResourceT]]] = field(default_factory=dict)
    _by_provider_resource: dict[str, dict[tuple[str, Origin], Entry[ResourceT]]] = field(default_factory=dict)

    def entries(self) -> Iterator[Entry[ResourceT]]:
        """Every entry that a caller can name, in the order of registration."""
        return (entry for identifier in list(self._entries) if (entry := self.find(identifier)) is not None)

    def find(self, identifier: str) -> Entry[ResourceT] | None:
        """The entry that holds the identifier, if any."""
        origins = self._entries.get(identifier)
        if not origins:
            return None
        entry = origins[max(origins)]
        return None if self._steps_back(entry) else entry

    def of_provider_resource(self, provider_resource_id: str) -> list[Entry[ResourceT]]:
        """The entries that hold an identifier, registered ones first, by their provider's name for the resource."""
        found = list(self._by_provider_resource.get(provider_resource_id, {}).values())
        held = [entry for entry in found if self.find(entry.resource.identifier) is entry]
        return sorted(held, key=lambda entry: -entry.origin)

    def is_current(self, entry: Entry[ResourceT]) -> bool:
        """Whether an entry is still kept, and was not replaced since it was looked up."""
        return self._entries.get(entry.resource.identifier, {}).get(entry.origin) is entry

    def of_provider(self, provider_id: str) -> list[Entry[ResourceT]]:
        """All entries that a provider owns, shadowed ones included."""
        return [
            entry
            for origins in self._entries.values()
            for entry in origins.values()
            if entry.resource.provider_id == provider_id
        ]

    def find_same(self, resource: ResourceT) -> ResourceT | None:
        """What is registered already under this identifier and provider, unless only discovered; it answers a repeated registration.

        Raises:
            ConflictError: the identifier belongs to another provider by the run config or an earlier registration.
        """
        entry = self.find(resource.identifier)
        if entry is None or entry.origin < Origin.api:
            return None
        owner = entry.resource.provider_id
        if owner == resource.provider_id:
            return entry.resource
        raise ConflictError(
            f"{self._noun()} {resource.identifier!r} is registered at provider {owner} ({entry.origin.name}); "
            f"unregister it there first or choose another identifier",
        )

    def add(self, resource: ResourceT, origin: Origin, problem: str | None = None) -> str | None:
        """Keep a resource. Returns what is to be reported when it shadows another or is shadowed, else None."""
        origins = self._entries.setdefault(resource.identifier, {})
        previous = origins.get(origin)
        if previous is not None:
            self._forget(previous)
        entry = Entry(resource, origin, problem)
        origins[origin] = entry
        names = self._by_provider_resource.setdefault(resource.provider_resource_id, {})
        names[(resource.identifier, origin)] = entry
        others = [other for other in origins.values() if other is not entry]
        if previous is not None and previous.resource.provider_id != resource.provider_id:
            others.append(previous)
        if not others:
            return None
        winner = origins[max(origins)]
        loser = others[-1] if winner is entry else entry
        return (
            f"{self._noun()} {resource.identifier!r} of provider {winner.resource.provider_id} ({winner.origin.name}) "
            f"shadows that of provider {loser.resource.provider_id} ({loser.origin.name})"
        )

    def remove(self, identifier: str, origin: Origin) -> None:
        """Forget what an origin registered under an identifier; what it shadowed comes back."""
        origins = self._entries.get(identifier, {})
        entry = origins.pop(origin, None)
        if entry is not None:
            self._forget(entry)
        if not origins:
            self._entries.pop(identifier, None)

    def get_unregisterable(self, identifier: str) -> Entry[ResourceT]:
        """The entry that a client may unregister.

        Raises:
            NotFoundError: nothing has this identifier.
            ConflictError: it wasn't registered through the API; the message names its origin.
        """
        entry = self.find(identifier)
        if entry is None:
            raise NotFoundError(f"{self._noun().capitalize()} {identifier} not found", param=f"{self.kind.kind}_id")
        if entry.origin is not Origin.api:
            raise ConflictError(
                f"{self._noun()} {identifier!r} comes from origin {entry.origin.name}, not from a registration through the API; "
                f"it can't be unregistered here"
            )
        return entry

    def replace_discovered(self, provider_id: str, resources: list[ResourceT]) -> None:
        """Make the discovered resources of a provider exactly these."""
        wanted = {resource.identifier: resource for resource in resources}
        for entry in self.of_provider(provider_id):
            if entry.origin is Origin.discovered and entry.resource.identifier not in wanted:
                self.remove(entry.resource.identifier, Origin.discovered)
        for resource in wanted.values():
            self.add(resource, Origin.discovered)

    def check_sharing(self, resource: ResourceT) -> None:
        """Raises BadRequestError where another identifier of the same provider resource says something else of it."""
        base = _base_model(resource)
        for entry in self.of_provider_resource(resource.provider_resource_id):
            other = _base_model(entry.resource)
            if entry.resource.provider_id == resource.provider_id and base and other and base != other:
                raise BadRequestError(
                    f"{self._noun()} {entry.resource.identifier!r} stands for the same provider resource "
                    f"{resource.provider_resource_id!r} with another metadata.llama_model ({other}, not {base})",
                    param="metadata.llama_model",
                )

    def _steps_back(self, entry: Entry[ResourceT]) -> bool:
        if entry.origin is not Origin.discovered:
            return False
        names = self._by_provider_resource.get(entry.resource.provider_resource_id, {})
        return any(
            other.origin is not Origin.discovered
            and other.resource.provider_id == entry.resource.provider_id
            and other.origin is max(self._entries[other.resource.identifier])
            for other in names.values()
        )

    def _forget(self, entry: Entry[ResourceT]) -> None:
        names = self._by_provider_resource.get(entry.resource.provider_resource_id, {})
        names.pop((entry.resource.identifier, entry.origin), None)
        if not names:
            self._by_provider_resource.pop(entry.resource.provider_resource_id, None)

    def _noun(self) -> str:
        return self.kind.kind.replace("_", " ")


def _base_model(resource: Resource) -> str | None:
    metadata = getattr(resource, "metadata", None) or {}
    llama_model = metadata.get("llama_model")
    return llama_model if isinstance(llama_model, str) else None


__all__ = ["Entry", "Origin", "ResourceRegistry"]
