"""Jobs and those who take them up, for tests of what happens between them."""

from __future__ import annotations

import time
from typing import Any

from paddock.schemas.jobs import Job
from paddock.services import jobs, work
from paddock.services.deployments import LOCAL
from paddock.services.jobs import NewJob
from paddock.services.platform import Platform
from paddock.services.work import Held, Offer

KIND = "batch"


async def post(platform: Platform, project: str = LOCAL, **asked: Any) -> Job:
    """A job that was just accepted."""
    made: dict[str, Any] = {"kind": KIND, "dialect": "openai", "spec": {}, "seconds": 1000.0, **asked}
    return await jobs.create(platform, project, NewJob(**{"id": jobs.new_id(KIND), **made}))


def offer(worker: str = "worker", *knows: str, kinds: tuple[str, ...] = (KIND,), gone: str = "") -> Offer:
    """Of a worker that takes `gone` for dead."""
    return Offer(worker, kinds, knows, lambda one: one == gone)


async def claim(platform: Platform, who: Offer | str = "worker", *, later: float = 0.0) -> Held | None:
    """The next job, `later` seconds from now."""
    asks = offer(who) if isinstance(who, str) else who
    return await platform.store.change(lambda session: work.claim(session, time.time() + later, asks))


async def take(platform: Platform, who: Offer | str = "worker", *, later: float = 0.0) -> Held:
    held = await claim(platform, who, later=later)
    assert held is not None
    return held


async def look(platform: Platform, identity: str) -> Job:
    return await jobs.get(platform, LOCAL, identity)
