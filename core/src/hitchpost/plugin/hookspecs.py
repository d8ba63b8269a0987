"""Every hook of Hitchpost. A plugin author reads this file first.

There are two levels. *Package hooks* are plain functions of the module that the entry point names (group `hitchpost`), marked with
`hitchpost.hookimpl`; they return data. *Provider hooks* are coroutine methods of a provider object, found by their name and not marked.
An implementation may leave out parameters that it doesn't need.
"""

from collections.abc import Sequence

import pluggy

from hitchpost.api import MemoryBank, Model, RequestContext, Shield
from hitchpost.plugin.declarations import CommandSpec, Preset, ProviderSpec

hookspec = pluggy.HookspecMarker("hitchpost")


# --- package hooks ---


@hookspec
def provider_specs() -> Sequence[ProviderSpec]:  # type: ignore[empty-body]
    """The provider types that this distribution implements.

    Called once at discovery, in every command that needs providers. The result is data: nothing of what it names is imported until a
    provider of that type is built.

    Returns:
        One spec per `(api, provider_type)`. An empty sequence is allowed.

    If the hook raises or returns something else, this plugin is listed as failed with the reason and the host goes on without it. A type that
    two distributions declare is refused, and both are named. Don't import your backend's library at module level: every start runs this.
    """


@hookspec
def presets() -> Sequence[Preset]:  # type: ignore[empty-body]
    """Ready-made providers with their resources, for a host that has no run config or names them under `presets`.

    Called once at discovery, after `provider_specs`.

    Returns:
        Presets with names and provider ids that no other plugin uses. An empty sequence is allowed.

    If the hook raises or returns something else, this plugin is listed as failed with the reason. A preset must work offline, without a key, and
    must not contact a server because the plugin happens to be installed.
    """


@hookspec
def commands() -> Sequence[CommandSpec]:  # type: ignore[empty-body]
    """Commands that this distribution adds to the program `hitchpost`.

    Called once at discovery, when the command line needs to know its commands.

    Returns:
        One spec per command; the click command itself is imported when it is called. An empty sequence is allowed.

    If the hook raises or returns something else, this plugin is listed as failed with the reason. A command that exists already is not
    replaced: `hitchpost plugins` says with a warning that nobody can call yours.
    """


# --- provider hooks ---


@hookspec
async def list_models() -> Sequence[Model]:  # type: ignore[empty-body]
    """The models that this inference provider serves by itself.

    Called after each start of the provider and now and then while it runs, all providers side by side, each with a time limit.

    Returns:
        Models with `provider_resource_id` and `metadata` filled in; the host adds identifier and owner (`provider_id/provider_resource_id`).

    If it raises or takes too long, what was known of this provider stays, and the failure is shown with the provider. Don't list models of
    somebody else's account by the thousand: list what a caller may use.
    """


@hookspec
async def register_model(model: Model, context: RequestContext | None) -> Model | None:
    """A model is being registered at this inference provider.

    Called once per registration, before it is kept, and again at every start and recovery, since the provider may have forgotten it.

    Args:
        model: what is to be registered; `provider_resource_id` is the name that you know it by.
        context: of the caller's request; None when the host announces a registration again by itself.

    Returns:
        None to accept it as it is, or a completed copy: `model.completed(name, metadata)`, with your own spelling of
        `provider_resource_id` and what you know of the model, which refuses an `embedding_dimension` that contradicts it.

    To refuse, raise `BadRequestError` with what you do serve: nothing is kept then. Don't change identifier or provider_id.
    """


@hookspec
async def unregister_model(model: Model, context: RequestContext | None) -> None:
    """A registration of a model at this inference provider ended.

    Called after requests no longer find it, and again later where it failed or the provider didn't run, so it may name what you don't know.

    Args:
        model: what was registered.
        context: of the caller's request; None when the host ends it by itself.

    An error is reported and the registration ends all the same. Don't delete the model from
    your backend: only what `register_model` did is to be undone.
    """


@hookspec
async def list_shields() -> Sequence[Shield]:  # type: ignore[empty-body]
    """The shields that this safety provider serves by itself.

    Called after each start of the provider and now and then while it runs, all providers side by side, each with a time limit.

    Returns:
        Shields with `provider_resource_id` and `params` filled in; the host adds identifier and owner (`provider_id/provider_resource_id`).

    If it raises or takes too long, what was known of this provider stays, and the failure is shown with the provider. Don't list what a
    caller must configure first: such a shield is registered.
    """


@hookspec
async def register_shield(shield: Shield, context: RequestContext | None) -> Shield | None:
    """A shield is being registered at this safety provider.

    Called once per registration, before it is kept, and again at every start and recovery, since the provider may have forgotten it.

    Args:
        shield: what is to be registered; `provider_resource_id` is the name that you know it by, `params` are yours to check.
        context: of the caller's request; None when the host announces a registration again by itself.

    Returns:
        None to accept it as it is, or a completed copy (`shield.copy_with(...)`): params, or your own spelling of `provider_resource_id`.

    To refuse, raise `BadRequestError` with what you do serve: nothing is kept then. Don't change identifier or provider_id.
    """


@hookspec
async def unregister_shield(shield: Shield, context: RequestContext | None) -> None:
    """A registration of a shield at this safety provider ended.

    Called after requests no longer find it, and again later where it failed or the provider didn't run, so it may name what you don't know.

    Args:
        shield: what was registered.
        context: of the caller's request; None when the host ends it by itself.

    An error is reported and the registration ends all the same. Don't delete the guardrail from your backend: only what `register_shield`
    did is to be undone.
    """


@hookspec
async def list_memory_banks() -> Sequence[MemoryBank]:  # type: ignore[empty-body]
    """The memory banks that this memory provider has by itself, such as those that its server holds.

    Called after each start of the provider and now and then while it runs, all providers side by side, each with a time limit.

    Returns:
        Banks with `provider_resource_id` and the fields of their type filled in; the host adds identifier and owner.

    If it raises or takes too long, what was known of this provider stays, and the failure is shown with the provider. Don't list
    collections that were not made for you: a query of them would answer nonsense.
    """


@hookspec
async def register_memory_bank(memory_bank: MemoryBank, context: RequestContext | None) -> MemoryBank | None:
    """A memory bank is being registered at this memory provider.

    Called once per registration, before it is kept, and again at every start and recovery, since the provider may have forgotten it: a bank
    that is there already is to be opened, not emptied.

    Args:
        memory_bank: what is to be registered, an object of the class of its type; `provider_resource_id` is the name that you know it by.
        context: of the caller's request; None when the host announces a registration again by itself.

    Returns:
        None to accept it as it is, or a completed copy (`memory_bank.copy_with(...)`).

    To refuse, raise `BadRequestError` (or `UnsupportedError` for a type of bank that you don't have): nothing is kept then. Don't change
    identifier or provider_id.
    """


@hookspec
async def unregister_memory_bank(memory_bank: MemoryBank, context: RequestContext | None) -> None:
    """A registration of a memory bank at this memory provider ended.

    Called after requests no longer find it, and again later where it failed or the provider didn't run, so it may name what you don't know.

    Args:
        memory_bank: what was registered.
        context: of the caller's request; None when the host ends it by itself.

    An error is reported and the registration ends all the same. Let go of what only the registration needed; whether its documents go too
    is yours to document. Don't delete what others put into a shared server.
    """


PACKAGE_HOOKS = ("provider_specs", "presets", "commands")
"""Names of the hooks that a plugin's module implements."""

PROVIDER_HOOKS = (
    "list_models",
    "register_model",
    "unregister_model",
    "list_shields",
    "register_shield",
    "unregister_shield",
    "list_memory_banks",
    "register_memory_bank",
    "unregister_memory_bank",
)
"""Names of the hooks that a provider object implements."""

__all__ = [
    "PACKAGE_HOOKS",
    "PROVIDER_HOOKS",
    "commands",
    "hookspec",
    "list_memory_banks",
    "list_models",
    "list_shields",
    "presets",
    "provider_specs",
    "register_memory_bank",
    "register_model",
    "register_shield",
    "unregister_memory_bank",
    "unregister_model",
    "unregister_shield",
]
