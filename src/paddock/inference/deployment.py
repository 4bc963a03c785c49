"""A served model as the gateway knows it: its replicas, who takes a request, and who waits for one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from paddock.errors import RateLimited, Unavailable
from paddock.inference.affinity import Affinity
from paddock.inference.pace import Pace
from paddock.inference.turns import Turns
from paddock.inference.upstream import Upstream

in_background: ContextVar[bool] = ContextVar("in_background", default=False)
"""Whether nobody waits for what is asked here: a batch does, which makes room for those who do."""

SUSPECT_SECONDS = 1.0
"""How long a replica that broke a connection is left out; the controller takes a dead one away sooner."""


@dataclass(slots=True, eq=False)
class Replica:
    """One engine that can take requests now.

    Attributes:
        id: the store's; empty for a server that somebody else runs.
        limit: requests that it may have at once, those that wait in it included.
        in_flight: requests that it works on; `begin` and `end` count them.
        suspect_until: not used before this time of `time.monotonic()`.
        adapters: what the engine calls each adapter that it serves, by the adapter's id.
        turns: of those and of the base; None if it serves no adapter.
    """

    upstream: Upstream
    id: str = ""
    limit: float = math.inf
    in_flight: int = 0
    suspect_until: float = 0.0
    adapters: Mapping[str, int] = field(default_factory=dict)
    turns: Turns | None = None
    _busy: float = 0.0
    _since: float = 0.0

    def begin(self) -> None:
        self._busy, self._since = self.busy(), time.perf_counter()
        self.in_flight += 1

    def end(self) -> None:
        self._busy, self._since = self.busy(), time.perf_counter()
        self.in_flight -= 1

    def busy(self) -> float:
        """Seconds of all requests so far, added up; what two of them share counts twice."""
        return self._busy + self.in_flight * (time.perf_counter() - self._since)


@dataclass(slots=True, eq=False)
class Deployment:
    """What the gateway knows of a served model.

    Attributes:
        name: what callers call it.
        engine: `llama.cpp`, or `attached` for a server that somebody else runs.
        engine_model: what the engine calls the model.
        id: the store's; empty for an attached server.
        model: the name of the model that it serves; empty for an adapter.
        adapter: its id, if this is an adapter: its replicas are some of those of `base`, the deployment that
            serves it.
        adapted: the adapters whose `base` this is.
        context_length: tokens of prompt and answer together; 0 if not known.
        parent: the model that its own was fine-tuned from as a whole; empty if it was not.
        embeds: whether it answers /embeddings.
        tools: whether its chat template renders tools.
        vocabulary: number of token ids; 0 if not known.
        slots: requests that one of its engines decodes at once; 0 if not known.
        sampling: the model's own defaults, as its generation_config.json gives them.
        pace: how fast its replicas answer.
        problem: why it has no replica, for a person.
        stopped: on purpose; nothing wakes it.
        asleep: scaled to zero.
        wakes: whether a replica is on its way or comes when somebody asks, so that requests wait for one.
        patience: seconds that a request waits for a replica.
        most_waiting: requests that may wait for one at once.
        peak: the most requests at once, in flight or waiting, since the controller was told.
        used: whether there was a request since then.
        on_wait: called when a request begins to wait.
        project: whose it is; empty for attached ones.
        callback: takes a request's id and its whole answer to whom else its owner wants told; None if nobody.
        in_flight, waiting: requests at replicas, and for one; those in the background included.
        background: of both together, those in the background. They count neither as demand nor as use: what
            they need, the job has asked for.
        asked_at: `time.monotonic()` when somebody last asked who waits for the answer.
    """

    name: str
    engine: str
    engine_model: str
    id: str = ""
    model: str = ""
    parent: str = ""
    adapter: str = ""
    base: Deployment | None = None
    adapted: list[Deployment] = field(default_factory=list)
    context_length: int = 0
    generates: bool = True
    embeds: bool = False
    tools: bool = True
    vocabulary: int = 0
    slots: int = 0
    sampling: dict[str, float] = field(default_factory=dict)
    owned_by: str = "paddock"
    created: int = field(default_factory=lambda: int(time.time()))
    replicas: list[Replica] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    problem: str = "it is still starting"
    stopped: bool = False
    asleep: bool = False
    wakes: bool = False
    patience: float = 0.0
    most_waiting: int = 0
    peak: int = 0
    used: bool = False
    on_wait: Callable[[], None] | None = None
    project: str = ""
    callback: Callable[[str, bytes], Awaitable[None]] | None = None
    in_flight: int = 0
    waiting: int = 0
    background: int = 0
    asked_at: float = -math.inf
    _affinity: Affinity = field(default_factory=Affinity)
    _changed: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def serves(self) -> bool:
        """Whether it is as it was wished: it answers, or sleeps until somebody asks."""
        return bool(self.replicas) or self.asleep

    @property
    def demand(self) -> int:
        """Requests in flight or waiting whose callers wait for the answer."""
        return self.in_flight + self.waiting - self.background

    @property
    def family(self) -> list[Deployment]:
        """All that its engines answer for: the deployment that has them, and that one's adapters."""
        host = self.base or self
        return [host, *host.adapted]

    def busy(self) -> float:
        """What `Replica.busy` says, in the mean of the replicas."""
        return sum([replica.busy() for replica in self.replicas]) / max(1, len(self.replicas))

    def longest(self, tokens: int) -> float:
        """Seconds for an answer of so many tokens at the most; inf if it had to wait, or is not known."""
        if any(replica.in_flight < self.pace.slots for replica in self.replicas):
            return self.pace.longest(tokens)
        return math.inf

    def take(self, body: bytes = b"", tried: Collection[Replica] = ()) -> Replica | None:
        """A replica for a request, counted until `leave`; None if there is none at the moment.

        Args:
            body: what will be sent, for its beginning.
            tried: replicas that failed it already.

        Raises:
            RateLimited: all have more to do than they may.
        """
        replicas = self.replicas
        usable = replicas
        if len(replicas) == 1 and not tried and not replicas[0].suspect_until:
            replica = replicas[0]
        else:
            now = time.monotonic()
            usable = [one for one in replicas if one.suspect_until <= now and one not in tried]
            if not usable:
                return None
            replica = self._affinity.choose(body, usable) if len(usable) > 1 else usable[0]
        if replica.in_flight >= replica.limit:
            replica = min(usable, key=lambda one: one.in_flight - one.limit)
            if replica.in_flight >= replica.limit:
                raise self._full()
        replica.begin()
        self.in_flight += 1
        self._note()
        return replica

    def leave(self, replica: Replica) -> None:
        replica.end()
        self.in_flight -= 1
        if in_background.get():
            self.background -= 1

    def suspect(self, replica: Replica) -> None:
        """It broke a connection: the next requests go elsewhere for a moment."""
        if self.id:
            replica.suspect_until = time.monotonic() + SUSPECT_SECONDS

    def has_other(self, tried: Collection[Replica]) -> bool:
        """Whether a request that these have failed can still be answered."""
        return self.wakes or any(one not in tried for one in self.replicas)

    async def wait(self, body: bytes = b"", tried: Collection[Replica] = ()) -> Replica:
        """A replica as soon as there is one.

        Raises:
            Unavailable: none is on its way, or none came within `patience` seconds.
            RateLimited: too many wait already.
        """
        if not self.wakes:
            raise self._unavailable()
        if self.waiting >= self.most_waiting:
            raise self._full()
        self.waiting += 1
        self._note()
        if self.on_wait is not None:
            self.on_wait()
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    await self._change()
                    replica = self.take(body, tried)
                    if replica is not None:
                        return replica
                    if not self.wakes:
                        raise self._unavailable()
        except TimeoutError:
            raise self._unavailable() from None
        finally:
            self.waiting -= 1
            if in_background.get():
                self.background -= 1

    def set_replicas(self, replicas: list[Replica]) -> None:
        """What there is now; those who wait look again."""
        for gone in [one for one in self.replicas if one not in replicas]:
            self._affinity.forget(gone)
        self.replicas = replicas
        self.ring()

    def ring(self) -> None:
        """Makes those who wait look again."""
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done():
                future.set_result(None)

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._changed.append(future)
        # A suspicion ends without anybody ringing.
        with_suspects = [one.suspect_until for one in self.replicas if one.suspect_until]
        try:
            async with asyncio.timeout(SUSPECT_SECONDS if with_suspects else None):
                await future
        except TimeoutError:
            return
        finally:
            if future in self._changed:
                self._changed.remove(future)

    def _note(self) -> None:
        if in_background.get():
            self.background += 1
            return
        self.used = True
        self.asked_at = time.monotonic()
        demand = self.in_flight + self.waiting - self.background
        if demand > self.peak:
            self.peak = demand

    def _full(self) -> RateLimited:
        return RateLimited(
            f"model {self.name!r} has {self.in_flight + self.waiting} requests running or waiting, and its"
            " queue is full; try again in a moment",
            code="queue_full",
            retry_after=1,
        )

    def _unavailable(self) -> Unavailable:
        return Unavailable(f"model {self.name!r} has no engine ready: {self.problem}", retry_after=1)
