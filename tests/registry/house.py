"""A host as far as the registry goes: real providers, a real store, and what keeps them in step; without routers and HTTP."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hitchpost.api import Api, Model, RequestContext
from hitchpost.plugin import ProviderDeps
from hitchpost.plugin.manager import HookManager
from hitchpost.registry import Announcer, Origin, Persistence, ProviderCalls, ResourceRecords, ResourceRegistry
from hitchpost.store import KeyValueStore, SqliteStoreConfig, open_store
from hitchpost.store.memory import MemoryStore
from tests.plugged import Echo, NoConfig

Open = Callable[[], Awaitable[KeyValueStore]]


class Told(Echo):
    """Keeps what its hooks are told, then does what a test has put into `then`."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.told: list[tuple[str, str, RequestContext | None]] = []
        self.then: Callable[[Any], Awaitable[Any]] | None = None

    async def _tell(self, hook: str, model: Model | None, context: RequestContext | None) -> Any:
        self.told.append((hook, model.identifier if model else "", context))
        return await self.then(model) if self.then else None

    async def register_model(self, model: Model, context: RequestContext | None) -> Model | None:
        answer: Model | None = await self._tell("register", model, context)
        return answer

    async def unregister_model(self, model: Model, context: RequestContext | None) -> None:
        await self._tell("unregister", model, context)

    async def list_models(self) -> Any:
        return await self._tell("list", None, None)


class House:
    """A registry of models with its announcer on a store, and the providers p and q, which run from the start.

    Args:
        store: where registrations are kept; with None, what `starting` opens.
        config: what the run config registers.
        presets: what presets register.
    """

    def __init__(
        self, store: KeyValueStore | None = None, config: Iterable[Model] = (), presets: Iterable[Model] = ()
    ) -> None:
        self.registry: ResourceRegistry[Model] = ResourceRegistry(Model)
        for origin, resources in ((Origin.preset, presets), (Origin.config, config)):
            for resource in resources:
                self.registry.add(resource, origin)
        self.hooks = HookManager()
        self.persistence = Persistence(self._open)
        self.store = store
        self.records = ResourceRecords(Model, lambda: self.store or self.persistence.get_store(), "test")
        self.announcer: Announcer[Model] = Announcer(
            self.registry, self.records, ProviderCalls(Model, self.hooks), frozenset({"p", "q"})
        )
        self.p, self.q = self.provider("p"), self.provider("q")
        self.open: Open | None = None

    def provider(self, provider_id: str) -> Told:
        """A provider that has just started, in place of an earlier one."""
        deps = ProviderDeps(provider_id=provider_id, state_dir=Path("unused"), log=logging.getLogger("test"))
        provider = Told(NoConfig(), deps)
        self.hooks.register_provider(Api.inference, provider_id, provider)
        return provider

    def names(self) -> list[str]:
        """What can be named."""
        return [entry.resource.identifier for entry in self.registry.entries()]

    def owners(self) -> dict[str, tuple[str, str]]:
        """Identifier to owner and origin."""
        return {
            entry.resource.identifier: (entry.resource.provider_id, entry.origin.name)
            for entry in self.registry.entries()
        }

    async def start(self, open_store: Open) -> None:
        """As a host starts: bring in what is stored, then start the providers and announce everything to them."""
        self.open = open_store
        providers = {"p": self.p, "q": self.q}
        for provider_id in providers:
            self.hooks.unregister_provider(Api.inference, provider_id)
        await self.persistence.start([self.announcer])
        for provider_id, provider in providers.items():
            self.hooks.register_provider(Api.inference, provider_id, provider)
            await self.announcer.announce_all(provider_id)

    async def stop(self) -> None:
        """As a host stops."""
        await self.announcer.close()
        await self.persistence.stop()

    @asynccontextmanager
    async def running(self, open_store: Open) -> AsyncIterator["House"]:
        """The host, started, and stopped at the end."""
        await self.start(open_store)
        try:
            yield self
        finally:
            await self.stop()

    async def _open(self) -> KeyValueStore:
        assert self.open is not None
        return await self.open()


def memory_house() -> House:
    """One whose store is open and that follows no other host."""
    return House(MemoryStore())


def file_at(path: Path) -> Open:
    """Opens the store in a file."""
    return lambda: open_store(SqliteStoreConfig(db_path=path))


def model(identifier: str = "m", provider_id: str = "p", name: str | None = None, **metadata: Any) -> Model:
    return Model(
        identifier=identifier, provider_id=provider_id, provider_resource_id=name or identifier, metadata=metadata
    )


def answers(value: Any) -> Callable[[Any], Awaitable[Any]]:
    async def then(model: Any) -> Any:
        return value(model) if callable(value) else value

    return then


def raises(error: BaseException) -> Callable[[Any], Awaitable[Any]]:
    async def then(model: Any) -> Any:
        raise error

    return then


async def hangs(model: Any) -> Any:
    await asyncio.Event().wait()
