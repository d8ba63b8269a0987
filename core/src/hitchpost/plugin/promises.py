"""Whether a provider keeps what its type declares: the methods that a capability stands for."""

from collections.abc import Iterable
from typing import Any

from hitchpost.api import Capability
from hitchpost.plugin.provider import InferenceProvider, MemoryProvider, Provider

_BANK = (MemoryProvider.insert_documents, MemoryProvider.query_documents)
_METHODS = {
    Capability.chat: (InferenceProvider.stream_chat_completion,),
    Capability.completion: (InferenceProvider.stream_completion,),
    Capability.embeddings: (InferenceProvider.embeddings,),
    Capability.vector_bank: _BANK,
    Capability.keyvalue_bank: _BANK,
    Capability.keyword_bank: _BANK,
    Capability.graph_bank: _BANK,
    Capability.documents: (
        MemoryProvider.list_documents,
        MemoryProvider.get_document,
        MemoryProvider.delete_documents,
        MemoryProvider.get_bank_statistics,
    ),
}
"""What a base class only refuses, by the capability that promises it; the other capabilities are fields of requests."""


def broken_promises(provider: Provider[Any], declared: Iterable[Capability]) -> list[str]:
    """What is declared and left to the base class, which refuses every request: a sentence for each capability."""
    promises = []
    for capability in sorted(declared):
        methods = [method.__name__ for method in _METHODS.get(capability, ()) if _is_inherited(provider, method)]
        if methods:
            left = ", ".join(f"{name}()" for name in methods)
            promises.append(f"the capability {capability} is declared, but {type(provider).__name__} lacks {left}")
    return promises


def _is_inherited(provider: Provider[Any], method: Any) -> bool:
    return getattr(getattr(provider, method.__name__, None), "__func__", None) is method


__all__ = ["broken_promises"]
