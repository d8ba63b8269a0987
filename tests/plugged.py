"""Provider types whose classes live in a test, put together as discovery would put them together."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from hitchpost.api import Capability, ChatCompletionRequest, Finish, FinishReason, Model, RequestContext, TextDelta
from hitchpost.config import parse_run_config
from hitchpost.errors import ConfigError
from hitchpost.plugin import (
    AgentsProvider,
    InferenceProvider,
    MemoryProvider,
    Preset,
    ProviderSpec,
    SafetyProvider,
    TelemetryProvider,
)
from hitchpost.plugin.catalog import build_catalog
from hitchpost.plugin.discovery import PluginReport, Plugins
from hitchpost.plugin.manager import HookManager
from hitchpost.stack import Stack, StackPlan, build_stack, plan_stack

ALL = frozenset(Capability)
CONTEXT = RequestContext(request_id="req_test")


class NoConfig(BaseModel):
    """Nothing can be set."""

    model_config = ConfigDict(extra="forbid")


class Echo(InferenceProvider[Any]):
    """Says what it hears."""

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        yield TextDelta(str(request.messages[-1].content))
        yield Finish(FinishReason.stop)


class Patient(Echo):
    """Its health is what a test says; it counts what it is asked."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.illness: BaseException | None = None
        self.checks = self.registrations = self.lists = 0
        self.names = ["first"]

    async def health(self) -> None:
        self.checks += 1
        if self.illness is not None:
            raise self.illness

    async def register_model(self, model: Model, context: RequestContext | None) -> None:
        self.registrations += 1

    async def list_models(self) -> list[Model]:
        self.lists += 1
        return [Model(provider_resource_id=name) for name in self.names]


class Idle(SafetyProvider[Any], MemoryProvider[Any], AgentsProvider[Any], TelemetryProvider[Any]):
    """A provider of any API but inference, which does nothing."""


class Plugged:
    """What the loaded plugins of one test offer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._module = ModuleType("plugged_types")
        monkeypatch.setitem(sys.modules, "plugged_types", self._module)
        self.reports: list[PluginReport] = []

    def name(self, thing: Any, attribute: str) -> str:
        """An import string of `thing`."""
        setattr(self._module, attribute, thing)
        return f"plugged_types:{attribute}"

    def add(
        self,
        factory: Any = Echo,
        provider_type: str = "inline::test",
        *,
        api: Any = "inference",
        config: Any = NoConfig,
        distribution: str = "test-plugin",
        presets: tuple[Preset, ...] = (),
        **spec: Any,
    ) -> ProviderSpec:
        """A plugin with one provider type."""
        number = len(self.reports)
        declared = ProviderSpec(
            api=api,
            provider_type=provider_type,
            config=config if isinstance(config, str) else self.name(config, f"config_{number}"),
            factory=factory if isinstance(factory, str) else self.name(factory, f"factory_{number}"),
            capabilities=spec.pop("capabilities", ALL),
            **spec,
        )
        self.reports.append(PluginReport(f"plugin_{number}", distribution, provider_specs=(declared,), presets=presets))
        return declared

    def plugins(self) -> Plugins:
        """As discovery answers."""
        return Plugins(HookManager(), self.reports)

    def plan(self, config: dict[str, Any] | None) -> StackPlan:
        """What a stack would be built from."""
        parsed = None if config is None else parse_run_config(config, {}, name="test").config
        return plan_stack(parsed, self.plugins(), build_catalog(self.reports))

    def problems(self, config: dict[str, Any] | None) -> list[str]:
        """What is wrong with a run config."""
        with pytest.raises(ConfigError) as refused:
            self.plan(config)
        return list(refused.value.problems)

    def build(self, config: dict[str, Any] | None) -> Stack:
        """A stack that is not started yet."""
        parsed = None if config is None else parse_run_config(config, {}, name="test").config
        return build_stack(parsed, self.plugins())

    @asynccontextmanager
    async def running(self, config: dict[str, Any] | None) -> AsyncIterator[Stack]:
        """A started stack, stopped at the end."""
        stack = self.build(config)
        try:
            await asyncio.wait_for(stack.start(), 10)
            yield stack
        finally:
            await asyncio.wait_for(stack.stop(), 10)


def one(**entry: Any) -> dict[str, Any]:
    """A run config with one inference provider, called `p` unless the entry says otherwise."""
    models = entry.pop("models", [])
    return inference({"provider_id": "p", "provider_type": "inline::test", **entry}, models=models)


def inference(*entries: dict[str, Any], **config: Any) -> dict[str, Any]:
    """A run config with these inference providers."""
    return {"providers": {"inference": list(entries)}, **config}


async def until(condition: Callable[[], Any]) -> None:
    """Come back when `condition` holds, at most 5 s later."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def chat(model: str = "m", text: str = "hello", **fields: Any) -> ChatCompletionRequest:
    """A request for chat."""
    return ChatCompletionRequest.model_validate(
        {"model_id": model, "messages": [{"role": "user", "content": text}], **fields}
    )
