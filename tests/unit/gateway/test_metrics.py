"""What is counted, by one process and by several, and what of it Prometheus is told."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

import paddock
from paddock.errors import StoreFailed
from paddock.gateway.counts import GONE_SECONDS, Counts, Histogram, Shelf
from paddock.gateway.families import families
from paddock.gateway.http import Record
from paddock.gateway.metrics import Metrics
from paddock.inference.deployment import Deployment, Replica
from paddock.inference.upstream import Upstream
from paddock.schemas.limits import NANO
from paddock.services.census import Census, JobCount
from paddock.services.hardware import HardwareConfig, TypeConfig

DOCUMENTATION = Path("docs/metrics.md")
DASHBOARD = Path(paddock.__file__).parent / "bundled" / "grafana" / "paddock.json"
CENSUS = Census(
    {("foal", "ready", "CPU_2"): 2, ("foal", "loading", "CPU_2"): 1, ("foal", "draining", "CPU_1"): 1},
    {
        ("batch", "running"): JobCount(1, 40, 3, 60),
        ("batch", "completed"): JobCount(2, 100, 1, 0),
        ("batch", "failed"): JobCount(1, 5, 5, 95),
        ("ft", "running"): JobCount(1, 30, 0, 70),
    },
    webhooks=4,
)
PRICES = HardwareConfig(currency="USD", types={"CPU_2": TypeConfig(price_per_hour=3.6)})


def samples(metrics: Metrics) -> dict[str, float]:
    """Each sample by its name and labels, as the text has them."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
            key = f"{one.name}{{{labels}}}"
            assert key not in found, "Prometheus refuses a sample that it is told twice"
            found[key] = one.value
    return found


def record(**values: Any) -> Record:
    made = Record(route="/v1/x", status=200, model="foal")
    for name, value in values.items():
        setattr(made, name, value)
    return made


def deployment(name: str, identity: str, replicas: int = 1, **more: Any) -> Deployment:
    upstream = Upstream("http://127.0.0.1:9/v1", None, 1.0)
    made = [Replica(upstream, f"rep-{number}") for number in range(replicas)]
    return Deployment(name, "llama.cpp", name, id=identity, replicas=made, **more)


class TestObserve:
    def test_tokens_costs_and_broken_streams(self) -> None:
        metrics = Metrics(lambda: (), config=PRICES)
        metrics.observe(record(prompt_tokens=7, completion_tokens=3, cached_tokens=2, cost=NANO // 4), 0.1)
        broken = {"streamed": True, "first_token": 0.1}
        gone = record(status=499, outcome="aborted", completion_tokens=2, cost=NANO // 4, **broken)
        metrics.observe(gone, 0.2)
        metrics.observe(record(outcome="engine_lost", **broken), 0.3)
        metrics.observe(record(outcome="aborted", status=499, streamed=True), 0.3)
        metrics.observe(record(outcome="engine_lost", status=502), 0.3)
        found = samples(metrics)
        assert found["paddock_prompt_tokens_total{model=foal}"] == 7
        assert found["paddock_completion_tokens_total{model=foal}"] == 5
        assert found["paddock_cached_prompt_tokens_total{model=foal}"] == 2
        assert found["paddock_cost_total{currency=USD,model=foal}"] == 0.5
        assert found["paddock_streams_broken_total{model=foal,reason=aborted}"] == 1
        assert found["paddock_streams_broken_total{model=foal,reason=error}"] == 1
        assert found["paddock_requests_total{model=foal,route=/v1/x,status=200}"] == 2

    def test_rows_of_batches_are_no_requests(self) -> None:
        metrics = Metrics(lambda: ())
        metrics.count_work(record(prompt_tokens=7, completion_tokens=3, cost=1))
        found = samples(metrics)
        assert found["paddock_prompt_tokens_total{model=foal}"] == 7
        assert not any(name.startswith("paddock_request") for name in found)

    def test_names_follow_the_conventions(self) -> None:
        metrics = Metrics(lambda: ())
        for family in text_string_to_metric_families(metrics.render().decode()):
            assert re.fullmatch(r"paddock_[a-z]+(_[a-z]+)*", family.name)
            assert family.documentation.endswith(".") or family.documentation[-1].isalnum()
            if family.type == "histogram":
                assert family.name.endswith("_seconds")


class TestNow:
    def test_two_projects_may_use_a_name(self) -> None:
        one, two = deployment("foal", "dep-1"), deployment("foal", "dep-2", 2)
        one.in_flight, two.in_flight = 3, 4
        found = samples(Metrics(lambda: [one, two]))
        assert found["paddock_replicas_ready{model=foal}"] == 3
        assert found["paddock_requests_in_flight{model=foal}"] == 7

    def test_who_waits_for_a_replica_or_for_a_slot(self) -> None:
        base = deployment("foal", "dep-1", 2, slots=4)
        adapter = deployment("tuned", "ad-1", 0, base=base, slots=4)
        base.adapted.append(adapter)
        base.in_flight, base.waiting = 7, 2
        adapter.in_flight, adapter.waiting = 3, 1
        found = samples(Metrics(lambda: [base, adapter]))
        assert found["paddock_requests_waiting{model=foal}"] == 2 + (7 + 3 - 2 * 4)
        assert found["paddock_requests_waiting{model=tuned}"] == 1
        assert found["paddock_requests_in_flight{model=tuned}"] == 3

    def test_what_sleeps_is_left_out(self) -> None:
        found = samples(Metrics(lambda: [deployment("foal", "dep-1", 0, asleep=True)]))
        assert not any("model=foal" in name for name in found)


class TestCensus:
    async def test_what_the_store_has(self) -> None:
        async def take() -> Census:
            return CENSUS

        metrics = Metrics(lambda: (), take, PRICES)
        await metrics.refresh()
        found = samples(metrics)
        assert found["paddock_replicas{model=foal,state=ready}"] == 2
        assert found["paddock_replicas{model=foal,state=loading}"] == 1
        assert found["paddock_replicas_cost_per_second{currency=USD,model=foal}"] == 0.002
        assert found["paddock_jobs{kind=batch,state=completed}"] == 2
        assert found["paddock_jobs{kind=fine_tune,state=running}"] == 1
        assert found["paddock_batch_rows_total{status=ok}"] == 145 - 9
        assert found["paddock_batch_rows_total{status=error}"] == 9
        assert found["paddock_batch_rows_left{}"] == 60
        assert found["paddock_fine_tune_steps{}"] == 30
        assert found["paddock_fine_tune_steps_left{}"] == 70
        assert found["paddock_webhooks_waiting{}"] == 4

    async def test_it_is_taken_once_a_second_and_kept_if_the_store_is_gone(self) -> None:
        taken: list[float] = []

        async def take() -> Census:
            taken.append(time.monotonic())
            if len(taken) > 1:
                raise StoreFailed("gone")
            return CENSUS

        metrics = Metrics(lambda: (), take, PRICES)
        await metrics.refresh()
        await metrics.refresh()
        assert len(taken) == 1
        metrics._looked_at -= 1
        await metrics.refresh()
        assert len(taken) == 2
        assert samples(metrics)["paddock_webhooks_waiting{}"] == 4


class TestShelf:
    def test_counts_come_back_as_they_were_laid_down(self) -> None:
        counts = Counts(
            {("/v1/x", "foal", 200): 3},
            {("/v1/x", "foal"): Histogram()},
            {"foal": Histogram()},
            {"foal": [1, 2, 3]},
            {"foal": NANO},
            {("foal", "aborted"): 1},
            {"ledger_rows_written": 9},
            {"dep-1": 2},
            {"dep-1": 1},
        )
        counts.durations["/v1/x", "foal"].add(0.2)
        again = Counts.load(counts.dump())
        assert again.dump() == counts.dump()
        again.add(counts)
        assert (again.tokens, again.costs) == ({"foal": [2, 4, 6]}, {"foal": 2 * NANO})
        assert (again.in_flight, again.totals) == ({"dep-1": 4}, {"ledger_rows_written": 18})

    def test_processes_add_up_and_what_the_store_has_is_told_once(self, tmp_path: Path) -> None:
        served = [deployment("foal", "dep-1")]
        first, second = (Metrics(lambda: served, config=PRICES) for _ in range(2))
        for name, metrics in (("one", first), ("two", second)):
            metrics.shelf = Shelf(tmp_path, name)
            metrics.totals["ledger_rows_written"] = lambda: 5
            metrics.totals["webhook_attempts_failed"] = lambda: 3
            metrics.observe(record(prompt_tokens=7, cost=NANO), 0.1)
            metrics._census = CENSUS
        served[0].in_flight = 2
        second.lay_down()
        found = samples(first)
        assert found["paddock_prompt_tokens_total{model=foal}"] == 14
        assert found["paddock_cost_total{currency=USD,model=foal}"] == 2
        assert found["paddock_ledger_rows_written_total{}"] == 10
        assert found["paddock_webhook_attempts_total{outcome=failed}"] == 6
        assert found["paddock_webhook_attempts_total{outcome=delivered}"] == 0
        assert found["paddock_requests_in_flight{model=foal}"] == 4
        assert found["paddock_replicas_ready{model=foal}"] == 1
        assert found["paddock_replicas{model=foal,state=ready}"] == 2

    def test_a_process_that_is_gone_has_nothing_in_flight(self, tmp_path: Path) -> None:
        Shelf(tmp_path, "gone").lay_down(Counts(tokens={"foal": [1, 0, 0]}, in_flight={"dep-1": 9}))
        shelf = Shelf(tmp_path, "one")
        shelf.lay_down(Counts(in_flight={"dep-1": 1}))
        long_ago = time.time() - GONE_SECONDS - 1
        for name in ("gone", "one"):
            os.utime(tmp_path / f"{name}.counts", (long_ago, long_ago))
        # Laid down again as it was: that is a sign of life too.
        shelf.lay_down(Counts(in_flight={"dep-1": 1}))
        total = shelf.all()
        assert (total.in_flight, total.tokens) == ({"dep-1": 1}, {"foal": [1, 0, 0]})


def told() -> list[Metric]:
    return list(families(Counts(), (), Census(), HardwareConfig()))


def full_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


class TestDocumentation:
    def test_the_page_has_every_metric_with_its_labels(self) -> None:
        rows = re.findall(r"^\| `(paddock_\w+)` \| (\w+) \| (.*?) \|", DOCUMENTATION.read_text("utf-8"), re.M)
        assert rows == [
            (full_name(family), family.type, ", ".join(f"`{label}`" for label in family._labelnames))  # type: ignore[attr-defined]
            for family in told()
        ]


class TestDashboard:
    dashboard: Any = json.loads(DASHBOARD.read_text("utf-8"))

    def expressions(self) -> Iterator[str]:
        yield from (one["definition"] for one in self.dashboard["templating"]["list"])
        for panel in self.dashboard["panels"]:
            yield from (target["expr"] for target in panel["targets"])

    def test_it_asks_only_for_what_there_is_and_by_labels_that_it_has(self) -> None:
        known: dict[str, set[str]] = {}
        for family in told():
            labels = set(family._labelnames)  # type: ignore[attr-defined]
            name = full_name(family)
            known[f"{name}_bucket" if family.type == "histogram" else name] = labels
        used = set()
        for expression in self.expressions():
            names = re.findall(r"paddock_\w+", expression)
            assert names
            used.update(names)
            labels = set(re.findall(r"(\w+)=~?\"", expression))
            for group in re.findall(r"by \(([\w, ]+)\)", expression):
                labels |= set(group.split(", "))
            for name in names:
                assert labels <= known[name] | {"le"}, expression
        assert used == known.keys()

    def test_panels_lie_beside_each_other_on_one_data_source(self) -> None:
        cells = set()
        for panel in self.dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            covered = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert not cells & covered
            cells |= covered
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert {one["uid"] for one in sources} == {"${DS_PROMETHEUS}"}
        assert len({panel["id"] for panel in self.dashboard["panels"]}) == len(self.dashboard["panels"])
        assert [one["name"] for one in self.dashboard["__inputs"]] == ["DS_PROMETHEUS"]
