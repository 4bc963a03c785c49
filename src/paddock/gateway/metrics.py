"""Counts for Prometheus: plain additions on the hot path, rendered only when somebody asks."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from paddock.errors import PaddockError
from paddock.gateway.counts import Counts, Histogram, Shelf
from paddock.gateway.families import families, identity
from paddock.gateway.http import Record
from paddock.gateway.ledger import LedgerWriter
from paddock.inference.routing import Deployment
from paddock.services.census import Census
from paddock.services.hardware import HardwareConfig

SHARE_SECONDS = 1.0
CENSUS_SECONDS = 1.0
PATIENCE_SECONDS = 2.0
"""A store that does not answer in time keeps nobody from the rest."""


class Metrics(Collector):
    """Labels are bounded: routes are patterns, models are names that are served, keys are no labels.

    Args:
        deployments: gives what is served at the moment of asking.
        census: looks at what the store has.
        config: prices and their currency.

    Attributes:
        shelf: where the other processes of this server lay down theirs; None if there are none.
        totals: what other parts of this process have counted so far, by its name: see `families.TOTALS`
            and `ATTEMPTS`.
    """

    def __init__(
        self,
        deployments: Callable[[], Iterable[Deployment]],
        census: Callable[[], Awaitable[Census]] | None = None,
        config: HardwareConfig | None = None,
    ) -> None:
        self._deployments = deployments
        self._take_census = census
        self._config = config or HardwareConfig()
        self._census: Census | None = None
        self._looked_at = -math.inf
        self._counts = Counts()
        self.totals: dict[str, Callable[[], int]] = {}
        self.shelf: Shelf | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def observe(self, record: Record, seconds: float) -> None:
        counts, route, model = self._counts, record.route or "unknown", record.model
        key = (route, model, record.status)
        counts.requests[key] = counts.requests.get(key, 0) + 1
        duration = counts.durations.get((route, model))
        if duration is None:
            duration = counts.durations[route, model] = Histogram()
        duration.add(seconds)
        if not model:
            return
        if record.first_token:
            first = counts.first_tokens.get(model)
            if first is None:
                first = counts.first_tokens[model] = Histogram()
            first.add(record.first_token)
        if record.outcome and record.streamed and record.first_token:
            reason = "aborted" if record.outcome in ("aborted", "cancelled") else "error"
            counts.broken[model, reason] = counts.broken.get((model, reason), 0) + 1
        self.count_work(record)

    def count_work(self, record: Record) -> None:
        """What a request cost that is none of a route's, as the rows of a batch: `observe` does it too."""
        model = record.model
        if record.prompt_tokens or record.completion_tokens:
            tokens = self._counts.tokens.get(model)
            if tokens is None:
                tokens = self._counts.tokens[model] = [0, 0, 0]
            tokens[0] += record.prompt_tokens
            tokens[1] += record.completion_tokens
            tokens[2] += record.cached_tokens
        if record.cost:
            self._counts.costs[model] = self._counts.costs.get(model, 0) + record.cost

    def refused(self, status: int) -> None:
        """A request that was refused before it was whole."""
        key = ("unknown", "", status)
        self._counts.requests[key] = self._counts.requests.get(key, 0) + 1

    def watch(self, writer: LedgerWriter) -> None:
        """From now on it is told what this process writes to the ledger."""
        self.totals["ledger_rows_written"] = lambda: writer.written
        self.totals["ledger_rows_dropped"] = lambda: writer.dropped

    async def refresh(self) -> None:
        """Looks at the store, unless somebody has just done so. Without it the last look stands."""
        now = time.monotonic()
        if self._take_census is None or now - self._looked_at < CENSUS_SECONDS:
            return
        self._looked_at = now
        with contextlib.suppress(PaddockError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._census = await self._take_census()

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)

    def lay_down(self) -> None:
        """Lets the other processes have what this one has counted."""
        if self.shelf is not None:
            with contextlib.suppress(OSError):
                self.shelf.lay_down(self._now())

    async def share(self) -> None:
        """Lays down every second, until it is cancelled."""
        while True:
            self.lay_down()
            await asyncio.sleep(SHARE_SECONDS)

    def collect(self) -> Iterator[Metric]:
        counts = self._now()
        if self.shelf is not None:
            self.lay_down()
            counts = self.shelf.all()
        yield from families(counts, self._deployments(), self._census, self._config)

    def _now(self) -> Counts:
        counts = self._counts
        awake = [one for one in self._deployments() if not one.asleep]
        counts.in_flight = {identity(one): one.in_flight for one in awake if one.in_flight}
        counts.waiting = {identity(one): one.waiting for one in awake if one.waiting}
        counts.totals = {name: read() for name, read in self.totals.items()}
        return counts
