"""The checks that hold for providers of every API."""

from hitchpost.conformance.provider.event_loop import EventLoopChecks
from hitchpost.conformance.provider.hooks import HookChecks
from hitchpost.conformance.provider.lifecycle import LifecycleChecks
from hitchpost.conformance.provider.metrics import MetricsChecks
from hitchpost.conformance.provider.plugin import PluginChecks
from hitchpost.conformance.provider.requests import RequestChecks


class ProviderConformance(RequestChecks, EventLoopChecks, MetricsChecks, HookChecks, LifecycleChecks, PluginChecks):
    """What every provider keeps, of whatever API; the classes of the APIs include it."""


__all__ = ["ProviderConformance"]
