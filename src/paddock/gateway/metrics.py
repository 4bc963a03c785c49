"""Counts for Prometheus: plain additions on the hot path, rendered only when somebody asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from paddock.gateway.counts import Counts, Histogram, Shelf
from paddock.gateway.http import Record
from paddock.inference.routing import Deployment


class Metrics(Collector):
    """Labels are bounded: routes are patterns, models are names that are served.

    Args:
        deployments: gives what is served at the moment of asking.

    Attributes:
        shelf: where the other gateway processes of this server lay down theirs; None if there are none.
    """

    def __init__(self, deployments: Callable[[], Iterable[Deployment]]) -> None:
        self._deployments = deployments
        self._counts = Counts()
        self.shelf: Shelf | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def observe(self, record: Record, seconds: float) -> None:
        route, model = record.route or "unknown", record.model
        key = (route, model, record.status)
        self._counts.requests[key] = self._counts.requests.get(key, 0) + 1
        duration = self._counts.durations.get((route, model))
        if duration is None:
            duration = self._counts.durations[route, model] = Histogram()
        duration.add(seconds)
        if not model:
            return
        if record.first_token:
            first = self._counts.first_tokens.get(model)
            if first is None:
                first = self._counts.first_tokens[model] = Histogram()
            first.add(record.first_token)
        if record.prompt_tokens or record.completion_tokens:
            tokens = self._counts.tokens.setdefault(model, [0, 0, 0])
            tokens[0] += record.prompt_tokens
            tokens[1] += record.completion_tokens
            tokens[2] += record.cached_tokens

    def refused(self, status: int) -> None:
        """A request that was refused before it was whole."""
        key = ("unknown", "", status)
        self._counts.requests[key] = self._counts.requests.get(key, 0) + 1

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)

    def lay_down(self) -> None:
        """Lets the other gateway processes have what this one has counted."""
        if self.shelf is not None:
            with contextlib.suppress(OSError):
                self.shelf.lay_down(self._now())

    def collect(self) -> Iterator[Metric]:
        counts = self._now()
        if self.shelf is not None:
            self.lay_down()
            counts = self.shelf.all()
        requests = CounterMetricFamily(
            "paddock_requests",
            "Requests answered; status 499: the caller left.",
            labels=["route", "model", "status"],
        )
        for (route, model, status), count in counts.requests.items():
            requests.add_metric([route, model, str(status)], count)
        yield requests
        durations = HistogramMetricFamily(
            "paddock_request_duration_seconds",
            "From the whole request to the whole answer.",
            labels=["route", "model"],
        )
        for (route, model), histogram in counts.durations.items():
            durations.add_metric([route, model], histogram.buckets(), histogram.total)
        yield durations
        first = HistogramMetricFamily(
            "paddock_time_to_first_token_seconds", "Of streamed answers.", labels=["model"]
        )
        for model, histogram in counts.first_tokens.items():
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
            for model, three in counts.tokens.items():
                tokens.add_metric([model], three[index])
            yield tokens
        ready = GaugeMetricFamily("paddock_replicas_ready", "Engines that take requests.", labels=["model"])
        in_flight = GaugeMetricFamily(
            "paddock_requests_in_flight", "Requests at an engine now.", labels=["model"]
        )
        for deployment in self._deployments():
            if deployment.asleep:
                # There may be ten thousand, and 0 is what they are meant to have.
                continue
            ready.add_metric([deployment.name], len(deployment.replicas))
        for model, count in counts.in_flight.items():
            in_flight.add_metric([model], count)
        yield ready
        yield in_flight

    def _now(self) -> Counts:
        self._counts.in_flight = {
            deployment.name: sum(replica.in_flight for replica in deployment.replicas)
            for deployment in self._deployments()
            if not deployment.asleep
        }
        return self._counts
