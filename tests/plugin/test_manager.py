"""pluggy's own traps, and what the host does about each of them."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import Api, Model
from hitchpost.errors import PluginError
from hitchpost.plugin import InferenceProvider, Provider, ProviderDeps
from hitchpost.plugin.hookspecs import PROVIDER_HOOKS
from hitchpost.plugin.manager import HookManager
from tests.plugged import NoConfig


def made(kind: type[Any], provider_id: str = "a") -> Any:
    return kind(
        NoConfig(), ProviderDeps(provider_id=provider_id, state_dir=Path("unused"), log=logging.getLogger("test"))
    )


class Lister(InferenceProvider[Any]):
    async def list_models(self) -> list[Model]:
        return [Model(provider_resource_id=self.deps.provider_id)]


@pytest.fixture
def manager() -> HookManager:
    return HookManager()


async def listed(manager: HookManager, provider_id: str) -> list[str] | None:
    hook = manager.find_provider_hook("list_models", Api.inference, provider_id)
    return None if hook is None else [model.provider_resource_id for model in await hook()]


async def test_each_provider_answers_under_its_own_name(manager: HookManager) -> None:
    for provider_id in ("a", "b"):
        manager.register_provider(Api.inference, provider_id, made(Lister, provider_id))

    assert await listed(manager, "a") == ["a"]
    assert await listed(manager, "b") == ["b"]
    assert await listed(manager, "c") is None


async def test_providers_of_two_apis_may_share_an_id(manager: HookManager) -> None:
    manager.register_provider(Api.inference, "a", made(Lister))
    manager.register_provider(Api.safety, "a", made(Provider))

    manager.unregister_provider(Api.safety, "a")

    assert await listed(manager, "a") == ["a"]


async def test_providers_that_equal_each_other_are_two(manager: HookManager) -> None:
    @dataclass
    class Equal(Lister):
        config: Any
        deps: Any

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    manager.register_provider(Api.inference, "a", made(Equal, "a"))
    manager.register_provider(Api.inference, "b", made(Equal, "b"))

    assert await listed(manager, "b") == ["b"]


async def test_hook_that_overrides_needs_no_marker(manager: HookManager) -> None:
    class Overriding(Lister):
        async def list_models(self) -> list[Model]:
            return [*await super().list_models(), Model(provider_resource_id="more")]

    manager.register_provider(Api.inference, "a", made(Overriding))

    assert await listed(manager, "a") == ["a", "more"]


async def test_hook_may_be_an_attribute_of_the_object(manager: HookManager) -> None:
    provider = made(InferenceProvider)
    lister = made(Lister, "lent")
    provider.list_models = lister.list_models

    manager.register_provider(Api.inference, "a", provider)

    assert await listed(manager, "a") == ["lent"]


def not_coroutines() -> list[Any]:
    def plain(self: Any) -> list[Model]:
        return []

    async def generator(self: Any) -> Any:
        yield Model(provider_resource_id="a")

    return [
        pytest.param(plain, id="plain function"),
        pytest.param(generator, id="async generator"),
        pytest.param(lambda self: asyncio.sleep(0), id="function that returns an awaitable"),
        pytest.param([Model(provider_resource_id="a")], id="list"),
        pytest.param(property(lambda self: ["a"]), id="property"),
        pytest.param(int, id="class"),
    ]


@pytest.mark.parametrize("hook", PROVIDER_HOOKS)
@pytest.mark.parametrize("thing", not_coroutines())
def test_hook_that_is_no_coroutine_function_is_refused(thing: Any, hook: str, manager: HookManager) -> None:
    provider = made(type("Odd", (InferenceProvider,), {hook: thing}))

    with pytest.raises(
        PluginError,
        match=f"hook {hook} of provider inference/a is not a coroutine function; declare it as `async def {hook}`",
    ):
        manager.register_provider(Api.inference, "a", provider)

    assert not manager.has_plugin("inference/a")


async def test_refused_provider_leaves_the_others_and_no_half_of_itself(manager: HookManager) -> None:
    class Half(Lister):
        async def register_model(self, model: Model, surprise: int) -> None:
            """Takes what the hook doesn't have."""

    manager.register_provider(Api.inference, "b", made(Lister, "b"))

    with pytest.raises(
        PluginError, match=r"a hook of provider inference/a does not fit its specification: .*surprise"
    ) as refused:
        manager.register_provider(Api.inference, "a", made(Half))

    assert (refused.value.stage, refused.value.distribution) == ("register", "tests")
    assert await listed(manager, "a") is None
    assert await listed(manager, "b") == ["b"]


async def test_provider_can_be_registered_after_it_was_refused(manager: HookManager) -> None:
    class Plain(Lister):
        list_models = None  # type: ignore[assignment]

        def register_model(self) -> None:
            """Is no coroutine function."""

    with pytest.raises(PluginError):
        manager.register_provider(Api.inference, "a", made(Plain))

    manager.register_provider(Api.inference, "a", made(Lister))

    assert await listed(manager, "a") == ["a"]


async def test_provider_that_starts_again_takes_the_place_of_its_earlier_self(manager: HookManager) -> None:
    manager.register_provider(Api.inference, "a", made(Lister, "old"))

    manager.register_provider(Api.inference, "a", made(Lister, "new"))

    assert await listed(manager, "a") == ["new"]
    assert len(manager.hook.list_models.get_hookimpls()) == 1


def test_unregistering_what_is_not_there_does_nothing(manager: HookManager) -> None:
    manager.unregister_provider(Api.inference, "a")

    assert manager.get_plugins() == set()


async def test_hook_gets_only_the_arguments_that_it_takes(manager: HookManager) -> None:
    seen: list[Any] = []

    class Few(InferenceProvider[Any]):
        async def register_model(self, context: Any) -> None:
            seen.append(context)

        async def unregister_model(self) -> None:
            seen.append("nothing")

    manager.register_provider(Api.inference, "a", made(Few))
    model = Model(provider_resource_id="m")
    for name in ("register_model", "unregister_model"):
        hook = manager.find_provider_hook(name, Api.inference, "a")
        assert hook is not None
        await hook(model=model, context="context")

    assert seen == ["context", "nothing"]
