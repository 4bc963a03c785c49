"""A deployment that decisions are carried out on, as `control.apply` and engines would, without either."""

from __future__ import annotations

import dataclasses
import itertools
import random
from dataclasses import dataclass, field

from paddock.control.decide import ATTEMPTS, Decision, Load, Seen, Wish, decide, wait_after

QUEUE = 200.0
START = 20.0
DRAIN = 30.0
STEP = 0.25
KEPT_ON = 10.0
UNDER_WAY = ("reserving", "fetching", "loading")


@dataclass
class Sheep:
    """One replica, and what its engine and the gateways will do with it."""

    id: str
    generation: int
    state: str = "queued"
    deadline_at: float | None = None
    blocked: bool = False
    done_at: float = 0.0
    fails: bool = False

    @property
    def holds_room(self) -> bool:
        return self.state != "queued"


@dataclass
class Herd:
    """
    Attributes:
        room: replicas that fit on the hardware.
        fail_chance: of a start, or that an engine never gets ready and misses its deadline.
    """

    wish: Wish
    room: int
    chance: random.Random
    fail_chance: float = 0.0
    now: float = 1000.0
    demand: int = 0
    used_at: float = 0.0
    flock: list[Sheep] = field(default_factory=list)
    peaks: list[tuple[float, int]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    status: str = ""
    gone: bool = False
    failures: int = 0

    def of(self, *states: str) -> list[Sheep]:
        return [one for one in self.flock if one.state in states]

    def current(self, *states: str) -> list[Sheep]:
        return [one for one in self.of(*states) if one.generation == self.wish.generation]

    def change(self, **values: object) -> None:
        self.wish = dataclasses.replace(self.wish, **values)  # type: ignore[arg-type]

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.step()
            self.now += STEP

    def step(self) -> Decision:
        if self.demand:
            self.used_at = self.now
        self.peaks.append((self.now, self.demand))
        self.peaks = [one for one in self.peaks if one[0] >= self.now - KEPT_ON]
        self._engines()
        load = Load(self.demand, max(count for _, count in self.peaks), self.used_at)
        seen = [
            Seen(one.id, one.generation, one.state, one.deadline_at, one.blocked, 0, self._drained(one))
            for one in self.flock
        ]
        decision = decide(self.wish, seen, load, self.now)
        self._carry_out(decision)
        self._place()
        self.status = decision.status
        return decision

    def _drained(self, one: Sheep) -> bool:
        return one.state == "draining" and self.now >= one.done_at

    def _engines(self) -> None:
        for one in list(self.flock):
            if one.state == "ending" and self.now >= one.done_at:
                self.flock.remove(one)
            elif one.state in UNDER_WAY and self.now >= one.done_at:
                if one.fails:
                    self.flock.remove(one)
                    self._failed(one)
                else:
                    one.state, one.deadline_at = "ready", None
                    if one.generation == self.wish.generation:
                        self.change(proved=one.generation, failures=0, retry_at=0.0)

    def crash(self, one: Sheep) -> None:
        self.flock.remove(one)
        self._failed(one)

    def _failed(self, one: Sheep, hopeless: bool = False) -> None:
        self.failures += 1
        if one.generation == self.wish.generation and self.wish.wanted == "serve":
            failures = max(self.wish.failures + 1, ATTEMPTS if hopeless else 0)
            self.change(failures=failures, retry_at=self.now + wait_after(failures))

    def _carry_out(self, decision: Decision) -> None:
        by_id = {one.id: one for one in self.flock}
        for identity in decision.overdue:
            one = by_id[identity]
            self._failed(one, hopeless=one.state == "queued")
            self._end(one)
        for identity in decision.drain:
            one = by_id[identity]
            one.state, one.deadline_at = "draining", self.now + DRAIN
            one.done_at = self.now + self.chance.choice([0.0, 1.0, 5.0, 100.0])
        for identity, _ in decision.end:
            self._end(by_id[identity])
        for _ in range(decision.start):
            name = f"r{next(self.numbers)}"
            self.flock.append(Sheep(name, self.wish.generation, deadline_at=self.now + QUEUE))
        self.gone = self.gone or decision.forget

    def _end(self, one: Sheep) -> None:
        if one.state == "queued":
            self.flock.remove(one)
        else:
            one.state, one.deadline_at = "ending", None
            one.done_at = self.now + self.chance.choice([0.0, 0.5, 3.0])

    def _place(self) -> None:
        for one in self.of("queued"):
            one.blocked = sum(other.holds_room for other in self.flock) >= self.room
            if not one.blocked:
                one.state = self.chance.choice(UNDER_WAY)
                one.deadline_at = self.now + START
                one.done_at = self.now + self.chance.choice([0.0, 1.0, 8.0])
                one.fails = self.chance.random() < self.fail_chance
                if self.chance.random() < self.fail_chance / 2:
                    one.done_at = self.now + 10 * START
