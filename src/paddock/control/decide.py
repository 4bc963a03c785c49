"""What should happen next with one deployment: a pure function of the wish, of what is observed, and of time.

Nothing here reads a clock, a store or a process. `control.apply` writes what is decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Wanted = Literal["serve", "stop", "delete"]
ATTEMPTS = 3
"""Failed starts in a row of a wish that was never ready, after which it counts as impossible."""
FIRST_WAIT = 0.2
LONGEST_WAIT = 30.0
PASSING = ("queued", "reserving", "fetching", "loading")
"""States of a replica that is on its way."""


@dataclass(frozen=True)
class Wish:
    """The columns of a deployment's row that a decision depends on."""

    wanted: Wanted
    generation: int
    min_workers: int
    max_workers: int
    per_worker: int
    idle_timeout: float
    proved: int = 0
    failures: int = 0
    retry_at: float = 0.0


@dataclass(frozen=True)
class Seen:
    """One replica that has not ended.

    Attributes:
        state: queued, reserving, fetching, loading, ready or draining.
        blocked: whether it is queued and would fit if an older replica made room.
        drained: of a draining one: every gateway has let go of it.
    """

    id: str
    generation: int
    state: str
    deadline_at: float | None = None
    blocked: bool = False
    in_flight: int = 0
    drained: bool = False

    @property
    def passing(self) -> bool:
        return self.state in PASSING


@dataclass(frozen=True)
class Load:
    """What the gateways report of a deployment.

    Attributes:
        demand: requests in flight and queued now.
        peak: the most of them in the time that a replica is kept on for.
        used_at: when there was a request last, or the deployment was made or woken.
        held: replicas that jobs work with; they come and stay whatever the wish says of numbers.
    """

    demand: int = 0
    peak: int = 0
    used_at: float = 0.0
    held: int = 0


@dataclass(frozen=True)
class Decision:
    """
    Attributes:
        start: replicas of the wished generation to begin.
        drain: replicas that take no more requests.
        end: replicas whose process must go now, with the reason.
        overdue: replicas that missed their deadline.
        status: what the deployment is.
        forget: whether nothing of it is left, and it was to be deleted.
        look_again: when to decide anew if nothing else happens; None if there is no need.
    """

    status: str
    start: int = 0
    drain: tuple[str, ...] = ()
    end: tuple[tuple[str, str], ...] = ()
    overdue: tuple[str, ...] = ()
    forget: bool = False
    look_again: float | None = None

    @property
    def acts(self) -> bool:
        return bool(self.start or self.drain or self.end or self.overdue or self.forget)


def decide(wish: Wish, replicas: Sequence[Seen], load: Load, now: float) -> Decision:
    """What to do, and what the deployment is called meanwhile."""
    # Who waits for an older replica that still finishes its requests, waits for that first.
    makes_room = any(one.state in ("draining", "ending") for one in replicas)
    excused = ("draining", "queued") if makes_room else ("draining",)
    overdue = tuple(one.id for one in replicas if _is_overdue(one, now) and one.state not in excused)
    alive = [one for one in replicas if one.id not in overdue]
    missed = any(one.id in overdue and one.generation == wish.generation for one in replicas)
    plan = _Plan(wish, alive, load, now, missed)
    if wish.wanted == "serve":
        plan.serve()
    else:
        plan.wind_up()
    return Decision(
        status=plan.status(),
        start=plan.start,
        drain=tuple(plan.drain),
        end=tuple(plan.end.items()),
        overdue=overdue,
        forget=wish.wanted == "delete" and not replicas,
        look_again=plan.look_again(),
    )


def wait_after(failures: int) -> float:
    """Seconds until the next start after so many failed ones in a row."""
    return float(min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(20, max(0, failures - 1))))


def gave_up(wish: Wish) -> bool:
    """Whether the wish is taken to be impossible until somebody changes it."""
    return wish.failures >= ATTEMPTS and wish.proved < wish.generation


def target(wish: Wish, load: Load, awake: int, now: float) -> int:
    """How many replicas there should be. `awake` are those that there are or that start."""
    if wish.min_workers == 0 and not load.demand and now >= load.used_at + wish.idle_timeout:
        return load.held
    wanted = math.ceil(load.demand / wish.per_worker)
    if wanted < awake:
        # Fewer only when that would have been enough for a while.
        wanted = min(awake, math.ceil(load.peak / wish.per_worker))
    # What is awake stays so until it has been idle for long enough.
    return max(wish.min_workers, load.held, min(wish.max_workers, max(wanted, min(1, awake))))


def _is_overdue(one: Seen, now: float) -> bool:
    return one.deadline_at is not None and now >= one.deadline_at


@dataclass
class _Plan:
    """A decision in the making.

    Attributes:
        missed: whether a replica of the wished generation missed its deadline: a failure that is yet to be
            counted.
    """

    wish: Wish
    alive: list[Seen]
    load: Load
    now: float
    missed: bool
    start: int = 0
    drain: list[str] = field(default_factory=list)
    end: dict[str, str] = field(default_factory=dict)
    wanted: int = 0

    def __post_init__(self) -> None:
        self.current = [one for one in self.alive if one.generation == self.wish.generation]
        self.ready = [one for one in self.current if one.state == "ready"]
        self.passing = [one for one in self.current if one.passing]
        self.old_ready = [one for one in self.alive if one not in self.current and one.state == "ready"]
        self.old_passing = [one for one in self.alive if one not in self.current and one.passing]
        going = any(one.state in ("draining", "ending") for one in self.alive)
        self._frees_room = going or self.missed

    def serve(self) -> None:
        awake = len(self.ready) + len(self.passing)
        self.wanted = target(self.wish, self.load, awake or len(self.old_ready), self.now)
        self._finish_draining()
        for one in self.old_passing:
            self.end[one.id] = "a newer wish replaced it before it was ready"
        if gave_up(self.wish):
            return
        if awake < self.wanted and self.now >= self.wish.retry_at and not self.missed:
            self.start = self.wanted - awake
        self._shrink(awake - self.wanted)
        self._replace_old()

    def wind_up(self) -> None:
        self._finish_draining()
        for one in self.alive:
            if one.state == "ready":
                self.drain.append(one.id)
            elif one.passing:
                self.end[one.id] = "it was not wanted any more"

    def status(self) -> str:
        if self.wish.wanted != "serve":
            return "deleting" if self.wish.wanted == "delete" else "stopped"
        if gave_up(self.wish):
            return "failed"
        # One that sleeps between its failed starts may be woken again.
        tried = self.wish.failures >= ATTEMPTS and not self.ready
        if tried and (self.wish.min_workers or self.now < self.wish.retry_at):
            return "failed"
        if self.wanted == 0 and not self.ready and not self.passing and not self.old_ready:
            return "asleep"
        enough = max(1, min(self.wish.min_workers, self.wanted))
        if len(self.ready) >= enough:
            return "ready"
        return "starting" if self.alive or self.start else "pending"

    def look_again(self) -> float | None:
        times = [one.deadline_at for one in self.alive if one.deadline_at is not None]
        if self.wish.wanted == "serve" and self.wish.retry_at > self.now:
            times.append(self.wish.retry_at)
        if self.wish.min_workers == 0 and self.ready and not self.load.held:
            times.append(self.load.used_at + self.wish.idle_timeout)
        return min((time for time in times if time > self.now), default=None)

    def _finish_draining(self) -> None:
        for one in self.alive:
            if one.state == "draining" and (one.drained or _is_overdue(one, self.now)):
                self.end[one.id] = "it was drained" if one.drained else "its requests took too long"

    def _shrink(self, surplus: int) -> None:
        """Gives up what is on its way first, then the least busy."""
        for one in sorted(self.passing, key=lambda one: one.state == "loading"):
            if surplus > 0:
                self.end[one.id] = "it was not needed any more"
                surplus -= 1
        for one in sorted(self.ready, key=lambda one: one.in_flight):
            if surplus > 0:
                self.drain.append(one.id)
                surplus -= 1

    def _replace_old(self) -> None:
        """Old replicas go as new ones get ready; or before, where there is no room for both."""
        spare = 0
        if self.ready or not self.wanted:
            spare = len(self.old_ready) + len(self.ready) - self.wanted
        is_stuck = bool(self.passing) and all(one.blocked for one in self.passing)
        if spare <= 0 and is_stuck and not self._frees_room:
            spare = 1
        for one in sorted(self.old_ready, key=lambda one: one.in_flight)[: max(0, spare)]:
            self.drain.append(one.id)
