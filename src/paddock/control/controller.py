"""The control loop: while this process holds the lease, it makes the wishes in the store true.

A pass loads what there is, decides (`decide.py`), writes what was decided in one transaction (`apply.py`),
and only then begins and ends processes (`life.py`). It runs when something rings, when a deadline is due, and
when another process changed the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from functools import partial

from sqlalchemy import select, update

from paddock.control.apply import Order, Outcome, View, is_due, order_of, step
from paddock.control.life import LEASE, Life
from paddock.control.meter import Meter
from paddock.control.presence import Presence
from paddock.errors import Fenced, PaddockError
from paddock.runners.runner import Runner, Running
from paddock.schemas.hardware import Node
from paddock.services import gateways, replicas
from paddock.services.gateways import Gateways
from paddock.services.platform import Platform, write_nodes
from paddock.store import leases
from paddock.store.sessions import ChangeSession, pulse
from paddock.store.tables import DeploymentRow, ReplicaRow

log = logging.getLogger(__name__)

RENEW_SECONDS = 1.0
STANDBY_SECONDS = 0.5


class Controller:
    """
    Args:
        presence: by which other controllers see whether this process lives.
    """

    def __init__(self, platform: Platform, runner: Runner, presence: Presence) -> None:
        self._platform = platform
        self._store = platform.store
        self._runner = runner
        self._presence = presence
        self._fence = 0
        self._died_at: float | None = None
        self._nodes: list[Node] = []
        self._lives: dict[str, Life] = {}
        self._peaks: dict[str, deque[tuple[float, int]]] = {}
        self._bell = asyncio.Event()
        self._led = asyncio.Event()
        self._unlisten = self._store.on_change(self._bell.set)

    async def leads(self) -> None:
        """Returns once this process acts, or has seen that another one does."""
        await self._led.wait()

    async def run(self) -> None:
        """Until it is cancelled."""
        self._nodes = await self._runner.nodes()
        while True:
            try:
                await self._acquire()
                await self._lead()
            except Fenced:
                log.warning("another controller took over; what this one runs is ended")
                await self._end_all("another controller took over")
            except PaddockError as error:
                log.error("the controller cannot work: %s", error.message)
                await asyncio.sleep(STANDBY_SECONDS)
            except Exception:
                # What runs is better begun anew than left without a controller.
                log.exception("the controller failed; it begins anew")
                await self._end_all("the controller failed")
                await asyncio.sleep(STANDBY_SECONDS)

    async def close(self) -> None:
        """Ends all processes, and lets the next controller begin at once."""
        self._unlisten()
        await self._end_all("the server stopped")
        with contextlib.suppress(PaddockError):
            await self._store.change(lambda session: leases.release(session, LEASE, self._fence))

    # ---- the lease

    async def _acquire(self) -> None:
        while True:
            held = await self._store.read(lambda session: leases.holder(session, LEASE))
            gone = held[0] if held is not None and self._presence.is_gone(held[0]) else ""
            # Who only stands by changes nothing, for every change is looked at by all.
            if held is None or gone or held[0] == self._presence.identity or held[1] <= time.time():
                fence = await self._store.change(partial(self._try, gone=gone))
                if fence is not None:
                    self._fence = fence
                    is_other = held is not None and held[0] != self._presence.identity
                    self._died_at = held[1] - leases.SECONDS if held is not None and is_other else None
                    return
            self._led.set()
            await asyncio.sleep(STANDBY_SECONDS)

    def _try(self, session: ChangeSession, gone: str) -> int | None:
        now = time.time()
        held = leases.holder(session, LEASE)
        if held is not None and held[0] == gone:
            now = max(now, held[1] + 1)
        fence = leases.acquire(session, LEASE, self._presence.identity, now)
        if fence is not None:
            leases.renew(session, LEASE, fence, time.time())
        return fence

    async def _take_over(self) -> None:
        """What an earlier controller ran is adopted, or is known to be gone."""
        left = select(ReplicaRow).where(ReplicaRow.ended_at.is_(None))
        handles = await self._store.read(
            lambda session: {row.id: row.handle for row in session.scalars(left) if row.handle}
        )
        adopted = {
            identity: running
            for identity, handle in handles.items()
            if (running := await self._runner.adopt(handle)) is not None
        }

        def work(session: ChangeSession) -> list[Order]:
            leases.check(session, LEASE, self._fence)
            now = time.time()
            write_nodes(session, self._nodes, now)
            gateways.clear_dead(session, now)
            orders = []
            for one in session.scalars(left):
                row = session.get_one(DeploymentRow, one.deployment_id)
                if one.id in adopted:
                    one.fence = self._fence
                    orders.append(order_of(session, row, one))
                else:
                    last_sign = max(self._died_at or now, one.state_at)
                    replicas.end(session, row, one, "stopped", "its server ended", now)
                    # Nobody pays for the time in which there was no server.
                    one.ended_at = last_sign
                row.revision, row.attention = session.revision, True
            # Whoever starts the server again wants it tried again.
            session.execute(
                update(DeploymentRow)
                .where(DeploymentRow.failures > 0, DeploymentRow.wanted == "serve")
                .values(failures=0, retry_at=0.0, attention=True, revision=session.revision)
            )
            return orders

        for order in await self._store.change(work):
            self._begin(order, adopted[order.replica_id])

    # ---- the loop

    async def _lead(self) -> None:
        await self._take_over()
        self._led.set()
        renewing = asyncio.create_task(self._renew())
        passing = asyncio.create_task(self._passes())
        metering = asyncio.create_task(Meter(self._platform).run())
        try:
            await asyncio.wait({renewing, passing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (renewing, passing):
                if task.done():
                    task.result()
        finally:
            for task in (renewing, passing, metering):
                task.cancel()
            await asyncio.gather(renewing, passing, metering, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await self._store.write(lambda session: leases.renew(session, LEASE, self._fence, time.time()))

    async def _passes(self) -> None:
        known: tuple[int, int, int] | None = None
        due = 0.0
        while True:
            self._bell.clear()
            now = time.time()
            seen = await self._store.read(pulse)
            if seen != known or now >= due:
                known = seen
                due = await self._pass(now)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.time())):
                    await self._bell.wait()

    async def _pass(self, now: float) -> float:
        """One look at everything that may need it. Returns when the next one is due at the latest."""
        alive = await self._store.read(lambda session: gateways.alive(session, now))
        view = View(
            settings=self._platform.settings,
            hardware=self._platform.hardware,
            nodes=self._nodes,
            gateways=alive,
            peaks=self._peaks_now(alive, now),
            now=now,
        )
        is_needed, next_look = await self._store.read(lambda session: is_due(session, view))
        if is_needed:
            outcome = await self._store.change(lambda session: self._step(session, view))
            self._carry_out(outcome)
            next_look = outcome.look_again
        # Fewer replicas may be enough only because time has passed.
        latest = now + 1.0
        return latest if next_look is None else min(latest, max(next_look, now + 0.01))

    def _step(self, session: ChangeSession, view: View) -> Outcome:
        leases.check(session, LEASE, self._fence)
        return step(session, self._fence, view)

    def _carry_out(self, outcome: Outcome) -> None:
        for order in outcome.begin:
            self._begin(order)
        for identity, reason in outcome.end:
            # One that ended by itself meanwhile needs no telling.
            if (life := self._lives.get(identity)) is not None:
                life.end(reason)

    def _begin(self, order: Order, running: Running | None = None) -> None:
        self._lives[order.replica_id] = Life(
            self._platform, self._runner, self._fence, order, self._over, running
        )

    def _over(self, replica_id: str) -> None:
        self._lives.pop(replica_id, None)
        self._bell.set()

    async def _end_all(self, reason: str) -> None:
        lives = list(self._lives.values())
        for life in lives:
            life.end(reason)
        await asyncio.gather(*(life.wait() for life in lives))

    def _peaks_now(self, alive: Gateways, now: float) -> dict[str, int]:
        """The most requests at once of each deployment within the time that a replica is kept on for."""
        since = now - self._platform.settings.scale_down_after
        for identity in alive.waiting():
            self._peaks.setdefault(identity, deque()).append((now, alive.demand(identity)))
        for identity, history in list(self._peaks.items()):
            while history and history[0][0] < since:
                history.popleft()
            if not history:
                del self._peaks[identity]
        return {identity: max(count for _, count in history) for identity, history in self._peaks.items()}
