"""What was counted, as the families that Prometheus knows; `docs/metrics.md` lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from paddock import __version__
from paddock.gateway.counts import Counts, Histogram
from paddock.inference.deployment import Deployment
from paddock.schemas.limits import NANO
from paddock.services.census import Census
from paddock.services.hardware import HardwareConfig

Value = TypeVar("Value")
Labels = TypeVar("Labels", bound=tuple[str, ...])
TOTALS = {
    "webhook_messages_given_up": "Messages to webhooks and callbacks that were tried in vain to the end.",
    "ledger_rows_written": "Requests that were written to the ledger.",
    "ledger_rows_dropped": "Requests that the ledger does not have, for its database failed for too long.",
}
"""What other parts of a process count, by its name without prefix and suffix."""
ATTEMPTS = ("delivered", "failed")
"""What comes of tries to bring a message to a webhook; counted as `webhook_attempts_…`."""
KINDS = {"batch": "batch", "ft": "fine_tune"}
_PAID = ("ready", "draining", "ending")


def families(
    counts: Counts, deployments: Iterable[Deployment], census: Census | None, config: HardwareConfig
) -> Iterator[Metric]:
    """
    Args:
        counts: of all processes together.
        deployments: what is served now.
        census: what the store has; None if that is not known.
        config: prices and their currency.
    """
    yield _gauge("build_info", "Always 1; the version is the label.", ["version"], {(__version__,): 1})
    yield from _answered(counts, config.currency)
    yield from _now(counts, [one for one in deployments if not one.asleep])
    yield from _counted(census or Census(), config)
    yield _counter(
        "webhook_attempts",
        "Tries to bring a message to a webhook or a callback.",
        ["outcome"],
        {(outcome,): counts.totals.get(f"webhook_attempts_{outcome}", 0) for outcome in ATTEMPTS},
    )
    for name, doc in TOTALS.items():
        yield _counter(name, doc, [], {(): counts.totals.get(name, 0)})


def _answered(counts: Counts, currency: str) -> Iterator[Metric]:
    yield _counter(
        "requests",
        "Requests answered; status 499: the caller left.",
        ["route", "model", "status"],
        {(route, model, str(status)): count for (route, model, status), count in counts.requests.items()},
    )
    yield _histogram(
        "request_duration_seconds",
        "From the whole request to the whole answer.",
        ["route", "model"],
        counts.durations,
    )
    yield _histogram(
        "time_to_first_token_seconds", "Of streamed answers.", ["model"], _single(counts.first_tokens)
    )
    for index, (kind, doc) in enumerate(
        (
            ("prompt", "Tokens of prompts."),
            ("completion", "Tokens generated."),
            ("cached_prompt", "Tokens of prompts that the engine had cached."),
        )
    ):
        tokens = {model: three[index] for model, three in counts.tokens.items()}
        yield _counter(f"{kind}_tokens", doc, ["model"], _single(tokens))
    yield _counter(
        "streams_broken",
        "Streams that ended before they were whole: the caller left (aborted), or something failed (error).",
        ["model", "reason"],
        counts.broken,
    )
    yield _counter(
        "cost",
        "Price of the tokens, in the currency of the label.",
        ["model", "currency"],
        {(model, currency): cost / NANO for model, cost in counts.costs.items()},
    )


def _now(counts: Counts, deployments: list[Deployment]) -> Iterator[Metric]:
    """Of those that are awake: there may be ten thousand that sleep, and 0 is what they are meant to have."""
    ready: Counter[str] = Counter()
    in_flight: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    for one in deployments:
        # Projects may use the same name.
        ready[one.name] += len(one.replicas)
        in_flight[one.name] += counts.in_flight.get(identity(one), 0)
        waiting[one.name] += counts.waiting.get(identity(one), 0)
        if one.base is None and one.slots:
            # Its engines have these, but do not decode them yet; adapters share their slots.
            sent = sum(counts.in_flight.get(identity(each), 0) for each in one.family)
            waiting[one.name] += max(0, sent - one.slots * len(one.replicas))
    yield _gauge("replicas_ready", "Engines that take requests.", ["model"], _single(ready))
    yield _gauge("requests_in_flight", "Requests at an engine now.", ["model"], _single(in_flight))
    yield _gauge(
        "requests_waiting",
        "Requests that wait for a replica, or in an engine for one of its slots.",
        ["model"],
        _single(waiting),
    )


def _counted(census: Census, config: HardwareConfig) -> Iterator[Metric]:
    replicas: Counter[tuple[str, str]] = Counter()
    prices: dict[tuple[str, str], float] = {}
    for (model, state, kind), count in census.replicas.items():
        replicas[model, state] += count
        price = config.price_per_hour(kind)
        if price and state in _PAID:
            key = (model, config.currency)
            prices[key] = prices.get(key, 0.0) + count * price / 3600
    yield _gauge(
        "replicas", "Replicas that have not ended, whatever their state.", ["model", "state"], replicas
    )
    yield _gauge(
        "replicas_cost_per_second",
        "What the hardware of the running replicas costs in a second.",
        ["model", "currency"],
        prices,
    )
    jobs = {(KINDS.get(kind, kind), state): one for (kind, state), one in census.jobs.items()}
    yield _gauge(
        "jobs",
        "Jobs in each state, those that are over included.",
        ["kind", "state"],
        {key: one.count for key, one in jobs.items()},
    )
    sums: Counter[str] = Counter()
    for (kind, state), one in jobs.items():
        sums[f"{kind} done"] += one.done
        sums[f"{kind} failed"] += one.failed
        if state in ("queued", "running"):
            sums[f"{kind} left"] += one.left
    yield _counter(
        "batch_rows",
        "Rows of batches that have their answer (ok) or an error in its place (error).",
        ["status"],
        {("ok",): sums["batch done"] - sums["batch failed"], ("error",): sums["batch failed"]},
    )
    yield _gauge(
        "batch_rows_left", "Rows of unfinished batches without an answer.", [], {(): sums["batch left"]}
    )
    # No counter: a fine-tune that is taken up again goes on from its last checkpoint.
    yield _gauge("fine_tune_steps", "Steps that fine-tunes have taken.", [], {(): sums["fine_tune done"]})
    yield _gauge(
        "fine_tune_steps_left",
        "Steps that unfinished fine-tunes have still to take.",
        [],
        {(): sums["fine_tune left"]},
    )
    yield _gauge(
        "webhooks_waiting", "Messages that are on their way to a webhook.", [], {(): census.webhooks}
    )


def identity(deployment: Deployment) -> str:
    """By which the processes of a server mean the same deployment."""
    return deployment.id or deployment.name


def _single(values: Mapping[str, Value]) -> dict[tuple[str, ...], Value]:
    return {(key,): value for key, value in values.items()}


def _gauge(name: str, doc: str, labels: list[str], values: Mapping[Labels, float]) -> Metric:
    return _filled(GaugeMetricFamily(f"paddock_{name}", doc, labels=labels), values)


def _counter(name: str, doc: str, labels: list[str], values: Mapping[Labels, float]) -> Metric:
    return _filled(CounterMetricFamily(f"paddock_{name}", doc, labels=labels), values)


def _histogram(name: str, doc: str, labels: list[str], values: Mapping[Labels, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"paddock_{name}", doc, labels=labels)
    for key, histogram in values.items():
        family.add_metric(list(key), histogram.buckets(), histogram.total)
    return family


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[Labels, float]) -> Metric:
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
