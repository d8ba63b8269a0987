"""From the identifier in a request to the resource that it names."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Generic

from hitchpost.errors import BackendUnavailableError, BadRequestError, NotFoundError, quoted
from hitchpost.registry import Entry, ResourceRegistry
from hitchpost.registry.registry import ResourceT

NAMED_AT_MOST = 20
"""How many identifiers an error message lists."""


class Resolver(Generic[ResourceT]):
    """Finds a resource by, in this order: its registered identifier; another known name of the same thing; `provider_id/name`; the bare
    name that its provider uses, where only one owner has it.

    Args:
        registry: the resources of one kind.
        provider_ids: the providers that may own them.
        check_serving: raises BackendUnavailableError, with the reason, where the provider of an id can't serve.
    """

    def __init__(
        self,
        registry: ResourceRegistry[ResourceT],
        provider_ids: Sequence[str],
        check_serving: Callable[[str], None] = lambda provider_id: None,
    ) -> None:
        self._registry = registry
        self._provider_ids = provider_ids
        self._check_serving = check_serving

    def get_entry(self, identifier: str) -> Entry[ResourceT]:
        """What `identifier` names, whether or not it can be used at present.

        Raises:
            NotFoundError: there is none.
            BadRequestError: several owners have it; the message lists them.
            BackendUnavailableError: the provider that it names can't be asked what it has.
        """
        return self._registry.find(identifier) or self._by_other_name(identifier)

    def get(self, identifier: str) -> ResourceT:
        """The resource that `identifier` names, to be used.

        Raises:
            NotFoundError, BadRequestError: as `get_entry`.
            BackendUnavailableError: as `get_entry`, or its provider refuses it at present.
        """
        entry = self.get_entry(identifier)
        if entry.problem is not None:
            raise BackendUnavailableError(
                f"{self._registry.noun} {quoted(identifier)} can't be used: {entry.problem}",
                provider_id=entry.resource.provider_id,
                is_permanent=True,
            )
        return entry.resource

    def _by_other_name(self, identifier: str) -> Entry[ResourceT]:
        aliases = self._registry.of_meaning(identifier)
        if aliases:
            return self._only_owner(identifier, aliases)
        provider_id, _, rest = identifier.partition("/")
        if rest and provider_id in self._provider_ids:
            owned = [
                entry
                for entry in self._registry.of_provider_resource(rest)
                if entry.resource.provider_id == provider_id
            ]
            if owned:
                return owned[0]
            self._check_serving(provider_id)
        named = self._registry.of_provider_resource(identifier)
        if named:
            return self._only_owner(identifier, named)
        raise self._not_found(identifier)

    def _only_owner(self, identifier: str, entries: list[Entry[ResourceT]]) -> Entry[ResourceT]:
        owners = sorted({entry.resource.provider_id for entry in entries})
        if len(owners) > 1:
            choices = sorted(entry.resource.identifier for entry in entries)
            more = f" and {len(choices) - NAMED_AT_MOST} more" if len(choices) > NAMED_AT_MOST else ""
            message = (
                f"{self._registry.noun} {quoted(identifier)} is served by several providers ({', '.join(owners)}); "
                f"ask for one of: {', '.join(choices[:NAMED_AT_MOST])}{more}"
            )
            raise BadRequestError(message, param=f"{self._registry.kind.kind}_id")
        return entries[0]

    def _not_found(self, identifier: str) -> NotFoundError:
        noun = self._registry.kind.kind.capitalize()
        match self._provider_ids:
            case []:
                by = "by any provider: none is configured"
            case [only]:
                by = f"by provider: `{only}`"
            case several:
                by = f"by any of the providers: {', '.join(several)}"
        # Whoever asks for what isn't there must not make the host walk through everything that is.
        known = [entry.resource.identifier for entry in islice(self._registry.entries(), NAMED_AT_MOST + 1)]
        more = " and more" if len(known) > NAMED_AT_MOST else ""
        listed = ", ".join(known[:NAMED_AT_MOST]) or "none"
        route = f"POST /alpha/{self._registry.kind.kind.replace('_', '-')}s/register"
        away = "".join(f". It may be one of a provider that can't be asked now: {reason}" for reason in self._away())
        return NotFoundError(
            f"{noun} {quoted(identifier, '`')} not served {by}. Registered: {listed}{more}. Register it with {route}{away}",
            param=f"{self._registry.kind.kind}_id",
        )

    def _away(self) -> Iterator[str]:
        for provider_id in self._provider_ids:
            try:
                self._check_serving(provider_id)
            except BackendUnavailableError as error:
                yield str(error)


__all__ = ["Resolver"]
