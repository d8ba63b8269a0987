"""Checks of the figures that a provider shows at `/metrics`."""

import math
import re
from typing import Any

from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.provider.event_loop import stalls_of
from hitchpost.plugin import Metric, Provider

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LABEL = re.compile(r"[a-z_][a-z0-9_]*")
_HOSTS_OWN = {"api", "provider_id"}


class MetricsChecks(ConformanceBase):
    """Every visit of `/metrics` reads them, of all providers."""

    @check(
        "metrics.well-formed",
        why="one figure that the exposition format can't hold takes the figures of all providers with it",
        advice="answer hitchpost.plugin.Metric objects: snake-case name with its unit, a finite value, text labels, one help text per name",
    )
    async def test_metrics_are_well_formed(self, harness: Harness) -> None:
        """metrics() answers `Metric`s with sound names, labels and values, each series once, before and after a request."""
        async with harness.started() as provider:
            _check_metrics(provider)
            async for _ in self.use(harness, provider):
                pass
            _check_metrics(provider)

    @check(
        "metrics.quick",
        why="metrics() is called on the event loop: while it runs, nobody else is served",
        advice="count while you work, and let metrics() only read the counters; ask the backend in the background",
    )
    async def test_metrics_are_read_at_once(self, harness: Harness) -> None:
        """metrics() returns without keeping the event loop, in two rounds."""
        async with harness.started() as provider:

            async def read() -> None:
                list(provider.metrics())

            stalls = await stalls_of(harness, read)
            if stalls:
                raise CheckFailed(f"metrics() waits: {stalls[0]}")


def _check_metrics(provider: Provider[Any]) -> None:
    series = set()
    helps: dict[str, tuple[str, str]] = {}
    for metric in provider.metrics():
        if not isinstance(metric, Metric):
            raise CheckFailed(f"metrics() holds {type(metric).__name__} in place of Metric")
        problem = _problem_of(metric)
        if problem:
            raise CheckFailed(f"metric {metric.name!r} {problem}")
        key = (metric.name, *sorted(metric.labels.items()))
        if key in series:
            raise CheckFailed(f"metric {metric.name!r} with labels {dict(metric.labels)} is there twice")
        series.add(key)
        if helps.setdefault(metric.name, (metric.kind, metric.help)) != (metric.kind, metric.help):
            raise CheckFailed(f"metric {metric.name!r} has two kinds or two help texts")


def _problem_of(metric: Metric) -> str:
    if not _NAME.fullmatch(metric.name):
        return "is not named in snake case"
    if metric.kind not in ("counter", "gauge"):
        return f"is of the kind {metric.kind!r}, neither counter nor gauge"
    if not metric.help:
        return "has no help text"
    if not isinstance(metric.value, int | float) or not math.isfinite(metric.value):
        return f"has the value {metric.value!r}"
    if metric.kind == "counter" and metric.value < 0:
        return f"is a counter with the value {metric.value!r}"
    wrong = [
        name
        for name, value in metric.labels.items()
        if not _LABEL.fullmatch(name) or name in _HOSTS_OWN or not isinstance(value, str)
    ]
    return f"has labels that can't be: {', '.join(wrong)}" if wrong else ""


__all__ = ["MetricsChecks"]
