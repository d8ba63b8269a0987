"""The registered resources of one kind: identity, owner, origin and precedence. Knows no provider and no API."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from enum import IntEnum
from typing import Generic, TypeVar

from hitchpost.api import Resource
from hitchpost.errors import BadRequestError, ConflictError, NotFoundError, quoted

ResourceT = TypeVar("ResourceT", bound=Resource)

MAX_REGISTERED = 100_000
"""So many resources of one kind can be registered through the API."""


class Origin(IntEnum):
    """Who registered a resource; the higher one wins an identifier."""

    discovered = 0
    """The provider listed it."""
    preset = 1
    api = 2
    """A client registered it while the host ran."""
    config = 3


class Entry(Generic[ResourceT]):
    """A registered resource."""

    __slots__ = ("declared", "origin", "problem", "resource")

    def __init__(
        self, resource: ResourceT, origin: Origin, problem: str | None = None, declared: ResourceT | None = None
    ) -> None:
        self.resource = resource
        """As its provider completed it last."""
        self.origin = origin
        self.problem = problem
        """Why it can't be used now, if so."""
        self.declared = resource if declared is None else declared
        """As it was registered, which is what its provider is told at each start."""


Place = tuple[str, Origin]
"""Identifier and origin, which have one entry at most."""


def no_meaning(name: str) -> None:
    """For kinds of resources that have no well-known names."""


class ResourceRegistry(Generic[ResourceT]):
    """Entries by identifier. Several origins may register one identifier: the highest shadows the others, which come back when it goes.

    A discovered resource is called `provider_id/name`; it steps back while the same provider resource is registered under another identifier.

    Args:
        kind: the class of the resources.
        find_meaning: what a name stands for wherever it is used, so that a resource is found by every other name of the same; else None.
    """

    def __init__(
        self,
        kind: type[ResourceT],
        find_meaning: Callable[[str], Hashable | None] = no_meaning,
    ) -> None:
        self.kind = kind
        self._find_meaning = find_meaning
        self._entries: dict[str, dict[Origin, Entry[ResourceT]]] = {}
        self._index: dict[tuple[str, Hashable], dict[Place, Entry[ResourceT]]] = {}
        self._counts: Counter[Origin] = Counter()

    @property
    def noun(self) -> str:
        """What a resource of the kind is called in messages."""
        return self.kind.kind.replace("_", " ")

    def entries(self) -> Iterator[Entry[ResourceT]]:
        """Every entry that a caller can name, in the order of registration."""
        for origins in list(self._entries.values()):
            entry = origins[max(origins)] if origins else None
            if entry is not None and not self._steps_back(entry):
                yield entry

    def find(self, identifier: str) -> Entry[ResourceT] | None:
        """The entry that holds the identifier, if any."""
        origins = self._entries.get(identifier)
        if not origins:
            return None
        entry = origins[max(origins)]
        return None if self._steps_back(entry) else entry

    def find_from(self, identifier: str, origin: Origin) -> Entry[ResourceT] | None:
        """The entry that an origin registered under an identifier, shadowed or not."""
        return self._entries.get(identifier, {}).get(origin)

    def of_origin(self, origin: Origin) -> list[Entry[ResourceT]]:
        """All entries of an origin, shadowed ones included."""
        return [origins[origin] for origins in self._entries.values() if origin in origins]

    def of_provider(self, provider_id: str) -> list[Entry[ResourceT]]:
        """All entries that a provider owns, shadowed ones included."""
        return list(self._index.get(("provider", provider_id), {}).values())

    def of_provider_resource(self, provider_resource_id: str) -> list[Entry[ResourceT]]:
        """The entries that hold an identifier, registered ones first, by their provider's name for the resource."""
        return self._held("name", provider_resource_id)

    def of_meaning(self, name: str) -> list[Entry[ResourceT]]:
        """The entries that hold an identifier, registered ones first, one of whose names means the same as this one."""
        meaning = self._find_meaning(name)
        return [] if meaning is None else self._held("meaning", meaning)

    def is_current(self, entry: Entry[ResourceT]) -> bool:
        """Whether an entry is still kept, and was not replaced since it was looked up."""
        return self.find_from(entry.resource.identifier, entry.origin) is entry

    def find_registered_at(self, identifier: str, provider_id: str) -> Entry[ResourceT] | None:
        """The entry by which anybody but the provider itself has registered the identifier at the provider, shadowed or not."""
        for origin, entry in sorted(self._entries.get(identifier, {}).items(), reverse=True):
            if entry.resource.provider_id == provider_id and origin is not Origin.discovered:
                return entry
        return None

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
            f"{self.noun} {quoted(resource.identifier)} is registered at provider {owner} ({entry.origin.name}); "
            f"unregister it there first or choose another identifier",
        )

    def add(
        self, resource: ResourceT, origin: Origin, problem: str | None = None, declared: ResourceT | None = None
    ) -> str | None:
        """Keep a resource. Returns what is to be reported when it shadows another or is shadowed, else None."""
        origins = self._entries.setdefault(resource.identifier, {})
        previous = origins.get(origin)
        if previous is not None:
            self._forget(previous)
        entry = Entry(resource, origin, problem, declared)
        origins[origin] = entry
        self._counts[origin] += 1
        for key in self._keys_of(entry):
            self._index.setdefault(key, {})[resource.identifier, origin] = entry
        if previous is not None and previous.resource.provider_id != resource.provider_id:
            return self._say(entry, previous)
        return self.describe_shadowing(resource.identifier)

    def remove(self, identifier: str, origin: Origin) -> None:
        """Forget what an origin registered under an identifier; what it shadowed comes back."""
        origins = self._entries.get(identifier, {})
        entry = origins.pop(origin, None)
        if entry is not None:
            self._forget(entry)
        if not origins:
            self._entries.pop(identifier, None)

    def describe_shadowing(self, identifier: str) -> str | None:
        """Which entry of an identifier shadows which, for people; None where there is one at most."""
        entries = sorted(self._entries.get(identifier, {}).values(), key=lambda entry: -entry.origin)
        return "; ".join(self._say(entries[0], other) for other in entries[1:]) or None

    def get_unregisterable(self, identifier: str) -> Entry[ResourceT]:
        """The entry that a client may unregister.

        Raises:
            NotFoundError: nothing has this identifier.
            ConflictError: it wasn't registered through the API; the message names its origin.
        """
        entry = self.find(identifier)
        if entry is None:
            raise NotFoundError(
                f"{self.noun.capitalize()} {quoted(identifier, '')} not found", param=f"{self.kind.kind}_id"
            )
        if entry.origin is not Origin.api:
            raise ConflictError(
                f"{self.noun} {quoted(identifier)} comes from origin {entry.origin.name}, not from a registration through the API; "
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

    def check_room(self) -> None:
        """Raises BadRequestError where no further resource can be registered through the API."""
        if self._counts[Origin.api] >= MAX_REGISTERED:
            raise BadRequestError(
                f"{MAX_REGISTERED:,} {self.noun}s are registered, which is the most that this host keeps; unregister some first"
            )

    def check_sharing(self, resource: ResourceT) -> None:
        """Raises BadRequestError where another identifier of the same provider resource says something else of it."""
        base = _base_model(resource)
        if base is None:
            return
        for entry in self.of_provider_resource(resource.provider_resource_id):
            other = _base_model(entry.resource)
            if entry.resource.provider_id == resource.provider_id and other and base != other:
                raise BadRequestError(
                    f"{self.noun} {quoted(entry.resource.identifier)} stands for the same provider resource "
                    f"{quoted(resource.provider_resource_id)} with another metadata.llama_model ({quoted(other, '')}, not {quoted(base, '')})",
                    param="metadata.llama_model",
                )

    def _held(self, what: str, value: Hashable) -> list[Entry[ResourceT]]:
        found = self._index.get((what, value), {}).values()
        held = [entry for entry in found if self.find(entry.resource.identifier) is entry]
        return sorted(held, key=lambda entry: -entry.origin)

    def _steps_back(self, entry: Entry[ResourceT]) -> bool:
        if entry.origin is not Origin.discovered:
            return False
        return any(
            other.origin is not Origin.discovered
            and other.resource.provider_id == entry.resource.provider_id
            and other.origin is max(self._entries[other.resource.identifier])
            for other in self._index.get(("name", entry.resource.provider_resource_id), {}).values()
        )

    def _keys_of(self, entry: Entry[ResourceT]) -> Iterator[tuple[str, Hashable]]:
        yield "provider", entry.resource.provider_id
        yield "name", entry.resource.provider_resource_id
        names = (entry.resource.identifier, entry.resource.provider_resource_id, _base_model(entry.resource))
        for meaning in {self._find_meaning(name) for name in names if name is not None} - {None}:
            yield "meaning", meaning

    def _forget(self, entry: Entry[ResourceT]) -> None:
        self._counts[entry.origin] -= 1
        for key in self._keys_of(entry):
            entries = self._index.get(key, {})
            entries.pop((entry.resource.identifier, entry.origin), None)
            if not entries:
                self._index.pop(key, None)

    def _say(self, winner: Entry[ResourceT], loser: Entry[ResourceT]) -> str:
        return (
            f"{self.noun} {winner.resource.identifier!r} of provider {winner.resource.provider_id} ({winner.origin.name}) "
            f"shadows that of provider {loser.resource.provider_id} ({loser.origin.name})"
        )


def _base_model(resource: Resource) -> str | None:
    metadata = getattr(resource, "metadata", None) or {}
    llama_model = metadata.get("llama_model")
    return llama_model if isinstance(llama_model, str) else None


__all__ = ["MAX_REGISTERED", "Entry", "Origin", "Place", "ResourceRegistry", "no_meaning"]
