"""What handlers find in the application, typed."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from hitchpost.host.lifecycle import Lifecycle
from hitchpost.host.metrics import HostMetrics
from hitchpost.host.settings import HostSettings
from hitchpost.stack import Stack

ANSWER: web.AppKey[Callable[[web.Request], Awaitable[web.StreamResponse]]] = web.AppKey("answer")
"""What every request passes through."""
STACK: web.AppKey[Stack] = web.AppKey("stack", Stack)
LIFECYCLE: web.AppKey[Lifecycle] = web.AppKey("lifecycle", Lifecycle)
METRICS: web.AppKey[HostMetrics] = web.AppKey("metrics", HostMetrics)
SETTINGS: web.AppKey[HostSettings] = web.AppKey("settings", HostSettings)
STARTED_AT: web.AppKey[int] = web.AppKey("started_at", int)
"""Seconds since 1970."""

__all__ = ["ANSWER", "LIFECYCLE", "METRICS", "SETTINGS", "STACK", "STARTED_AT"]
