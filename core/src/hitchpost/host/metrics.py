"""`/metrics`: what the host counts itself, and the figures of its providers, in Prometheus' text format."""

import logging
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from hitchpost.host.lifecycle import Lifecycle
from hitchpost.plugin import Metric
from hitchpost.plugin.foreign import is_failure
from hitchpost.routing import ProviderGate, ProviderState

log = logging.getLogger("hitchpost.host")

_DURATION_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
Family = CounterMetricFamily | GaugeMetricFamily


class HostMetrics:
    """The figures of one host, in a registry of their own.

    Args:
        providers: whose figures are collected at each scrape.
        lifecycle: knows the requests under way.
    """

    def __init__(self, providers: Sequence[ProviderGate], lifecycle: Lifecycle) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "hitchpost_requests_total",
            "Requests answered; status 499: the client left before the answer was whole",
            ["surface", "route", "status"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "hitchpost_request_duration_seconds",
            "From the request's headers to the end of its answer",
            ["surface", "route", "streamed"],
            buckets=_DURATION_BUCKETS_S,
            registry=self._registry,
        )
        in_flight = Gauge("hitchpost_requests_in_flight", "Requests being answered", registry=self._registry)
        in_flight.set_function(lambda: lifecycle.running)
        self._registry.register(ProviderCollector(providers))
        # Looking a child up by its labels costs more than counting does.
        self._children: dict[tuple[str, str, int, bool], tuple[Counter, Histogram]] = {}

    def count(self, surface: str, route: str, status: int, duration_s: float, *, is_stream: bool) -> None:
        """Count one answered request."""
        key = (surface, route, status, is_stream)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = (
                self._requests.labels(surface, route, str(status)),
                self._durations.labels(surface, route, str(is_stream).lower()),
            )
        child[0].inc()
        child[1].observe(duration_s)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


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
