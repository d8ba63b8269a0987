"""`/metrics`: what the host counts itself, and the figures of its providers, in Prometheus' text format."""

import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from hitchpost.host.lifecycle import Lifecycle
from hitchpost.plugin import Metric
from hitchpost.plugin.foreign import is_failure
from hitchpost.routing import ProviderGate, ProviderState

log = logging.getLogger("hitchpost.host")

_DURATION_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
Family = CounterMetricFamily | GaugeMetricFamily


class HostMetrics:
    """The figures of one host, in a registry of their own.

    Args:
        providers: whose figures are collected at each scrape.
        lifecycle: knows the requests under way.
    """

    def __init__(self, providers: Sequence[ProviderGate], lifecycle: Lifecycle) -> None:
        self._registry = CollectorRegistry()
        self.requests = RequestCollector()
        self._registry.register(self.requests)
        in_flight = Gauge("hitchpost_requests_in_flight", "Requests being answered", registry=self._registry)
        in_flight.set_function(lambda: lifecycle.running)
        self._registry.register(ProviderCollector(providers))

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Counted:
    """Requests that were alike, by how long they took."""

    __slots__ = ("buckets", "since", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_DURATION_BUCKETS_S) + 1)
        """How many took no longer than the bound of this place, and longer than that of the place before; the last one has no bound."""
        self.sum_s = 0.0
        self.since = time.time()
        """Seconds since 1970."""

    def add(self, other: "_Counted") -> None:
        self.buckets = [mine + others for mine, others in zip(self.buckets, other.buckets, strict=True)]
        self.sum_s += other.sum_s
        self.since = min(self.since, other.since)


class RequestCollector(Collector):
    """The requests that were answered. Counted in plain numbers: Prometheus' own counters take a lock for each, and ten times as long."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str, int, bool], _Counted] = {}

    def count(self, surface: str, route: str, status: int, duration_s: float, *, is_stream: bool) -> None:
        """Count one answered request."""
        key = (surface, route, status, is_stream)
        counted = self._counted.get(key)
        if counted is None:
            counted = self._counted[key] = _Counted()
        counted.buckets[bisect_left(_DURATION_BUCKETS_S, duration_s)] += 1
        counted.sum_s += duration_s

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """Requests by their status, and their durations."""
        requests = CounterMetricFamily(
            "hitchpost_requests_total",
            "Requests answered; status 499: the client left before the answer was whole",
            labels=["surface", "route", "status"],
        )
        for labels, counted in self._sums(lambda surface, route, status, _: (surface, route, str(status))):
            requests.add_metric(labels, sum(counted.buckets), created=counted.since)
        yield requests
        durations = HistogramMetricFamily(
            "hitchpost_request_duration_seconds",
            "From the request's headers to the end of its answer",
            labels=["surface", "route", "streamed"],
        )
        bounds = [*map(str, _DURATION_BUCKETS_S), "+Inf"]
        for labels, counted in self._sums(
            lambda surface, route, _, is_stream: (surface, route, str(is_stream).lower())
        ):
            up_to = list(zip(bounds, accumulate(counted.buckets), strict=True))
            durations.add_metric(labels, up_to, counted.sum_s)
            named = dict(zip(("surface", "route", "streamed"), labels, strict=True))
            durations.add_sample("hitchpost_request_duration_seconds_created", named, counted.since)
        yield durations

    def _sums(
        self, labels_of: Callable[[str, str, int, bool], tuple[str, ...]]
    ) -> Iterable[tuple[tuple[str, ...], _Counted]]:
        sums: dict[tuple[str, ...], _Counted] = {}
        for key, counted in self._counted.items():
            sums.setdefault(labels_of(*key), _Counted()).add(counted)
        return sums.items()


class ProviderCollector(Collector):
    """Asks the providers at each scrape; one that fails at it is left out and reported."""

    def __init__(self, providers: Sequence[ProviderGate]) -> None:
        self._providers = providers

    def describe(self) -> Iterable[Family]:
        """Nothing: which figures there are is only known at a scrape."""
        return ()

    def collect(self) -> Iterator[Family]:
        """The gates' figures, then the providers' own."""
        labels = ["api", "provider_id"]
        running = GaugeMetricFamily("hitchpost_gate_running", "Requests that a provider works on", labels=labels)
        waiting = GaugeMetricFamily("hitchpost_gate_waiting", "Requests that wait for a provider", labels=labels)
        states = GaugeMetricFamily(
            "hitchpost_gate_state", "1 for the state that a provider is in", labels=[*labels, "state"]
        )
        for gate in self._providers:
            values = [gate.api.value, gate.provider_id]
            running.add_metric(values, gate.running)
            waiting.add_metric(values, gate.waiting)
            for state in ProviderState:
                states.add_metric([*values, state.value], float(gate.state is state))
        yield from (running, waiting, states)
        yield from self._own_figures()

    def _own_figures(self) -> Iterable[Family]:
        families: dict[str, Family] = {}
        shapes: dict[str, tuple[str, tuple[str, ...]]] = {}
        for gate in self._providers:
            for metric in _metrics_of(gate):
                shape = (metric.kind, tuple(metric.labels))
                try:
                    if shapes.setdefault(metric.name, shape) != shape:
                        raise ValueError("another provider gives it another kind or other labels")
                    family = families.get(metric.name)
                    if family is None:
                        family = families[metric.name] = _family(metric)
                    labels = [gate.api.value, gate.provider_id, *map(str, metric.labels.values())]
                    family.add_metric(labels, float(metric.value))
                except (TypeError, ValueError) as error:
                    log.warning("metric %s of provider %s is left out: %s", metric.name, gate.provider_id, error)
        return families.values()


def _metrics_of(gate: ProviderGate) -> list[Metric]:
    if gate.provider is None:
        return []
    try:
        return list(gate.provider.metrics())
    except BaseException as error:
        if not is_failure(error):
            raise
        log.exception("provider %s can't say its metrics", gate.provider_id)
        return []


def _family(metric: Metric) -> Family:
    family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return family(f"hitchpost_provider_{metric.name}", metric.help, labels=["api", "provider_id", *metric.labels])


__all__ = ["HostMetrics", "ProviderCollector"]
