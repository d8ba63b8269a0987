"""From identifier to provider: lookup, the gate in front of each provider, and the routers that surfaces and dependents call."""

from hitchpost.routing.gate import ProviderGate, ProviderState
from hitchpost.routing.inference import InferenceRouter
from hitchpost.routing.resolve import Resolver, llama_meaning_of

__all__ = ["InferenceRouter", "ProviderGate", "ProviderState", "Resolver", "llama_meaning_of"]
