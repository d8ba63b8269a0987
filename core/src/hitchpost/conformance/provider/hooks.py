"""Checks of provider hooks: pluggy calls them by their names and arguments, and its traps are the author's to avoid."""

import difflib
import inspect
from typing import Any

from hitchpost.api import RESOURCE_KINDS, Api, Resource
from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.check import CheckFailed, NotApplicable, check
from hitchpost.conformance.harness import PROVIDER_ID, Harness
from hitchpost.errors import PluginError
from hitchpost.plugin import Provider, hookspecs
from hitchpost.plugin.manager import HookManager


class HookChecks(ConformanceBase):
    """Hooks are found by name, awaited, and belong to the newest object of a provider."""

    @check(
        "hooks.coroutines",
        why="the host awaits every provider hook; one that is a plain function makes the provider fail at its start",
        advice="declare it as `async def`",
    )
    async def test_provider_hooks_are_coroutine_functions(self, harness: Harness) -> None:
        """Every provider hook that the provider implements is a coroutine function."""
        provider = await harness.build()
        plain = [name for name, hook in _hooks_of(provider) if not inspect.iscoroutinefunction(hook)]
        if plain:
            raise CheckFailed(f"{', '.join(plain)} of {type(provider).__name__} can't be awaited")

    @check(
        "hooks.arguments",
        why="pluggy passes arguments by their names, and refuses an implementation that asks for one that there isn't",
        advice="name the parameters as hitchpost.plugin.hookspecs does; those that aren't needed may be left out",
    )
    async def test_provider_hooks_ask_for_known_arguments(self, harness: Harness) -> None:
        """No provider hook asks for an argument that its specification doesn't have."""
        provider = await harness.build()
        for name, hook in _hooks_of(provider):
            offered = inspect.signature(getattr(hookspecs, name)).parameters
            wanted = inspect.signature(hook).parameters.values()
            unknown = [item.name for item in wanted if item.name not in offered and item.default is item.empty
                       and item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]  # fmt: skip
            if unknown:
                raise CheckFailed(f"{name} asks for {', '.join(unknown)}; there are: {', '.join(offered) or 'none'}")

    @check(
        "hooks.known-names",
        why="a method whose name is almost a hook's is never called, and nobody says so",
        advice="rename the method to the hook that is meant, or give it a leading underscore",
    )
    async def test_no_method_is_almost_a_hook(self, harness: Harness) -> None:
        """No public method has a name that is a hook's but for a letter or two."""
        provider = await harness.build()
        own = {
            name
            for cls in type(provider).__mro__
            if cls.__module__.startswith(harness.subject.packages)
            for name in vars(cls)
        }
        for name in sorted(own - set(hookspecs.PROVIDER_HOOKS)):
            meant = difflib.get_close_matches(name, hookspecs.PROVIDER_HOOKS, 1, cutoff=0.9)
            if meant and not name.startswith("_"):
                raise CheckFailed(f"{type(provider).__name__} has {name}, but the hook is called {meant[0]}")

    @check(
        "hooks.identity",
        why="pluggy takes equal objects for one plugin; two providers of one type and config are two",
        advice="don't make the provider a dataclass, and define neither __eq__ nor __hash__",
    )
    async def test_providers_equal_only_themselves(self, harness: Harness) -> None:
        """Two providers of the same config are two objects, not equal, and can be hashed."""
        one, other = await harness.build(), await harness.build()
        if one is other:
            raise CheckFailed("the factory answered the same object twice")
        if one == other:
            raise CheckFailed(f"two objects of {type(one).__name__} with one config are equal")
        if type(one).__hash__ is None:
            raise CheckFailed(f"{type(one).__name__} can't be hashed")

    @check(
        "hooks.register-again",
        why="after a failed start the host builds a new object and registers its hooks in place of the old one's",
        advice="keep nothing of an object in its class or module, and let hooks be methods of the object that the factory has just made",
    )
    async def test_hooks_of_a_retry_replace_those_of_the_first_attempt(self, harness: Harness) -> None:
        """After a retry, the hooks that the host finds are those of the new object, and they answer."""
        manager = HookManager()
        kinds = [kind for kind in RESOURCE_KINDS if kind.served_by is harness.spec.api]
        for _ in range(2):
            async with harness.started() as provider:
                _register(manager, harness.spec.api, provider)
                for name, _ in _hooks_of(provider):
                    holder = getattr(_held_hook(manager, harness.spec.api, name), "__self__", provider)
                    if holder is not provider:
                        raise CheckFailed(f"after a retry {name} is still a method of the first object")
                for kind in kinds:
                    listing = manager.find_provider_hook(kind.list_hook(), harness.spec.api, PROVIDER_ID)
                    if listing is not None:
                        await harness.within(listing(), f"{kind.list_hook()}()")

    @check(
        "hooks.list",
        why="what a provider lists becomes a name that callers may use: another type of answer, an empty name or one twice is dropped",
        advice="answer a list of hitchpost.api's Model, Shield or MemoryBank objects, each with a provider_resource_id of its own",
    )
    async def test_listing_hooks_answer_resources(self, harness: Harness) -> None:
        """`list_models`, `list_shields` or `list_memory_banks` answers a list of such resources, each named once."""
        async with harness.started() as provider:
            able: Any = provider
            listing = [
                (kind, getattr(able, kind.list_hook())) for kind in RESOURCE_KINDS if hasattr(able, kind.list_hook())
            ]
            if not listing:
                raise NotApplicable("the provider has no hook that lists resources")
            for kind, hook in listing:
                _check_listed(kind, await harness.within(hook(), f"{kind.list_hook()}()"))


def _hooks_of(provider: Provider[Any]) -> list[tuple[str, Any]]:
    found = [(name, getattr(provider, name, None)) for name in hookspecs.PROVIDER_HOOKS]
    return [(name, hook) for name, hook in found if hook is not None]


def _register(manager: HookManager, api: Api, provider: Provider[Any]) -> None:
    try:
        manager.register_provider(api, PROVIDER_ID, provider)
    except PluginError as error:
        raise CheckFailed(error.message) from error


def _held_hook(manager: HookManager, api: Api, name: str) -> Any:
    plugin = manager.get_plugin(f"{api}/{PROVIDER_ID}")
    return getattr(plugin, name, None)


def _check_listed(kind: type[Resource], listed: Any) -> None:
    if not isinstance(listed, list | tuple):
        raise CheckFailed(f"{kind.list_hook()} answered {type(listed).__name__} in place of a list")
    strange = sorted({type(item).__name__ for item in listed if not isinstance(item, kind)})
    if strange:
        raise CheckFailed(f"{kind.list_hook()} answered {', '.join(strange)} in place of {kind.__name__}")
    names = [item.provider_resource_id for item in listed]
    doubtful = sorted({name for name in names if not name or names.count(name) > 1})
    if doubtful:
        raise CheckFailed(f"{kind.list_hook()} names {', '.join(map(repr, doubtful))} more than once, or not at all")


__all__ = ["HookChecks"]
