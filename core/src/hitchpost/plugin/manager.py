"""The pluggy manager behind all hooks, with what pluggy leaves to its host.

pluggy never awaits, loses everyone's answer when one plain function raises, and takes equal objects for the same plugin. So
providers are registered through an adapter that is compared by identity, hooks are called one implementation at a time, and each answer has a name.
"""

import inspect
from collections.abc import Callable
from typing import Any

import pluggy
from pluggy import HookimplOpts

from hitchpost.api import Api
from hitchpost.errors import PluginError
from hitchpost.plugin import hookspecs
from hitchpost.plugin.provider import Provider


class ProviderHooks:
    """Holds a provider's hooks as pluggy wants to find them: attributes of an object that equals only itself."""

    def __init__(self, provider: Provider[Any]) -> None:
        self.names: list[str] = []
        for name in hookspecs.PROVIDER_HOOKS:
            method = getattr(provider, name, None)
            if method is not None:
                self.names.append(name)
                setattr(self, name, method)


class HookManager(pluggy.PluginManager):
    """Knows the plugins and the started providers by name: a plugin by its own, a provider as `<api>/<provider_id>`."""

    def __init__(self) -> None:
        super().__init__("hitchpost")
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> HookimplOpts | None:
        """Provider hooks are found by name, without a marker; package hooks by their marker."""
        if isinstance(plugin, ProviderHooks):
            if name not in plugin.names:
                return None
            return HookimplOpts(
                wrapper=False, hookwrapper=False, optionalhook=False, tryfirst=False, trylast=False, specname=None
            )
        return super().parse_hookimpl_opts(plugin, name)

    def register_provider(self, api: Api, provider_id: str, provider: Provider[Any]) -> None:
        """Make a provider's hooks callable, in place of those of an earlier attempt to start it.

        Raises:
            PluginError: a hook is not a coroutine function, or takes parameters that the hook doesn't have.
        """
        name = f"{api}/{provider_id}"
        self.unregister_provider(api, provider_id)
        hooks = ProviderHooks(provider)
        for hook in hooks.names:
            if not inspect.iscoroutinefunction(getattr(hooks, hook)):
                message = (
                    f"hook {hook} of provider {name} is not a coroutine function; declare it as `async def {hook}`"
                )
                raise PluginError(message, distribution=_home_of(provider), stage="register")
        try:
            self.register(hooks, name)
        except pluggy.PluginValidationError as error:
            # pluggy keeps half of what it refused.
            self.unregister_provider(api, provider_id)
            message = f"a hook of provider {name} does not fit its specification: {_first_line(error)}"
            raise PluginError(message, distribution=_home_of(provider), stage="register") from error

    def unregister_provider(self, api: Api, provider_id: str) -> None:
        """Forget a provider's hooks; nothing happens where there are none."""
        name = f"{api}/{provider_id}"
        if self.has_plugin(name):
            self.unregister(name=name)

    def find_provider_hook(self, hook: str, api: Api, provider_id: str) -> Callable[..., Any] | None:
        """The provider's implementation of `hook`, which takes the hook's arguments by name; None where it has none."""
        return self.find_hook(hook, f"{api}/{provider_id}")

    def find_hook(self, hook: str, plugin_name: str) -> Callable[..., Any] | None:
        """The plugin's implementation of `hook`, which takes the hook's arguments by name; None where it has none."""
        for implementation in getattr(self.hook, hook).get_hookimpls():
            if implementation.plugin_name == plugin_name:
                return _only_known_arguments(implementation)
        return None


def _only_known_arguments(implementation: pluggy.HookImpl) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        wanted = (*implementation.argnames, *implementation.kwargnames)
        return implementation.function(**{name: arguments[name] for name in wanted if name in arguments})

    return call


def _home_of(provider: Provider[Any]) -> str:
    return type(provider).__module__.partition(".")[0]


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


__all__ = ["HookManager", "ProviderHooks"]
