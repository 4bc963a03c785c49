"""Writes to the ledger what replicas cost, at the begin of each of their billing intervals.

Beside the controller's loop, which waits for none of it. A ledger that fails is tried again, and what was
missed meanwhile, or while no controller ran, is written then: see `services.usage.instances`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import itertools
import logging
import math
import time
from collections.abc import Iterator
from functools import partial

from paddock.errors import PaddockError
from paddock.services.platform import Platform
from paddock.services.usage import instances
from paddock.services.usage.instances import Instance
from paddock.services.usage.record import Interval, record_instances

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
CHUNK = 500
"""Intervals that are written at once."""
MARGIN_SECONDS = 120.0
"""By so much a replica's end may be told earlier than the last row that was written before it was told."""


class Meter:
    """Its replicas are those of the store, whoever started them. Two of them at once write nothing twice."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._store = platform.store
        self._ledger = platform.ledger
        self._open: dict[str, Instance] = {}
        self._due: dict[str, float] = {}
        self._revision = -1
        self._next = 0.0
        # Until when all that ended is known, and what of it is written.
        self._known_until: float | None = None
        self._settled: set[str] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        failing = False
        while True:
            try:
                await self.look(time.time())
                failing = False
            except PaddockError as error:
                if not failing:
                    log.error("what replicas cost is written later: %s", error.message)
                failing = True
            except Exception:
                if not failing:
                    log.exception("what replicas cost cannot be written; it is tried again")
                failing = True
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: float) -> None:
        """Writes each interval that has begun by now.

        Raises:
            StoreFailed: the store or the ledger cannot be had; the next call catches up.
        """
        revision = await self._store.revision()
        if revision == self._revision and now < self._next:
            return
        await self._find(now)
        await self._find_dues()
        due = heapq.merge(*(self._intervals(one, now) for one in self._open.values()), key=_start)
        # In the order of time: the last one that is written says how far this has come.
        while chunk := list(itertools.islice(due, CHUNK)):
            await self._ledger.write(partial(record_instances, intervals=chunk))
            self._due.update((one.replica_id, one.end) for one in chunk)
        for identity in [one.replica_id for one in self._open.values() if one.ended_at is not None]:
            del self._open[identity]
            self._due.pop(identity, None)
            self._settled.add(identity)
        self._known_until = now
        self._next = min(self._due.values(), default=math.inf)
        self._revision = revision

    async def _find(self, now: float) -> None:
        """What is running, and what has ended that may have begun intervals of which nothing is written."""
        found = await self._store.read(instances.running)
        known = self._known_until
        since = (await self._ledger.read(instances.last_begun) if known is None else known) - MARGIN_SECONDS
        # Some were not there yet when it was looked before.
        ended = await self._store.read(lambda session: instances.ended_since(session, since))
        self._settled &= ended.keys()
        found |= {identity: one for identity, one in ended.items() if identity not in self._settled}
        missing = self._open.keys() - found.keys()
        if missing:
            gone = await self._store.read(lambda session: instances.of(session, missing))
            for identity in missing:
                one = gone.get(identity) or dataclasses.replace(self._open[identity], ended_at=now)
                found[identity] = one
        for identity, one in found.items():
            open_ = self._open.get(identity)
            # One that ended holds no hardware any more, by which its type would be known.
            self._open[identity] = dataclasses.replace(open_, ended_at=one.ended_at) if open_ else one

    async def _find_dues(self) -> None:
        new = [identity for identity in self._open if identity not in self._due]
        if not new:
            return
        written = await self._ledger.read(lambda session: instances.written(session, new))
        for identity in new:
            one = self._open[identity]
            self._due[identity], kind = written.get(identity, (one.ready_at, one.hardware_type))
            self._open[identity] = dataclasses.replace(one, hardware_type=kind)

    def _intervals(self, one: Instance, now: float) -> Iterator[Interval]:
        price = self._platform.hardware.price_per_hour(one.hardware_type)
        return instances.intervals(one, self._due[one.replica_id], now, price)


def _start(one: Interval) -> float:
    return one.start
