"""From identifier to provider: lookup, the gate in front of each provider, and the routers that surfaces and dependents call."""

from hitchpost.routing.gate import ProviderGate, ProviderState
from hitchpost.routing.inference import InferenceRouter
from hitchpost.routing.resolve import Resolver, is_same_llama

__all__ = ["InferenceRouter", "ProviderGate", "ProviderState", "Resolver", "is_same_llama"]
