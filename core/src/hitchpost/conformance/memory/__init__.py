"""`MemoryConformance`: what a memory provider keeps."""

from hitchpost.conformance.memory.banks import BankChecks
from hitchpost.conformance.memory.documents import DocumentChecks
from hitchpost.conformance.memory.queries import QueryChecks
from hitchpost.conformance.provider import ProviderConformance


class MemoryConformance(DocumentChecks, QueryChecks, BankChecks, ProviderConformance):
    """Subclass it with `provider_type` and `config`; `hitchpost.conformance.memory.subject` has the rest that can be said."""


__all__ = ["MemoryConformance"]
