"""How registrations are kept in the store, under three families of keys.

    distributions:registry:v2::<kind>:<identifier>                 registered through the API: the resource as JSON, as llama-stack keeps it
    hitchpost:registry:config:<host>:<kind>:<identifier>           what the run config of a host has registered, to notice what was removed
    hitchpost:registry:ending:<kind>:<provider_id>:<identifier>    what a provider is still to be told the end of

Each registration is one value under one key, so a process that dies leaves it whole or not at all. An `ending` record counts only while
nothing is registered under its identifier at its provider.
"""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Generic

from pydantic import ValidationError

from hitchpost.errors import BadRequestError
from hitchpost.registry.registry import ResourceT
from hitchpost.store import KeyValueStore

REGISTERED = "distributions:registry:v2::"
MAX_IDENTIFIER_BYTES = 700
"""The rest of the longest key is for the names of kind, host and provider."""

log = logging.getLogger("hitchpost.registry")


class ResourceRecords(Generic[ResourceT]):
    """The stored registrations of one kind.

    Args:
        kind: the class of the resources.
        get_store: the store, or BackendUnavailableError while there is none; every method raises that.
        host: under which name this host's config is remembered, the same at each of its starts.
    """

    def __init__(self, kind: type[ResourceT], get_store: Callable[[], KeyValueStore], host: str) -> None:
        self._kind = kind
        self._get_store = get_store
        self._host = host

    def check_identifier(self, identifier: str) -> None:
        """Raises BadRequestError where an identifier is too long to be kept."""
        size = len(identifier.encode())
        if size > MAX_IDENTIFIER_BYTES:
            message = f"the identifier is {size} bytes long; at most {MAX_IDENTIFIER_BYTES} are kept"
            raise BadRequestError(message, param=f"{self._kind.kind}_id")

    # --- registered through the API ---

    def registered_prefix(self) -> str:
        """What the keys of registrations start with; the identifier follows."""
        return f"{REGISTERED}{self._kind.kind}:"

    async def registered(self) -> dict[str, ResourceT]:
        """What is registered, by identifier."""
        return {resource.identifier: resource async for resource in self._scan(self.registered_prefix(), self._key)}

    async def find(self, identifier: str) -> ResourceT | None:
        """The registration of an identifier, if there is one that can be read."""
        key = self.registered_prefix() + identifier
        text = await self._get_store().get(key)
        return None if text is None else self._read(key, text, self._key)

    async def add(self, resource: ResourceT) -> bool:
        """Keep a registration unless the identifier has one. Returns whether it was kept."""
        return await self._get_store().put_if_absent(self._key(resource), resource.model_dump_json())

    async def remove(self, identifier: str) -> None:
        """Forget a registration."""
        await self._get_store().delete(self.registered_prefix() + identifier)

    # --- registered by the run config ---

    async def configured(self) -> dict[str, ResourceT]:
        """What the run config of this host had registered when it was last looked at."""
        found = self._scan(self._configured_prefix(), self._configured_key)
        return {resource.identifier: resource async for resource in found}

    async def keep_configured(self, resource: ResourceT) -> None:
        """Remember what the run config registers."""
        self.check_identifier(resource.identifier)
        await self._get_store().set(self._configured_key(resource), resource.model_dump_json())

    async def forget_configured(self, identifier: str) -> None:
        """The run config no longer registers it."""
        await self._get_store().delete(self._configured_prefix() + identifier)

    # --- ended, but its provider hasn't heard yet ---

    async def endings(self, provider_id: str) -> list[ResourceT]:
        """What this provider is still to be told the end of."""
        found = self._scan(self._ending_prefix(provider_id), self._ending_key)
        # Provider ids may hold colons, so another provider's records can have this prefix too.
        return [resource async for resource in found if resource.provider_id == provider_id]

    async def keep_ending(self, resource: ResourceT) -> None:
        """Remember to tell its provider of the end of a registration."""
        await self._get_store().set(self._ending_key(resource), resource.model_dump_json())

    async def forget_ending(self, resource: ResourceT) -> None:
        """Its provider knows."""
        await self._get_store().delete(self._ending_key(resource))

    def _key(self, resource: ResourceT) -> str:
        return self.registered_prefix() + resource.identifier

    def _configured_key(self, resource: ResourceT) -> str:
        return self._configured_prefix() + resource.identifier

    def _configured_prefix(self) -> str:
        return f"hitchpost:registry:config:{self._host}:{self._kind.kind}:"

    def _ending_prefix(self, provider_id: str) -> str:
        return f"hitchpost:registry:ending:{self._kind.kind}:{provider_id}:"

    def _ending_key(self, resource: ResourceT) -> str:
        return self._ending_prefix(resource.provider_id) + resource.identifier

    async def _scan(self, prefix: str, key_of: Callable[[ResourceT], str]) -> AsyncIterator[ResourceT]:
        async for key, text in self._get_store().scan(prefix):
            resource = self._read(key, text, key_of)
            if resource is not None:
                yield resource

    def _read(self, key: str, text: str, key_of: Callable[[ResourceT], str]) -> ResourceT | None:
        """The resource, or None, reported, where the value is none or belongs under another key; it is left as it is."""
        try:
            resource = self._kind.from_json(text)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            log.error("the store's value under %s is no %s: %s", key, self._kind.kind, problem["msg"])
            return None
        if key_of(resource) != key:
            log.error("the store's value under %s is that of %r", key, resource.identifier)
            return None
        return resource


__all__ = ["MAX_IDENTIFIER_BYTES", "REGISTERED", "ResourceRecords"]
