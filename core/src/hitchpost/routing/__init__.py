"""From identifier to provider: lookup, the gate in front of each provider, and the routers that surfaces and dependents call."""

from hitchpost.routing.batch import BatchInferenceRouter
from hitchpost.routing.gate import ProviderGate, ProviderState
from hitchpost.routing.inference import InferenceRouter
from hitchpost.routing.resolve import Resolver
from hitchpost.routing.resources import MemoryRouter, SafetyRouter, check_bank_type
from hitchpost.routing.single import AgentsRouter, TelemetryRouter
from hitchpost.routing.tracing import Span, Tracer

__all__ = [
    "AgentsRouter",
    "BatchInferenceRouter",
    "InferenceRouter",
    "MemoryRouter",
    "ProviderGate",
    "ProviderState",
    "Resolver",
    "SafetyRouter",
    "Span",
    "TelemetryRouter",
    "Tracer",
    "check_bank_type",
]
