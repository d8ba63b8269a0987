"""`SafetyConformance`: what a safety provider keeps."""

from hitchpost.conformance.provider import ProviderConformance
from hitchpost.conformance.safety.shields import ShieldChecks


class SafetyConformance(ShieldChecks, ProviderConformance):
    """Subclass it with `provider_type`, `config`, `shield` and `forbidden`; `hitchpost.conformance.safety.subject` has the rest."""


__all__ = ["SafetyConformance"]
