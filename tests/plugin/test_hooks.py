"""Each hook of `hitchpost.plugin.hookspecs`, as a plugin or provider implements it and as the host calls it."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel

from hitchpost.api import Api, KeywordMemoryBank, MemoryBank, Model, RequestContext, Shield
from hitchpost.errors import PluginError
from hitchpost.plugin import InferenceProvider, MemoryProvider, Provider, ProviderDeps, SafetyProvider
from hitchpost.plugin.discovery import PluginReport, PluginSelection, PluginState, discover_plugins
from hitchpost.plugin.manager import HookManager

HEAD = """
from hitchpost import hookimpl
from hitchpost.plugin import CommandSpec, Preset, ProviderSpec
"""
SPEC = "ProviderSpec(api='inference', provider_type='inline::acme', config='acme:Config', factory='acme:Provider')"
PRESET = "Preset(name='acme', api='inference', provider_id='acme', provider_type='inline::acme')"
COMMAND = "CommandSpec(parent='models', name='pull', target='acme.cli:pull', help='Fetch a model.')"
PACKAGE_HOOKS = ["provider_specs", "presets", "commands"]
ProviderT = TypeVar("ProviderT", bound=Provider[Any])
MODEL = Model(identifier="acme/one", provider_resource_id="one", provider_id="acme")


@pytest.fixture
def load_plugin(tmp_path: Path) -> Iterator[Callable[[str], PluginReport]]:
    """Loads a plugin of the given source by path, alone."""

    def load(source: str) -> PluginReport:
        (tmp_path / "acme_by_path.py").write_text(HEAD + source)
        [report] = [
            report
            for report in discover_plugins(PluginSelection(paths=[tmp_path / "acme_by_path.py"])).reports
            if report.name == "acme_by_path"
        ]
        return report

    yield load
    sys.modules.pop("acme_by_path", None)


def test_hook_provider_specs_declares_provider_types(load_plugin: Callable[[str], PluginReport]) -> None:
    report = load_plugin(f"@hookimpl\ndef provider_specs():\n    return [{SPEC}]\n")

    assert report.state is PluginState.loaded
    assert [(spec.api, spec.provider_type) for spec in report.provider_specs] == [(Api.inference, "inline::acme")]


def test_hook_presets_declares_ready_made_providers(load_plugin: Callable[[str], PluginReport]) -> None:
    report = load_plugin(f"@hookimpl\ndef presets():\n    return [{PRESET}]\n")

    assert [(preset.name, preset.provider_id) for preset in report.presets] == [("acme", "acme")]


def test_hook_commands_declares_commands(load_plugin: Callable[[str], PluginReport]) -> None:
    report = load_plugin(f"@hookimpl\ndef commands():\n    return ({COMMAND},)\n")

    assert [(command.parent, command.name) for command in report.commands] == [("models", "pull")]


@pytest.mark.parametrize("hook", PACKAGE_HOOKS)
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return None", "returned NoneType in place of a list of"),
        ("return ['acme']", "returned a list with str in place of a list of"),
        ("yield 1", "returned generator in place of a list of"),
        ("raise OSError('no disk')", "OSError: no disk"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_package_hook_that_answers_no_data_fails_its_plugin(
    hook: str, body: str, reason: str, load_plugin: Callable[[str], PluginReport]
) -> None:
    report = load_plugin(f"@hookimpl\ndef {hook}():\n    {body}\n")

    assert (report.state, report.stage) == (PluginState.failed, "validate")
    assert reason in report.reason


@pytest.mark.parametrize("hook", PACKAGE_HOOKS)
def test_package_hook_that_is_a_coroutine_function_is_refused_by_name(
    hook: str, load_plugin: Callable[[str], PluginReport]
) -> None:
    report = load_plugin(f"@hookimpl\nasync def {hook}():\n    return []\n")

    assert report.state is PluginState.failed
    assert f"hook {hook} is a coroutine function" in report.reason


@pytest.mark.parametrize("hook", PACKAGE_HOOKS)
def test_package_hook_without_the_marker_is_reported(hook: str, load_plugin: Callable[[str], PluginReport]) -> None:
    report = load_plugin(f"def {hook}():\n    return []\n")

    assert report.state is PluginState.loaded
    assert f"function {hook} has a hook's name but lacks the marker @hookimpl; it is ignored" in report.warnings


@pytest.mark.parametrize("hook", PACKAGE_HOOKS)
def test_package_hook_with_a_parameter_it_never_gets_is_refused(
    hook: str, load_plugin: Callable[[str], PluginReport]
) -> None:
    report = load_plugin(f"@hookimpl\ndef {hook}(config):\n    return []\n")

    assert (report.state, report.stage) == (PluginState.failed, "register")
    assert "config" in report.reason


class NoConfig(BaseModel):
    """Nothing can be set."""


class Recorder(InferenceProvider[NoConfig]):
    """Keeps what its hooks were called with."""

    def __init__(self, config: NoConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.calls: list[tuple[Any, ...]] = []

    async def list_models(self) -> list[Model]:
        return [Model(provider_resource_id="one")]

    async def register_model(self, model: Model, context: RequestContext | None) -> Model | None:
        self.calls.append((model, context))
        return model.copy_with(provider_resource_id="one:latest")

    async def unregister_model(self, model: Model) -> None:
        self.calls.append((model,))


def make(kind: type[ProviderT]) -> ProviderT:
    return kind(NoConfig(), ProviderDeps(provider_id="acme", state_dir=Path("unused"), log=logging.getLogger("acme")))


@pytest.fixture
def provider() -> Recorder:
    return make(Recorder)


@pytest.fixture
def call(provider: Recorder) -> Callable[..., Any]:
    """Calls a hook of the provider with every argument that its specification has."""
    manager = HookManager()
    manager.register_provider(Api.inference, "acme", provider)

    async def call(hook: str, **arguments: Any) -> Any:
        found = manager.find_provider_hook(hook, Api.inference, "acme")
        assert found is not None
        return await found(**arguments)

    return call


async def test_hook_list_models_answers_what_the_provider_serves(call: Callable[..., Any]) -> None:
    models = await call("list_models")

    assert [model.provider_resource_id for model in models] == ["one"]


async def test_hook_register_model_may_complete_the_model(call: Callable[..., Any], provider: Recorder) -> None:
    completed = await call("register_model", model=MODEL, context=None)

    assert completed.provider_resource_id == "one:latest"
    assert provider.calls == [(MODEL, None)]


async def test_hook_unregister_model_may_leave_out_the_context(call: Callable[..., Any], provider: Recorder) -> None:
    await call("unregister_model", model=MODEL, context=None)

    assert provider.calls == [(MODEL,)]


class Guard(SafetyProvider[NoConfig]):
    """Keeps what its hooks were called with."""

    def __init__(self, config: NoConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.calls: list[tuple[Any, ...]] = []

    async def list_shields(self) -> list[Shield]:
        return [Shield(provider_resource_id="strict")]

    async def register_shield(self, shield: Shield, context: RequestContext | None) -> Shield | None:
        self.calls.append((shield, context))
        return shield.copy_with(params={"level": 1})

    async def unregister_shield(self, shield: Shield) -> None:
        self.calls.append((shield,))


class Shelf(MemoryProvider[NoConfig]):
    """Keeps what its hooks were called with."""

    def __init__(self, config: NoConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.calls: list[tuple[Any, ...]] = []

    async def list_memory_banks(self) -> list[MemoryBank]:
        return [KeywordMemoryBank(provider_resource_id="notes")]

    async def register_memory_bank(self, memory_bank: MemoryBank) -> None:
        self.calls.append((memory_bank,))

    async def unregister_memory_bank(self, memory_bank: MemoryBank, context: RequestContext | None) -> None:
        self.calls.append((memory_bank, context))


SHIELD = Shield(identifier="s", provider_resource_id="strict", provider_id="acme")
BANK = KeywordMemoryBank(identifier="b", provider_resource_id="notes", provider_id="acme")


async def call_hook(provider: Any, api: Api, hook: str, **arguments: Any) -> Any:
    """Calls a provider's hook as the host does."""
    manager = HookManager()
    manager.register_provider(api, "acme", provider)
    found = manager.find_provider_hook(hook, api, "acme")
    assert found is not None
    return await found(**arguments)


async def test_hook_list_shields_answers_what_the_provider_serves() -> None:
    shields = await call_hook(make(Guard), Api.safety, "list_shields")

    assert [shield.provider_resource_id for shield in shields] == ["strict"]


async def test_hook_register_shield_may_complete_the_shield() -> None:
    guard = make(Guard)

    completed = await call_hook(guard, Api.safety, "register_shield", shield=SHIELD, context=None)

    assert completed.params == {"level": 1}
    assert guard.calls == [(SHIELD, None)]


async def test_hook_unregister_shield_may_leave_out_the_context() -> None:
    guard = make(Guard)

    await call_hook(guard, Api.safety, "unregister_shield", shield=SHIELD, context=None)

    assert guard.calls == [(SHIELD,)]


async def test_hook_list_memory_banks_answers_what_the_provider_has() -> None:
    banks = await call_hook(make(Shelf), Api.memory, "list_memory_banks")

    assert [bank.provider_resource_id for bank in banks] == ["notes"]


async def test_hook_register_memory_bank_accepts_by_answering_nothing() -> None:
    shelf = make(Shelf)

    completed = await call_hook(shelf, Api.memory, "register_memory_bank", memory_bank=BANK, context=None)

    assert completed is None
    assert shelf.calls == [(BANK,)]


async def test_hook_unregister_memory_bank_gets_bank_and_context() -> None:
    shelf = make(Shelf)

    await call_hook(shelf, Api.memory, "unregister_memory_bank", memory_bank=BANK, context=None)

    assert shelf.calls == [(BANK, None)]


def test_provider_hook_that_is_a_plain_function_is_refused_by_name() -> None:
    class Plain(Recorder):
        def list_models(self) -> list[Model]:  # type: ignore[override]
            return []

    with pytest.raises(PluginError, match="hook list_models of provider inference/acme is not a coroutine function"):
        HookManager().register_provider(Api.inference, "acme", make(Plain))


def test_provider_hook_with_a_parameter_it_never_gets_is_refused_and_leaves_nothing_behind() -> None:
    class Greedy(Recorder):
        async def list_models(self, everything: bool) -> list[Model]:  # type: ignore[override]
            return []

    manager = HookManager()

    with pytest.raises(PluginError, match="everything"):
        manager.register_provider(Api.inference, "acme", make(Greedy))

    manager.register_provider(Api.inference, "acme", make(Recorder))
    assert manager.find_provider_hook("list_models", Api.inference, "acme") is not None


def test_provider_without_hooks_has_none_to_call() -> None:
    class Silent(InferenceProvider[NoConfig]):
        """Serves only what is registered by hand."""

    manager = HookManager()
    manager.register_provider(Api.inference, "acme", make(Silent))

    assert manager.find_provider_hook("list_models", Api.inference, "acme") is None


def test_retried_provider_replaces_its_earlier_self(provider: Recorder) -> None:
    manager = HookManager()
    manager.register_provider(Api.inference, "acme", make(Recorder))

    manager.register_provider(Api.inference, "acme", provider)

    assert len(manager.get_plugins()) == 1
