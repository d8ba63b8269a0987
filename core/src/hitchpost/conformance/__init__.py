"""The kit for provider authors: classes to subclass in a test file, run by pytest.

    from hitchpost.conformance import InferenceConformance

    class TestAcme(InferenceConformance):
        provider_type = "remote::acme"
        config = {"url": "http://127.0.0.1:9000"}
        model = "acme-small"

`pip install 'hitchpost[conformance]'` brings pytest, which finds the kit's plugin by itself. docs/conformance.md lists every check.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitchpost.conformance.base import BackendFaults
    from hitchpost.conformance.inference import InferenceConformance
    from hitchpost.conformance.memory import MemoryConformance
    from hitchpost.conformance.provider import ProviderConformance
    from hitchpost.conformance.safety import SafetyConformance

_HOMES = {
    "BackendFaults": "hitchpost.conformance.base",
    "InferenceConformance": "hitchpost.conformance.inference",
    "MemoryConformance": "hitchpost.conformance.memory",
    "ProviderConformance": "hitchpost.conformance.provider",
    "SafetyConformance": "hitchpost.conformance.safety",
}


def __getattr__(name: str) -> Any:
    # pytest loads the plugin in this package in every test suite: those that don't use the kit must not pay for it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


__all__ = [
    "BackendFaults",
    "InferenceConformance",
    "MemoryConformance",
    "ProviderConformance",
    "SafetyConformance",
]
