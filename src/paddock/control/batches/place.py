"""Who answers the rows of a batch: a deployment that there is, or one that is brought up for the job."""

from __future__ import annotations

import asyncio
import time

from paddock.control.jobs.shift import Shift
from paddock.errors import JobFailed, ModelNotFound, NotFound, PaddockError, Unavailable
from paddock.inference.routing import Deployment, Routes
from paddock.schemas.own import CreateDeployment
from paddock.services import deployments, holds, work
from paddock.services.batches.spec import BatchSpec
from paddock.services.holds import ORIGIN
from paddock.store.sessions import ChangeSession

LOOK_SECONDS = 0.05


class Place:
    """
    Args:
        routes: what this process can ask, kept as the store has it.
    """

    def __init__(self, shift: Shift, routes: Routes, spec: BatchSpec, model: str) -> None:
        self._shift = shift
        self._routes = routes
        self._spec = spec
        self._model = model
        self._found: Deployment | None = None
        self._finding = asyncio.Lock()

    async def deployment(self) -> Deployment:
        """The one to ask now, which has a replica.

        Raises:
            JobFailed: there is none, and none can be brought up.
        """
        found = self._found
        if found is not None and found.replicas and self._is_there(found):
            return found
        async with self._finding:
            while True:
                found = self._found
                if found is None or not self._is_there(found):
                    found = self._found = await self._find()
                if found.replicas:
                    self._shift.message = ""
                    return found
                self._wait_or_fail(found)
                await asyncio.sleep(LOOK_SECONDS)

    def _is_there(self, found: Deployment) -> bool:
        return not found.id or self._routes.by_id(found.id) is found

    def _wait_or_fail(self, found: Deployment) -> None:
        if found.id and not found.wakes and not found.stopped:
            raise JobFailed(f"model {self._model!r} cannot be asked: {found.problem}")
        what = found.problem if found.stopped else "its engine is starting"
        self._shift.message = f"waiting for model {self._model!r}: {what}"

    async def _find(self) -> Deployment:
        if not self._spec.apart:
            try:
                found = self._routes.resolve(self._model)
            except ModelNotFound:
                pass
            except PaddockError as error:
                raise JobFailed(error.message) from None
            else:
                return await self._hold(found)
        return await self._bring_up()

    async def _hold(self, found: Deployment) -> Deployment:
        if found.id:
            replicas, held = max(1, self._spec.replicas), self._shift.held

            def write(session: ChangeSession) -> None:
                work.row_of(session, held)
                holds.hold(session, held.id, found.id, replicas)

            await self._shift.change(write)
        return found

    async def _bring_up(self) -> Deployment:
        """A deployment for this job alone, which goes with it."""
        platform, held = self._shift.platform, self._shift.held
        name = holds.own_name(held.id)
        try:
            made = await deployments.get(platform, held.job.project, name)
        except NotFound:
            replicas = max(1, self._spec.replicas)
            wish = {"model": self._model, **self._spec.wish}
            wish |= {"name": name, "min_workers": replicas, "max_workers": replicas}
            try:
                made = await deployments.create(
                    platform,
                    held.job.project,
                    CreateDeployment(**wish),
                    origin=ORIGIN,
                    key_id=held.job.key_id,
                )
            except Unavailable:
                raise
            except PaddockError as error:
                raise JobFailed(f"model {self._model!r} cannot be brought up: {error.message}") from None
        began = time.monotonic()
        while (found := self._routes.by_id(made.id)) is None:
            if time.monotonic() - began > platform.settings.start_timeout:
                raise JobFailed(f"what was brought up for model {self._model!r} went away")
            await asyncio.sleep(LOOK_SECONDS)
        return await self._hold(found)
