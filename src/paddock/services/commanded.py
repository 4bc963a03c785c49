"""The deployments that the command line names: there while it names them, and every project may ask them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from paddock.errors import InvalidRequest, ModelNotFound, PaddockError, StartupError
from paddock.schemas.own import CreateDeployment, Deployment, UpdateDeployment
from paddock.services import deployments, tuned_models
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform, in_thread
from paddock.services.snapshots import COMMANDED, snapshots
from paddock.store.tables import DeploymentRow

ORIGIN = COMMANDED
GONE_SECONDS = 10.0
POLL_SECONDS = 0.05


def serves(project: str | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Which deployments the project may ask, and have serve its adapters: its own, and those for all."""
    return (DeploymentRow.project == project) | (DeploymentRow.origin == ORIGIN)


async def for_all(platform: Platform, project: str) -> list[Deployment]:
    """Those that the project may ask without having them, in the order in which they were made."""
    query = select(DeploymentRow).where(
        DeploymentRow.origin == ORIGIN, DeploymentRow.project != project, DeploymentRow.deleted_at.is_(None)
    )
    query = query.order_by(DeploymentRow.created_at, DeploymentRow.id)
    return await platform.store.read(lambda session: snapshots(session, list(session.scalars(query))))


async def ensure(platform: Platform, models: Sequence[str]) -> list[Deployment]:
    """A deployment for each of these models, and none for those that an earlier command named.

    Raises:
        StartupError: a model cannot be read, or its name is taken by an attached server.
    """
    wished: dict[str, Deployment] = {}
    for text in dict.fromkeys(models):
        try:
            one = await _ensure(platform, text)
        except StartupError:
            raise
        except PaddockError as error:
            raise StartupError(error.message) from error
        if one.name in wished:
            raise _two(one.name)
        wished[one.name] = one
    named = {one.id for one in wished.values()}
    for identity in await platform.store.read(
        lambda session: list(
            session.scalars(
                select(DeploymentRow.id).where(
                    DeploymentRow.origin == ORIGIN,
                    DeploymentRow.deleted_at.is_(None),
                    DeploymentRow.wanted != "delete",
                )
            )
        )
    ):
        if identity not in named:
            await deployments.delete(platform, LOCAL, identity)
    return list(wished.values())


async def _ensure(platform: Platform, text: str) -> Deployment:
    tuned = await platform.store.read(lambda session: tuned_models.known(session, LOCAL))
    facts = await in_thread(lambda: platform.catalogue.find(text, None, tuned))
    settings = platform.settings
    known = await _known(platform, facts.name)
    if known is None:
        if facts.name in platform.reserved:
            raise _two(facts.name)
        asked = CreateDeployment(
            model=text,
            name=facts.name,
            context_length=settings.context_length or None,
        )
        return await deployments.create(platform, LOCAL, asked, origin=ORIGIN)
    # What the settings say now holds; how many workers there are is as it was.
    changed = UpdateDeployment(
        model=text,
        context_length=settings.context_length or None,
        slots=None,
        threads=None,
        quantize=None,
        embeddings=None,
    )
    try:
        one = await deployments.update(platform, LOCAL, known.id, changed)
    except (InvalidRequest, ModelNotFound):
        # The hardware that it was placed on may be gone.
        reset = changed.model_copy(update={"hardware_type": None})
        one = await deployments.update(platform, LOCAL, known.id, reset)
    return await deployments.start(platform, LOCAL, one.id) if one.status == "stopped" else one


async def _known(platform: Platform, name: str) -> Deployment | None:
    """The deployment of this name. One that is being deleted is gone in a moment."""
    deadline = time.monotonic() + platform.settings.drain_timeout + GONE_SECONDS
    while True:
        found = await platform.store.read(lambda session: deployments.known(session, LOCAL, name))
        if found is None or found.status != "deleting" or time.monotonic() > deadline:
            return found
        await asyncio.sleep(POLL_SECONDS)


def _two(name: str) -> StartupError:
    return StartupError(f"two models are called {name!r}; serve one of them under another name")
