"""What this process has in hand of a limit: a slice that it uses up without asking anybody."""

from __future__ import annotations

import math
from collections import deque

from paddock.schemas.limits import NANO, Limits
from paddock.services.limits import (
    BUDGET,
    CONCURRENT,
    LEASE_SECONDS,
    REQUESTS,
    SMALL,
    TOKENS,
    Lease,
    Leased,
    Take,
    Taken,
    Window,
)

REACH = 0.45
"""Seconds of its recent use that a process keeps in hand."""
BUDGET_PARTS = 500
"""Of a budget a process has at most one part of so many in hand: who is over it already gets nothing back."""
FIRST_PARTS = 200
"""Of a high limit a process takes one part of so many at first: a rush need not wait until its rate shows."""
_FIRST = {
    REQUESTS: (512, 4096),
    TOKENS: (100_000, 10**6),
    CONCURRENT: (128, 4096),
    BUDGET: (NANO // 20, 1 << 62),
}
"""The least that such a part must be to be taken, and the most."""
RENEW_SECONDS = 1.0
AHEAD_SECONDS = 0.3
"""What ends so soon is replaced at the next look: until then there may be none."""
GIVE_SECONDS = 0.05
"""After which what is not needed goes back, not at every look."""
AGO_SECONDS = 0.25
"""A look so long ago says nothing of what was since."""
_MARGIN = 1.0
"""Seconds before a lease ends from which on it is not relied on."""
_SMOOTHING = 0.5
"""Seconds in which what was used before counts for a third."""
_NEVER = -(1 << 62)


class Slice:
    """
    Attributes:
        who: `key 'NAME'` or `project 'NAME'`, for messages.
        limit: None while there is none.
        spare: may be used until `until`, by the clock of the limits.
        low: with less than that in hand the next slice is asked for.
        wanting: whether it is to be asked for.
        looked, room: when it was last looked, and what there was then beyond it, for everybody.
        taken: since `rate`, its use a second, was last reckoned.
        refused, refused_until: so much or more is not to be had until then.
    """

    __slots__ = (
        "_keep",
        "_measured",
        "kind",
        "limit",
        "looked",
        "low",
        "rate",
        "refused",
        "refused_until",
        "room",
        "spare",
        "subject",
        "taken",
        "until",
        "wanting",
        "who",
    )

    def __init__(self, subject: str, kind: str, who: str) -> None:
        self.subject = subject
        self.kind = kind
        self.who = who
        self.limit: int | None = None
        self.spare = 0
        self.until = 0.0
        self.low = _NEVER
        self.wanting = False
        self.looked = 0.0
        self.room = 0
        self.refused = 0
        self.refused_until = 0.0
        self.taken = 0
        self.rate = 0.0
        self._measured = 0.0
        # What it was good to keep in hand when it was last asked for.
        self._keep = 0

    def in_hand(self, now: float) -> int:
        """What could be used of it now."""
        return self.spare if now < self.until else min(self.spare, 0)

    def use(self, count: int) -> None:
        self.spare -= count
        self.taken += count

    @property
    def _runs_out(self) -> bool:
        """Whether a look for anything else should ask for this too."""
        return self.wanting or self.spare < 2 * self.low

    def _set_low(self) -> None:
        self.low = min(self.spare, self._keep) // 2

    def _more(self, needed: int, now: float) -> int:
        """What it is good to keep in hand.

        Args:
            needed: by those who wait.
        """
        elapsed, is_used = now - self._measured, needed > 0 or self.taken > 0
        if elapsed > 0:
            weight = 1 - math.exp(-elapsed / _SMOOTHING)
            self.rate += (self.taken / elapsed - self.rate) * weight
            self._measured, self.taken = now, 0
        limit = self.limit or 0
        few, many = _FIRST[self.kind]
        part = limit // FIRST_PARTS
        least = min(part, many) if is_used and part >= few else 0
        most = limit // (BUDGET_PARTS if self.kind == BUDGET else SMALL)
        return min(max(int(self.rate * REACH), least), most)


class RateSlice(Slice):
    """Of a limit per minute.

    Attributes:
        back: what was not used, by the tick under which it was taken.
        late: what was used without having been taken.
        rows: as `Taken` has them, when it was last refused.
    """

    __slots__ = ("_parts", "back", "late", "rows")

    def __init__(self, subject: str, kind: str, who: str) -> None:
        super().__init__(subject, kind, who)
        self.back: dict[int, int] = {}
        self.late = 0
        self.rows: list[tuple[int, int]] = []
        # (tick, how much, until when), used up from the left: of the oldest is left what is in hand beyond
        # those after it.
        self._parts: deque[tuple[int, int, float]] = deque()

    @property
    def tick(self) -> int:
        """Under which what is used now was taken."""
        return self._parts[0][0] if self._parts else 0

    @property
    def idle(self) -> bool:
        return self.limit is None or not (self._parts or self.back or self.late)

    def settle(self, tick: int, taken: int, used: int) -> None:
        """What was taken for a request under a tick turned out to be so much."""
        if used < taken:
            self.back[tick] = self.back.get(tick, 0) + taken - used
        else:
            self.late += used - taken

    def expire(self, now: float) -> None:
        """What is too old goes back."""
        parts = self._parts
        while parts and parts[0][2] <= now:
            tick = parts.popleft()[0]
            rest = sum(part[1] for part in parts)
            if self.spare > rest:
                self.back[tick] = self.back.get(tick, 0) + self.spare - rest
                self.spare = rest
        self.until = parts[0][2] if parts else 0.0

    def ask(self, needed: int, now: float) -> Take | None:
        """Args:
        needed: by those who wait, together.
        """
        if self.limit is None:
            return None
        self.expire(now)
        wanted = max(0, needed - self.spare)
        lasting = sum(count for _, count, until in self._parts if until > now + AHEAD_SECONDS)
        ends = now - self.looked >= GIVE_SECONDS and min(lasting, self.spare) < self._keep // 2
        wants = wanted > 0 or self._runs_out or ends
        gives = (self.back or self.late) and now - self.looked >= GIVE_SECONDS
        if not (wants or gives):
            return None
        more = 0
        if wants:
            self._keep = self._more(needed, now)
            more = max(0, self._keep - max(0, min(lasting, self.spare) - needed))
            self.wanting, self.low = False, _NEVER
        asked = Take(self.subject, self.kind, self.limit, wanted, more, tuple(self.back.items()), self.late)
        # Should it fail, nobody knows whether it went back: then it stays taken until its time is over.
        self.back = {}
        return asked

    def give_all(self) -> Take | None:
        """Everything back; None if there is nothing."""
        self.expire(math.inf)
        if self.limit is None or not (self.back or self.late):
            return None
        return Take(self.subject, self.kind, self.limit, 0, 0, tuple(self.back.items()), self.late)

    def answer(self, asked: Take, found: Taken, now: float, window: Window, arrived: float) -> None:
        """Args:
        now: when it was taken; `arrived` when that is known here.
        """
        self.expire(arrived)
        self.late -= asked.late
        self.looked, self.room = now, found.room
        if asked.wanted:
            self.rows = list(found.rows)
        if found.got and arrived - now > window.life:
            # The database took too long: used now it would count too early, and leave its window too early.
            self.back[found.tick] = self.back.get(found.tick, 0) + found.got
            self.room += found.got
        elif found.got:
            life = window.life if asked.limit >= SMALL else 0.0
            self._parts.append((found.tick, found.got, now + life))
            self.spare += found.got
            self.until = self._parts[0][2]
            self._set_low()


class LeaseSlice(Slice):
    """Of a limit on what there is at once.

    Attributes:
        period: of a budget.
        used: not spare; of a budget what requests under way have reserved or cost, and `unwritten`.
        unwritten: of a budget, what requests cost that are over, and are not in the ledger yet.
        spent: of a budget, what the ledger says.
    """

    __slots__ = ("_answered", "_short_since", "_written", "period", "spent", "unwritten", "used")

    def __init__(self, subject: str, kind: str, who: str) -> None:
        super().__init__(subject, kind, who)
        self.period = "month"
        self.used = 0
        self.unwritten = 0
        self.spent = 0
        self._short_since: float | None = None
        # Since the last ask.
        self._written = 0
        self._answered = 0.0

    @property
    def idle(self) -> bool:
        return not (self.used or (self.limit is not None and (self.spare or self._written)))

    def short_for(self, moment: float) -> float:
        """Seconds for which every look found nothing more to be had, by `time.monotonic()`."""
        if self._short_since is None or moment - self._answered > AGO_SECONDS:
            return 0.0
        return moment - self._short_since

    def use(self, count: int) -> None:
        self.spare -= count
        self.used += count
        self.taken += count

    def move(self, count: int) -> None:
        """So much more is used than was thought, or less."""
        self.spare -= count
        self.used += count

    def written(self, cost: int) -> None:
        """So much is in the ledger now."""
        cost = min(cost, self.unwritten)
        if cost:
            self.unwritten -= cost
            self.used -= cost
            # Not to be used again: it counts as spent now, and our row has it still.
            self._written += cost

    def ask(self, needed: int, now: float) -> Lease | None:
        """Args:
        needed: by those who wait, together.
        """
        if self.limit is None:
            return None
        spare = max(0, self.in_hand(now))
        # Near the end nobody keeps what another one needs. Where that is, the first look shows.
        room = self.room if self.looked else self.limit
        more = max(0, min(self._more(needed, now), room // 4))
        since = now - self.looked
        renews = since >= RENEW_SECONDS and not self.idle
        gives = since >= GIVE_SECONDS and (self._written or spare > 2 * more)
        if not (needed > spare or self._runs_out or self.spare < 0 or gives or renews):
            return None
        # From here on only that is used which the row surely has.
        kept = min(spare, needed + more)
        self.spare = kept or min(self.spare, 0)
        self.wanting, self.low, self._written, self._keep = False, _NEVER, 0, more
        missing = needed + more - kept
        return Lease(
            self.subject,
            self.kind,
            self.limit,
            base=self.used + kept,
            wanted=max(0, needed - kept),
            more=min(more, missing),
            period=self.period,
        )

    def answer(self, asked: Lease, found: Leased, now: float, moment: float) -> None:
        """Args:
        moment: the same as `now` by the clock that only goes forward.
        """
        self.looked, self.room, self.spent = now, found.room, found.spent
        self.spare = found.held - self._written - self.used
        missing = asked.base + asked.wanted - found.held
        if missing <= 0 and (self.spare > 0 or found.room > 0):
            self._short_since = None
        elif self._short_since is None or moment - self._answered > AGO_SECONDS:
            self._short_since = moment
        self._answered = moment
        self.until = now + LEASE_SECONDS - _MARGIN
        self._set_low()


class Account:
    """What this process has in hand of the limits of a key or a project."""

    __slots__ = ("budget", "concurrent", "limits", "requests", "subject", "tokens")

    def __init__(self, subject: str, who: str) -> None:
        self.subject = subject
        self.limits: Limits | None = None
        self.requests = RateSlice(subject, REQUESTS, who)
        self.tokens = RateSlice(subject, TOKENS, who)
        self.concurrent = LeaseSlice(subject, CONCURRENT, who)
        self.budget = LeaseSlice(subject, BUDGET, who)

    @property
    def idle(self) -> bool:
        return self.requests.idle and self.tokens.idle and self.concurrent.idle and self.budget.idle

    def follow(self, limits: Limits) -> None:
        """These are in force from now on."""
        if limits == self.limits:
            return
        self.limits = limits
        self.budget.period = limits.budget_period
        for one, limit in (
            (self.requests, limits.requests_per_minute),
            (self.tokens, limits.tokens_per_minute),
            (self.concurrent, limits.concurrent_requests),
            (self.budget, limits.budget),
        ):
            one.limit = limit
            one.refused_until = 0.0
            # What is in hand was measured by the limit before.
            if isinstance(one, RateSlice):
                one.expire(math.inf)
            one.until = 0.0
