"""Scripted providers, made as the host makes them: from plain data, through the entry point's spec."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hitchpost.api import RequestContext
from hitchpost.plugin import ProviderDeps
from hitchpost.plugin.declarations import load_import_string
from hitchpost.scripted.plugin import provider_specs
from hitchpost.scripted.provider import ScriptedInference

MakeProvider = Callable[..., ScriptedInference]


@pytest.fixture
def scripted_provider(tmp_path: Path) -> MakeProvider:
    """Makes a provider of a config: `scripted_provider(script=[...], pace={...})`."""
    [spec] = provider_specs()

    def make(**config: Any) -> ScriptedInference:
        deps = ProviderDeps(provider_id="scripted", state_dir=tmp_path, log=logging.getLogger("scripted"))
        provider = load_import_string(spec.factory)(load_import_string(spec.config).model_validate(config), deps)
        assert isinstance(provider, ScriptedInference)
        return provider

    return make


@pytest.fixture
def context() -> RequestContext:
    return RequestContext(request_id="request-1")
