"""Counts for Prometheus: plain additions on the hot path, rendered only when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from paddock.gateway.http import Record
from paddock.inference.routing import Deployment

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics(Collector):
    """Labels are bounded: routes are patterns, models are names that are served.

    Args:
        deployments: gives what is served at the moment of asking.
    """

    def __init__(self, deployments: Callable[[], Iterable[Deployment]]) -> None:
        self._deployments = deployments
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], _Histogram] = {}
        self._first_tokens: dict[str, _Histogram] = {}
        self._tokens: dict[str, list[int]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def observe(self, record: Record, seconds: float) -> None:
        route, model = record.route or "unknown", record.model
        key = (route, model, record.status)
        self._requests[key] = self._requests.get(key, 0) + 1
        duration = self._durations.get((route, model))
        if duration is None:
            duration = self._durations[route, model] = _Histogram()
        duration.add(seconds)
        if not model:
            return
        if record.first_token:
            first = self._first_tokens.get(model)
            if first is None:
                first = self._first_tokens[model] = _Histogram()
            first.add(record.first_token)
        if record.prompt_tokens or record.completion_tokens:
            tokens = self._tokens.setdefault(model, [0, 0, 0])
            tokens[0] += record.prompt_tokens
            tokens[1] += record.completion_tokens
            tokens[2] += record.cached_tokens

    def refused(self, status: int) -> None:
        """A request that was refused before it was whole."""
        key = ("unknown", "", status)
        self._requests[key] = self._requests.get(key, 0) + 1

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "paddock_requests",
            "Requests answered; status 499: the caller left.",
            labels=["route", "model", "status"],
        )
        for (route, model, status), count in self._requests.items():
            requests.add_metric([route, model, str(status)], count)
        yield requests
        durations = HistogramMetricFamily(
            "paddock_request_duration_seconds",
            "From the whole request to the whole answer.",
            labels=["route", "model"],
        )
        for (route, model), histogram in self._durations.items():
            durations.add_metric([route, model], histogram.buckets(), histogram.total)
        yield durations
        first = HistogramMetricFamily(
            "paddock_time_to_first_token_seconds", "Of streamed answers.", labels=["model"]
        )
        for model, histogram in self._first_tokens.items():
            first.add_metric([model], histogram.buckets(), histogram.total)
        yield first
        for index, (kind, doc) in enumerate(
            (
                ("prompt", "Tokens of prompts."),
                ("completion", "Tokens generated."),
                ("cached_prompt", "Tokens of prompts that the engine had cached."),
            )
        ):
            tokens = CounterMetricFamily(f"paddock_{kind}_tokens", doc, labels=["model"])
            for model, counts in self._tokens.items():
                tokens.add_metric([model], counts[index])
            yield tokens
        ready = GaugeMetricFamily("paddock_replicas_ready", "Engines that take requests.", labels=["model"])
        in_flight = GaugeMetricFamily(
            "paddock_requests_in_flight", "Requests at an engine now.", labels=["model"]
        )
        for deployment in self._deployments():
            ready.add_metric([deployment.name], len(deployment.replicas))
            in_flight.add_metric([deployment.name], sum(replica.in_flight for replica in deployment.replicas))
        yield ready
        yield in_flight


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts with their upper bounds."""
        result: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            running += count
            result.append((bound, running))
        return result
