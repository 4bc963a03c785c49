from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from paddock.control.decide import (
    ATTEMPTS,
    LONGEST_WAIT,
    Decision,
    Load,
    Seen,
    Wish,
    decide,
    gave_up,
    target,
    wait_after,
)
from tests.unit.control.herd import DRAIN, QUEUE, START, UNDER_WAY, Herd

NOW = 1000.0
IDLE = Load()


def wish(**changes: Any) -> Wish:
    values: dict[str, Any] = {"min_workers": 1, "max_workers": 1, "per_worker": 2, "idle_timeout": 60.0}
    return Wish(**{"wanted": "serve", "generation": 1, **values, **changes})


def seen(id: str, state: str = "ready", generation: int = 1, **more: Any) -> Seen:
    return Seen(id, generation, state, **more)


def decided(wished: Wish, *replicas: Seen, load: Load = IDLE) -> Decision:
    return decide(wished, replicas, load, NOW)


class TestStart:
    def test_a_new_wish_starts_its_least_workers(self) -> None:
        decision = decided(wish(min_workers=2, max_workers=3))
        assert (decision.start, decision.status) == (2, "starting")

    def test_what_is_on_its_way_is_counted(self) -> None:
        decision = decided(wish(min_workers=2, max_workers=3), seen("a", "loading"), seen("b", "queued"))
        assert (decision.start, decision.acts) == (0, False)

    def test_draining_and_ending_ones_are_not_counted(self) -> None:
        decision = decided(wish(), seen("a", "draining"), seen("b", "ending"))
        assert decision.start == 1

    def test_it_waits_for_the_time_of_the_next_attempt(self) -> None:
        decision = decided(wish(failures=1, retry_at=NOW + 3))
        assert (decision.start, decision.look_again) == (0, NOW + 3)
        assert decided(wish(failures=1, retry_at=NOW)).start == 1

    def test_a_missed_deadline_is_counted_before_anything_starts_again(self) -> None:
        decision = decided(wish(), seen("a", "loading", deadline_at=NOW))
        assert (decision.overdue, decision.start) == (("a",), 0)

    def test_an_older_generation_that_misses_its_deadline_holds_nothing_up(self) -> None:
        decision = decided(wish(generation=2), seen("a", "loading", 1, deadline_at=NOW))
        assert (decision.overdue, decision.start) == (("a",), 1)


class TestScale:
    @pytest.mark.parametrize(
        ("demand", "peak", "awake", "wanted"),
        [
            (0, 0, 0, 1),
            (2, 2, 1, 1),
            (3, 3, 1, 2),
            (7, 7, 1, 4),
            (100, 100, 1, 5),
            (3, 9, 5, 5),
            (3, 6, 5, 3),
            (0, 9, 2, 2),
            (0, 0, 5, 1),
        ],
    )
    def test_as_many_as_the_requests_need(self, demand: int, peak: int, awake: int, wanted: int) -> None:
        assert target(wish(max_workers=5), Load(demand, peak), awake, NOW) == wanted

    def test_the_least_busy_is_given_up(self) -> None:
        decision = decided(wish(max_workers=3), seen("a", in_flight=2), seen("b", in_flight=1))
        assert decision.drain == ("b",)

    def test_what_is_on_its_way_is_given_up_first(self) -> None:
        decision = decided(wish(max_workers=3), seen("a"), seen("b", "loading"), seen("c", "queued"))
        assert ([one for one, _ in decision.end], decision.drain) == (["c", "b"], ())

    def test_to_zero_once_it_was_idle_for_long_enough(self) -> None:
        sleepy = wish(min_workers=0)
        assert decided(sleepy, seen("a"), load=Load(used_at=NOW - 59)).drain == ()
        decision = decided(sleepy, seen("a"), load=Load(used_at=NOW - 60))
        assert (decision.drain, decision.status) == (("a",), "ready")

    def test_idling_does_not_wait_for_what_replicas_are_kept_on_for(self) -> None:
        sleepy = wish(min_workers=0, max_workers=3, idle_timeout=5.0)
        decision = decided(sleepy, seen("a"), seen("b"), load=Load(peak=4, used_at=NOW - 5))
        assert set(decision.drain) == {"a", "b"}

    def test_nothing_sleeps_while_it_has_requests(self) -> None:
        decision = decided(wish(min_workers=0), seen("a"), load=Load(demand=1, peak=1, used_at=NOW - 99))
        assert not decision.acts

    def test_asleep_until_there_is_a_request(self) -> None:
        sleepy = wish(min_workers=0)
        assert decided(sleepy).status == "asleep"
        assert not decided(sleepy).acts
        woken = decided(sleepy, load=Load(1, 1, NOW))
        assert (woken.start, woken.status) == (1, "starting")

    def test_who_asked_may_go_before_it_is_awake(self) -> None:
        decision = decided(wish(min_workers=0), seen("a", "loading"), load=Load(used_at=NOW - 1))
        assert not decision.acts

    def test_the_next_look_is_never_in_the_past(self) -> None:
        sleepy = wish(min_workers=0, idle_timeout=0.0)
        busy = decided(sleepy, seen("a"), load=Load(demand=1, peak=1, used_at=NOW))
        assert busy.look_again is None
        rested = decided(wish(min_workers=0), seen("a"), load=Load(used_at=NOW - 10))
        assert rested.look_again == NOW + 50


class TestRoll:
    def test_the_new_ones_start_beside_the_old(self) -> None:
        decision = decided(wish(generation=2, min_workers=2, max_workers=2), seen("a"), seen("b"))
        assert (decision.start, decision.drain) == (2, ())

    def test_an_old_one_goes_for_each_new_one_that_is_ready(self) -> None:
        rolling = wish(generation=2, min_workers=2, max_workers=2)
        old = seen("a", in_flight=3), seen("b", in_flight=1)
        decision = decided(rolling, *old, seen("c", generation=2), seen("d", "loading", 2))
        assert decision.drain == ("b",)
        assert decided(rolling, *old, seen("c", generation=2), seen("d", generation=2)).drain == ("b", "a")

    def test_an_old_one_that_was_not_ready_goes_at_once(self) -> None:
        decision = decided(wish(generation=2), seen("a", "loading", 1))
        assert [one for one, _ in decision.end] == ["a"]
        assert decision.start == 1

    def test_without_room_for_both_the_old_one_makes_way(self) -> None:
        rolling = wish(generation=2)
        assert decided(rolling, seen("a"), seen("b", "queued", 2)).drain == ()
        assert decided(rolling, seen("a"), seen("b", "queued", 2, blocked=True)).drain == ("a",)

    @pytest.mark.parametrize("state", ["draining", "ending"])
    def test_one_makes_way_at_a_time(self, state: str) -> None:
        rolling = wish(generation=2, min_workers=2, max_workers=2)
        new = [seen(name, "queued", 2, blocked=True) for name in "cd"]
        assert decided(rolling, seen("a"), seen("b", state), *new).drain == ()

    def test_none_makes_way_while_a_new_one_is_on_its_way(self) -> None:
        rolling = wish(generation=2, min_workers=2, max_workers=2)
        new = seen("c", "loading", 2), seen("d", "queued", 2, blocked=True)
        assert decided(rolling, seen("b"), *new).drain == ()

    def test_the_last_old_one_makes_way_for_the_last_new_one(self) -> None:
        rolling = wish(generation=2, min_workers=2, max_workers=2)
        new = seen("c", "ready", 2), seen("d", "queued", 2, blocked=True)
        assert decided(rolling, seen("b"), *new).drain == ("b",)

    def test_a_hopeless_generation_leaves_the_old_one_alone(self) -> None:
        decision = decided(wish(generation=2, proved=1, failures=ATTEMPTS), seen("a"))
        assert (decision.status, decision.acts) == ("failed", False)

    def test_an_idle_one_rolls_into_sleep(self) -> None:
        decision = decided(wish(generation=2, min_workers=0), seen("a"), load=Load(used_at=NOW - 99))
        assert (decision.start, decision.drain) == (0, ("a",))


class TestFail:
    def test_what_was_never_ready_is_given_up(self) -> None:
        tried = wish(failures=ATTEMPTS)
        assert gave_up(tried)
        decision = decided(tried)
        assert (decision.status, decision.start, decision.look_again) == ("failed", 0, None)

    def test_what_was_ready_once_is_tried_for_ever(self) -> None:
        tried = wish(proved=1, failures=50, retry_at=NOW)
        assert not gave_up(tried)
        assert (decided(tried).status, decided(tried).start) == ("failed", 1)

    def test_fewer_failures_are_not_the_end(self) -> None:
        decision = decided(wish(failures=ATTEMPTS - 1, retry_at=NOW + 1))
        assert (decision.status, decision.look_again) == ("pending", NOW + 1)

    def test_a_sleeper_that_could_not_wake_sleeps_on_and_may_be_woken_again(self) -> None:
        tried = wish(min_workers=0, proved=1, failures=ATTEMPTS, retry_at=NOW + 1)
        assert (decided(tried).status, decided(tried).look_again) == ("failed", NOW + 1)
        rested = dataclasses.replace(tried, retry_at=NOW)
        assert decided(rested).status == "asleep"
        woken = decided(rested, load=Load(1, 1, NOW))
        assert (woken.start, woken.status) == (1, "starting")

    def test_the_wait_doubles_up_to_a_limit(self) -> None:
        waits = [wait_after(failures) for failures in (1, 2, 3, 4, 8, 9, 10_000)]
        assert waits == [0.2, 0.4, 0.8, 1.6, 25.6, LONGEST_WAIT, LONGEST_WAIT]


class TestEnd:
    @pytest.mark.parametrize(("wanted", "status"), [("stop", "stopped"), ("delete", "deleting")])
    def test_what_answers_may_finish_and_the_rest_goes_at_once(self, wanted: str, status: str) -> None:
        replicas = [seen("a"), *(seen(state, state) for state in ("queued", *UNDER_WAY))]
        decision = decided(wish(wanted=wanted), *replicas, seen("e", "ending"), seen("d", "draining"))
        assert decision.status == status
        assert decision.drain == ("a",)
        assert {one for one, _ in decision.end} == {"queued", *UNDER_WAY}
        assert (decision.start, decision.forget) == (0, False)

    def test_it_is_forgotten_once_nothing_is_left(self) -> None:
        assert decided(wish(wanted="delete")).forget
        assert not decided(wish(wanted="delete"), seen("a", "ending")).forget
        assert not decided(wish(wanted="stop")).forget

    def test_a_drained_one_goes(self) -> None:
        decision = decided(wish(), seen("a", "draining", drained=True), seen("b"))
        assert dict(decision.end) == {"a": "it was drained"}

    def test_draining_has_a_deadline_that_is_no_failure(self) -> None:
        late = seen("a", "draining", deadline_at=NOW, in_flight=1)
        decision = decided(wish(), late, seen("b"))
        assert (dict(decision.end), decision.overdue) == ({"a": "its requests took too long"}, ())

    def test_an_ending_one_is_left_to_its_end(self) -> None:
        assert not decided(wish(), seen("a", "ending"), seen("b")).acts

    def test_the_next_deadline_is_looked_at(self) -> None:
        decision = decided(wish(), seen("a", "loading", deadline_at=NOW + 7), seen("b", "draining"))
        assert decision.look_again == NOW + 7


def check(herd: Herd, before: Herd, decision: Decision) -> None:
    """What must hold of every single decision."""
    wished = before.wish
    states = {one.id: one for one in before.flock}
    named = [*decision.drain, *(one for one, _ in decision.end), *decision.overdue]
    assert len(named) == len(set(named)), "one replica, two orders"
    assert all(states[one].state == "ready" for one in decision.drain)
    assert all(states[one].state not in ("ready", "ending") for one, _ in decision.end)
    herded = before.current("ready", "queued", *UNDER_WAY)
    if decision.start:
        assert len(herded) + decision.start <= wished.max_workers
    assert decision.look_again is None or decision.look_again > before.now
    left = [one for one in before.of("ready") if one.id not in decision.drain]
    rolling = [one for one in before.of("ready") if one.generation != wished.generation]
    wants = wished.wanted == "serve" and (wished.min_workers or before.demand)
    if wants and rolling and decision.drain and not left:
        assert any(one.blocked for one in before.current("queued")), "nobody answers, for nothing"
        assert not before.current(*UNDER_WAY), "the new one would have been ready in a moment"


def copied(herd: Herd) -> Herd:
    return dataclasses.replace(herd, flock=[dataclasses.replace(one) for one in herd.flock])


class Watched(Herd):
    """A herd whose every decision is checked."""

    def step(self) -> Decision:
        # What engines do comes first: a decision is made on what is there after it.
        self._engines()
        before = copied(self)
        decision = super().step()
        check(self, before, decision)
        return decision


def disturb(herd: Herd, chance: random.Random) -> None:
    """Something that happens to deployments."""
    wished = herd.wish
    least = chance.choice([0, 0, 1, 1, 2, 3])
    match chance.randrange(9):
        case 0 if wished.wanted == "serve":
            herd.change(generation=wished.generation + 1, failures=0, retry_at=0.0)
        case 1:
            herd.change(min_workers=least, max_workers=max(1, least + chance.choice([0, 1, 2])))
        case 2 if wished.wanted == "serve" and chance.random() < 0.3:
            herd.change(wanted="stop")
        case 3 if wished.wanted == "stop":
            herd.change(wanted="serve", generation=wished.generation + 1, failures=0, retry_at=0.0)
        case 4 if ready := herd.of("ready", "draining"):
            herd.crash(chance.choice(ready))
        case 5:
            herd.fail_chance = chance.choice([0.0, 0.0, 0.5, 1.0])
        case 6:
            herd.room = chance.choice([0, 1, 2, 3, 8])
        case _:
            herd.demand = chance.choice([0, 0, 1, 2, 5, 20])


def settled(herd: Herd) -> None:
    """Nothing passes any more: the herd is as the wish says."""
    assert not herd.of("queued", *UNDER_WAY, "draining", "ending")
    wished = herd.wish
    ready = len(herd.current("ready"))
    if herd.gone:
        assert not herd.flock
    elif wished.wanted == "stop":
        assert (herd.status, herd.flock) == ("stopped", [])
    elif gave_up(wished):
        assert herd.status == "failed"
    else:
        load = Load(herd.demand, herd.demand, herd.used_at)
        wanted = target(wished, load, ready, herd.now)
        assert len(herd.flock) == ready == wanted
        assert herd.status == ("ready" if wanted else "asleep")


class TestOverTime:
    """Random histories; a failure names the seed that brings it back."""

    @pytest.mark.parametrize("seed", range(50))
    def test_whatever_happens_it_comes_to_rest_as_wished(self, seed: int) -> None:
        chance = random.Random(seed)
        herd = Watched(wish(min_workers=chance.choice([0, 1, 2]), max_workers=2), 2, chance)
        for _ in range(40):
            disturb(herd, chance)
            herd.run(chance.choice([0.25, 1.0, 5.0, 30.0]))
        # From here on the world is kind: engines start, and there is room for what is wished.
        herd.room, herd.fail_chance = max(herd.wish.max_workers, 1), 0.0
        if chance.random() < 0.2:
            herd.change(wanted="delete")
        herd.run(QUEUE + 2 * (START + LONGEST_WAIT + herd.wish.idle_timeout) + 4 * DRAIN)
        settled(herd)
        assert herd.gone == (herd.wish.wanted == "delete")

    @pytest.mark.parametrize("seed", range(20))
    def test_every_roll_ends_however_little_room_there_is(self, seed: int) -> None:
        chance = random.Random(seed)
        count = chance.choice([1, 2, 3])
        herd = Watched(wish(min_workers=count, max_workers=count), count + chance.choice([0, 1, 3]), chance)
        herd.run(30)
        for _ in range(chance.choice([1, 3])):
            herd.change(generation=herd.wish.generation + 1)
            herd.run(chance.choice([0.5, 20]))
        herd.run(count * (DRAIN + START))
        settled(herd)
        assert herd.failures == 0

    @pytest.mark.parametrize("seed", range(10))
    def test_with_room_to_spare_somebody_always_answers(self, seed: int) -> None:
        chance = random.Random(seed)
        count = chance.choice([1, 2, 3])
        herd = Watched(wish(min_workers=count, max_workers=count), 100, chance)
        herd.run(30)
        for _ in range(4):
            herd.change(generation=herd.wish.generation + 1)
            for _ in range(chance.randrange(1, 80)):
                herd.run(0.25)
                assert len(herd.of("ready")) >= count

    @pytest.mark.parametrize("proved", [0, 1])
    def test_starts_that_always_fail_grow_rare_or_end(self, proved: int) -> None:
        herd = Watched(wish(proved=proved), 1, random.Random(1), fail_chance=1.0)
        herd.run(600)
        assert herd.status == "failed"
        if proved:
            assert 10 < herd.failures < 60
        else:
            assert herd.failures == ATTEMPTS

    def test_without_room_it_fails_at_the_deadline_and_says_so_once(self) -> None:
        herd = Watched(wish(), 0, random.Random(1))
        herd.run(QUEUE - 1)
        assert herd.status == "starting"
        herd.run(3)
        assert (herd.status, herd.flock, herd.failures) == ("failed", [], 1)
