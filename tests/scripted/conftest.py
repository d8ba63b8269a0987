"""Scripted providers, made as the host makes them: from plain data, through the entry point's specs."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import CreateAgentRequest, CreateSessionRequest, MemoryBank, RequestContext
from hitchpost.plugin import ProviderDeps
from hitchpost.plugin.declarations import load_import_string
from hitchpost.scripted.memory.provider import ScriptedMemory
from hitchpost.scripted.plugin import provider_specs
from hitchpost.scripted.provider import ScriptedInference
from hitchpost.scripted.safety import ScriptedSafety
from tests.scripted.agent_sessions import CONFIG, Banks, Conversation
from tests.scripted.banks import OpenBank

MakeProvider = Callable[..., ScriptedInference]
MakeSafety = Callable[..., ScriptedSafety]
MakeMemory = Callable[..., ScriptedMemory]
MakeBank = Callable[..., Any]
Begin = Callable[..., Any]


def made(api: str, state_dir: Path, config: dict[str, Any], **calls: Any) -> Any:
    """The provider of an API, with the APIs that it calls."""
    [spec] = [spec for spec in provider_specs() if spec.api == api]
    deps = ProviderDeps(provider_id="scripted", state_dir=state_dir, log=logging.getLogger("scripted"), **calls)
    return load_import_string(spec.factory)(load_import_string(spec.config).model_validate(config), deps)


@pytest.fixture
def scripted_provider(tmp_path: Path) -> MakeProvider:
    """Makes a provider of a config: `scripted_provider(script=[...], pace={...})`."""
    return lambda **config: made("inference", tmp_path, config)


@pytest.fixture
def scripted_safety(tmp_path: Path) -> MakeSafety:
    """Makes a provider of a config: `scripted_safety(shields=[...], script=[...])`."""
    return lambda **config: made("safety", tmp_path, config)


@pytest.fixture
def scripted_memory(tmp_path: Path) -> MakeMemory:
    """Makes a provider of a config: `scripted_memory(max_characters=..., script=[...])`."""
    return lambda **config: made("memory", tmp_path, config)


@pytest.fixture
def context() -> RequestContext:
    return RequestContext(request_id="request-1")


@pytest.fixture
def open_bank(scripted_memory: MakeMemory, context: RequestContext) -> MakeBank:
    """Opens a bank of a provider of its own: `await open_bank(bank, script=[...])`."""

    async def make(bank: MemoryBank, **config: Any) -> OpenBank:
        provider = scripted_memory(**config)
        await provider.register_memory_bank(bank, None)
        return OpenBank(provider, context, bank)

    return make


@pytest.fixture
def begin(tmp_path: Path, context: RequestContext) -> Begin:
    """Begins a session: `await begin(agent={...}, script=[...])`; None in place of a config of safety or memory leaves that API out."""

    async def make(
        agent: dict[str, Any] | None = None,
        *,
        script: list[dict[str, Any]] | None = None,
        inference: dict[str, Any] | None = None,
        safety: dict[str, Any] | None = None,
        memory: dict[str, Any] | None = None,
        **config: Any,
    ) -> Conversation:
        calls: dict[str, Any] = {
            "inference": made("inference", tmp_path, {"script": script or [], **(inference or {})})
        }
        banks = None
        if safety is not None:
            calls["safety"] = made("safety", tmp_path, safety)
        if memory is not None:
            calls["memory"] = made("memory", tmp_path, memory)
            banks = calls["memory_banks"] = Banks(calls["memory"])
        provider = made("agents", tmp_path, config, **calls)
        conversation = Conversation(provider, context, banks)
        created = await provider.create_agent(
            CreateAgentRequest.model_validate({"agent_config": CONFIG | (agent or {})}), context
        )
        request = CreateSessionRequest(agent_id=created.agent_id, session_name="test")
        session = await provider.create_session(request, context)
        conversation.ids = {"agent_id": created.agent_id, "session_id": session.session_id}
        return conversation

    return make
