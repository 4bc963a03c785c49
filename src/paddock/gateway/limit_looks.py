"""Looks at what there is of limits: asks the database for slices, and gives back what is not used."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping

from paddock.errors import PaddockError
from paddock.gateway.slices import Account, LeaseSlice, RateSlice, Slice
from paddock.services import limits
from paddock.services.limits import Lease, Leased, Take, Taken, Window
from paddock.store.database import WriteSession
from paddock.store.ledger import Ledger


class Looks:
    """
    Args:
        holder: this process.
        clock: seconds since 1970.
    """

    def __init__(self, ledger: Ledger, holder: str, clock: Callable[[], float], window: Window) -> None:
        self._looked = False
        self._ledger = ledger
        self._holder = holder
        self._clock = clock
        self._window = window

    async def look(self, needs: Mapping[Slice, int]) -> bool:
        """Whether there was anything to ask for.

        Args:
            needs: of each, what those who wait need of it.

        Raises:
            StoreFailed: the database is gone or full.
        """
        now = self._clock()
        takes: dict[RateSlice, Take] = {}
        leases: dict[LeaseSlice, Lease] = {}
        seen: set[tuple[str, str]] = set()
        for one, count in needs.items():
            if (one.subject, one.kind) in seen:
                continue
            seen.add((one.subject, one.kind))
            if isinstance(one, RateSlice):
                if (take := one.ask(count, now)) is not None:
                    takes[one] = take
            elif isinstance(one, LeaseSlice) and (lease := one.ask(count, now)) is not None:
                leases[one] = lease
        if not (takes or leases):
            return False
        self._looked = True
        found = await self._ledger.write(self._exchange([*takes.values()], [*leases.values()]))
        at, taken, leased = found
        arrived = self._clock()
        for (rate, take), answer in zip(takes.items(), taken, strict=True):
            rate.answer(take, answer, at, self._window, arrived)
        moment = time.monotonic()
        for (held, lease), also in zip(leases.items(), leased, strict=True):
            held.answer(lease, also, at, moment)
        return True

    async def clear(self, now: float) -> None:
        """Forgets what counts no more, whoever took it."""
        if self._looked:
            with contextlib.suppress(PaddockError):
                await self._ledger.write(lambda session: limits.clear(session, now, self._window))

    async def leave(self, accounts: Iterable[Account]) -> None:
        """Gives everything back."""
        if not self._looked:
            return
        takes = [
            take
            for account in accounts
            for rate in (account.requests, account.tokens)
            if (take := rate.give_all()) is not None
        ]

        def work(session: WriteSession) -> None:
            limits.exchange(session, self._holder, self._clock(), self._window, takes, [])
            limits.leave(session, self._holder)

        with contextlib.suppress(PaddockError):
            await self._ledger.write(work)

    def _exchange(
        self, takes: list[Take], leases: list[Lease]
    ) -> Callable[[WriteSession], tuple[float, list[Taken], list[Leased]]]:
        def work(session: WriteSession) -> tuple[float, list[Taken], list[Leased]]:
            # The time at which nobody else writes any more: it may have waited for that.
            now = self._clock()
            return now, *limits.exchange(session, self._holder, now, self._window, takes, leases)

        return work
