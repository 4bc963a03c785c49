"""Keeps a gateway's routes and keys as the store has them, and tells the controller what it has to do."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import time

from sqlalchemy.orm import Session

from paddock.errors import PaddockError, StartupError
from paddock.gateway.adapters import Adapters
from paddock.gateway.callbacks import callback
from paddock.gateway.guard import WITHHELD
from paddock.gateway.keyring import ChangedKeys, Keyring, changed_keys
from paddock.inference.deployment import Deployment, Replica
from paddock.inference.pace import Pace
from paddock.inference.routing import Directory, Routes
from paddock.inference.turns import Turns
from paddock.inference.upstream import Upstream
from paddock.services import gateways
from paddock.services.exposure import is_personal
from paddock.services.platform import Platform
from paddock.services.serving import Served, ServedReplica, changed_since

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.1
"""Between two looks at what this gateway has to do."""
DRAINING_SECONDS = 0.02
HEARTBEAT_SECONDS = 1.0


class Sync:
    """
    Args:
        keyring: the keys, kept as the store has them too; None in a process that asks for nobody's.
        identity: this gateway's, unique.
        processes: how many gateways share the engines.
    """

    def __init__(
        self,
        platform: Platform,
        directory: Directory,
        identity: str,
        processes: int = 1,
        keyring: Keyring | None = None,
    ) -> None:
        self._platform = platform
        self._store = platform.store
        self._directory = directory
        self._keyring = keyring
        self._known: dict[str, Deployment] = {}
        self._identity = identity
        self._processes = processes
        self._tells = is_personal(platform.settings)
        self._seen = -1
        self._live: dict[str, Deployment] = {}
        self._used: dict[str, float] = {}
        self._leaving: list[Replica] = []
        self._adapters = Adapters(directory, self._wake)
        self._bell = asyncio.Event()
        # What was read first must be applied first.
        self._catching_up = asyncio.Lock()
        self._told: gateways.Report | None = None
        self._told_at = -math.inf
        self._unlisten = self._store.on_change(self._bell.set)
        platform.followers.append(self.catch_up)

    async def catch_up(self) -> None:
        """The routes are as the store has them now.

        Raises:
            StoreFailed: it cannot be read.
        """
        async with self._catching_up:
            seen = self._seen
            newest, changed, keys = await self._store.read(lambda session: self._look_at(session, seen))
            if self._keyring is not None:
                self._keyring.follow(keys)
            # A name that is free again may be another one's already.
            for served in sorted(changed, key=lambda one: not one.gone):
                self._apply(served)
            self._seen = newest

    async def run(self) -> None:
        """Until it is cancelled. Without the store it serves on with what it knows."""
        failing = False
        while True:
            try:
                if self._bell.is_set() or failing:
                    self._bell.clear()
                    await self.catch_up()
                await self._report()
                failing = False
            except PaddockError as error:
                if not failing:
                    log.error("the store is not to be had, serving goes on without it: %s", error.message)
                failing = True
            except Exception:
                log.exception("following the store failed; it is tried again")
                failing = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAINING_SECONDS if self._leaving else REPORT_SECONDS):
                    await self._bell.wait()

    async def close(self) -> None:
        """Ends the connections to engines; the controller waits for this gateway no more."""
        self._unlisten()
        with contextlib.suppress(ValueError):
            self._platform.followers.remove(self.catch_up)
        for deployment in self._live.values():
            for replica in deployment.replicas:
                replica.upstream.close()
        for replica in self._leaving:
            replica.upstream.close()
        with contextlib.suppress(PaddockError):
            await self._store.write(lambda session: gateways.leave(session, self._identity))

    # ---- from the store

    def _look_at(self, session: Session, seen: int) -> tuple[int, list[Served], ChangedKeys | None]:
        newest, changed = changed_since(session, seen)
        if newest == seen or self._keyring is None:
            return newest, changed, None
        return newest, changed, changed_keys(session, seen)

    def _apply(self, served: Served) -> None:
        routes = self._directory.public if served.public else self._directory.of(served.project)
        deployment = self._known.get(served.id)
        if served.gone:
            if deployment is not None:
                del self._known[served.id]
                routes.remove(deployment)
                self._set_replicas(deployment, [])
                self._adapters.follow(deployment, served)
                self._live.pop(served.id, None)
            return
        if deployment is None:
            deployment = self._known[served.id] = self._new(served)
            if served.hidden:
                routes.add_hidden(deployment)
            else:
                self._add(routes, deployment)
        elif deployment.model != served.model and not served.hidden:
            # The same object, for requests may be waiting at it.
            routes.remove(deployment)
            deployment.model = served.model
            self._add(routes, deployment)
        _describe(deployment, served, self._processes)
        deployment.problem = _problem(served, tells=self._tells or not served.public)
        if served.callback != (deployment.callback is not None):
            tell = callback(self._platform, served.project, served.id)
            deployment.callback = tell if served.callback else None
        known = {replica.id: replica for replica in deployment.replicas}
        self._set_replicas(
            deployment, [known.get(one.id) or self._replica(one, served) for one in served.replicas]
        )
        if deployment.replicas:
            self._live[served.id] = deployment
        self._adapters.follow(deployment, served)

    def _add(self, routes: Routes, deployment: Deployment) -> None:
        """By its name, whoever bears it: what the store has must not end the server."""
        try:
            routes.add(deployment)
        except StartupError as error:
            if self._adapters.free(routes, deployment.name):
                routes.add(deployment)
            else:
                log.error("the deployment %s is found by its id only: %s", deployment.id, error.message)
                routes.add_hidden(deployment)

    def _new(self, served: Served) -> Deployment:
        settings = self._platform.settings
        deployment = Deployment(
            # What a job brought up for itself answers under its model's name, which the job asked for.
            served.model if served.hidden else served.name,
            served.engine,
            served.name,
            id=served.id,
            model=served.model,
            project=served.project,
            created=int(served.created_at),
            patience=settings.start_timeout,
            most_waiting=settings.queue_size,
        )
        deployment.on_wait = lambda: self._wake(deployment)
        return deployment

    def _replica(self, one: ServedReplica, served: Served) -> Replica:
        settings, facts = self._platform.settings, served.facts
        connections = facts.get("connections") or 0
        upstream = Upstream(
            f"{one.address}/v1",
            one.key,
            settings.request_timeout,
            limit=connections or None,
            closes=served.engine == "llama.cpp",
        )
        slots = facts.get("slots") or 1
        turns = Turns(slots) if one.adapters else None
        limit = slots + settings.queue_size
        return Replica(upstream, one.id, limit=limit, adapters=one.adapters, turns=turns)

    def _set_replicas(self, deployment: Deployment, replicas: list[Replica]) -> None:
        self._leaving += [one for one in deployment.replicas if one not in replicas]
        deployment.set_replicas(replicas)

    def _wake(self, deployment: Deployment) -> None:
        self._live[deployment.id] = deployment
        self._bell.set()

    # ---- to the store

    async def _report(self) -> None:
        now = time.time()
        report = self._look(now)
        # When requests came is only told along with the rest: a long stream changes nothing else.
        changed = self._told is None or report != dataclasses.replace(self._told, used=report.used)
        if not changed and now - self._told_at < HEARTBEAT_SECONDS:
            return
        self._told, self._told_at = report, now
        await self._store.write(
            lambda session: gateways.report(session, self._identity, now, report, news=changed), ring=changed
        )

    def _look(self, now: float) -> gateways.Report:
        in_flight: dict[str, int] = {}
        demand: dict[str, int] = {}
        for replica in [one for one in self._leaving if not one.in_flight]:
            self._leaving.remove(replica)
            replica.upstream.close()
        for replica in self._leaving:
            in_flight[replica.id] = replica.in_flight
        for identity, deployment in list(self._live.items()):
            for replica in deployment.replicas:
                if replica.in_flight:
                    in_flight[replica.id] = replica.in_flight
            # What is asked of its adapters is asked of it.
            family = deployment.family
            peak = sum(one.peak for one in family)
            if peak:
                demand[identity] = peak
            if peak or any(one.used for one in family):
                self._used[identity] = now
            for one in family:
                one.peak, one.used = one.demand, False
            if not deployment.replicas and not any(one.waiting or one.in_flight for one in family):
                del self._live[identity]
                self._used.pop(identity, None)
        return gateways.Report(self._seen, in_flight, demand, dict(self._used))


def _describe(deployment: Deployment, served: Served, processes: int) -> None:
    facts = served.facts
    deployment.context_length = served.context_length
    deployment.parent = facts.get("parent") or ""
    deployment.generates = bool(facts.get("generates", True))
    deployment.embeds = bool(facts.get("embeds"))
    deployment.tools = bool(facts.get("tools", True))
    deployment.vocabulary = int(facts.get("vocabulary") or 0)
    deployment.sampling = facts.get("sampling") or {}
    deployment.slots = slots = int(facts.get("slots") or 0)
    # Each gateway sees only its own requests, so it reckons with its share of the engine.
    share = max(1, slots // processes) if slots else 0
    if deployment.pace.slots != share:
        deployment.pace = Pace(share)
    deployment.stopped = served.wanted != "serve"
    deployment.wakes = not deployment.stopped and (served.status != "failed" or served.proved)
    deployment.asleep = served.status == "asleep"


def _problem(served: Served, *, tells: bool) -> str:
    """Why it does not answer.

    Args:
        tells: whether whoever asks it may know what its engines say: see `guard.shown`.
    """
    if served.wanted == "stop":
        return "it was stopped; start it again to use it"
    if served.wanted == "delete":
        return "it is being deleted"
    if served.status == "failed":
        return f"it could not start: {served.reason if tells else WITHHELD}"
    if served.status == "asleep":
        return "it is asleep and did not wake in time"
    return (served.reason if tells else "") or "it is still starting"
