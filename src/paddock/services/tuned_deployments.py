"""Deployments of models that fine-tunes made: made as the parent's is, and deleted along with the model."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.errors import Conflict, NotFound, PaddockError, StoreFailed
from paddock.schemas.own import CreateDeployment, Deployment
from paddock.services import deployments, tuned_files, tuned_models
from paddock.services.deployments import NewDeployment
from paddock.services.platform import Platform
from paddock.services.tuned_models import TunedModel
from paddock.store.sessions import ChangeSession
from paddock.store.tables import AdapterRow, DeploymentRow, HoldRow, JobRow, TunedModelRow

log = logging.getLogger(__name__)


async def plan(
    platform: Platform, project: str, model: TunedModel, parent_source: str, key_id: str = ""
) -> NewDeployment | None:
    """A deployment of a model that is about to be known, under its name: with all that was chosen for its
    parent's, or as one that sleeps until somebody asks. None if there can be neither.

    Args:
        parent_source: as `DeploymentRow` has it.
        key_id: of the key that the fine-tune was asked for with.

    Raises:
        StoreFailed: the store cannot be read.
    """
    every = (await deployments.list_page(platform, project)).deployments
    for asked in _wishes(model, [one for one in every if one.source == parent_source]):
        try:
            wish = await deployments.plan(platform, project, asked, [model.facts])
        except StoreFailed:
            raise
        except PaddockError as error:
            log.warning("%s cannot be deployed so: %s", model.name, error.message)
            continue
        details = {"labels": asked.labels or {}}
        return NewDeployment(f"dep-{secrets.token_hex(8)}", model.name, wish, details, key_id=key_id)
    return None


def add(
    session: ChangeSession, project: str, model: TunedModel, new: NewDeployment | None, now: float
) -> None:
    """The model is known from here on, and deployed. May be said again."""
    if not tuned_models.add(session, project, model, now) or new is None:
        return
    try:
        deployments.add(session, project, new, now)
    except PaddockError as error:
        # Somebody named something so while it was learned; the model can still be deployed otherwise.
        log.warning("%s is not deployed: %s", model.name, error.message)


async def owner(platform: Platform, project: str, name: str) -> TunedModel | None:
    """The model that goes with what bears this name or id: the model's own, or that of its deployment under
    its name. Other deployments of it are deleted without it.
    """

    def work(session: Session) -> TunedModel | None:
        try:
            row = deployments.find(session, project, name)
        except NotFound:
            pass
        else:
            model = tuned_models.named(session, project, row.name)
            is_its_own = model is not None and tuned_models.source(model.id) == row.source
            return tuned_models.of(model) if model is not None and is_its_own else None
        try:
            return tuned_models.of(tuned_models.find(session, project, name))
        except NotFound:
            return None

    return await platform.store.read(work)


async def delete(platform: Platform, project: str, name: str) -> TunedModel:
    """Ends the model's deployment under its own name, forgets the model, and removes its bytes.

    Raises:
        NotFound: there is no such model.
        Conflict: something else needs it; says what.
    """

    def work(session: ChangeSession) -> TunedModel:
        row, now = tuned_models.find(session, project, name), time.time()
        own = deployments.find_named(session, project, row.name)
        if own is not None and (own.source != tuned_models.source(row.id) or own.wanted == "delete"):
            own = None
        _refuse_needed(session, row, own)
        if own is not None:
            deployments.end(session, own, now)
        row.deleted_at = now
        return tuned_models.of(row)

    gone = await platform.change(work)
    try:
        await tuned_files.remove(platform, gone)
    except PaddockError as error:
        log.warning("the bytes of %s are removed later: %s", gone.name, error.message)
    return gone


def _wishes(model: TunedModel, parents: Sequence[Deployment]) -> list[CreateDeployment]:
    """What is tried, one after the other."""
    sleeping = CreateDeployment(model=model.source, min_workers=0)
    if not parents:
        return [sleeping]

    def rank(one: Deployment) -> tuple[bool, bool, bool]:
        return one.status == "stopped", not one.serving, one.name != model.parent

    chosen = min(parents, key=rank)
    like = {**deployments.settings_of(chosen), "model": model.source, "labels": chosen.labels}
    if chosen.status == "stopped":
        like["min_workers"] = 0
    return [CreateDeployment.model_validate(like), sleeping]


def _refuse_needed(session: Session, row: TunedModelRow, own: DeploymentRow | None) -> None:
    source = tuned_models.source(row.id)
    others = select(DeploymentRow.name).where(
        DeploymentRow.project == row.project,
        DeploymentRow.source == source,
        DeploymentRow.name != row.name,
        DeploymentRow.deleted_at.is_(None),
        DeploymentRow.wanted != "delete",
    )
    adapters = select(AdapterRow.name).where(
        AdapterRow.project == row.project, AdapterRow.source == source, AdapterRow.deleted_at.is_(None)
    )
    # A batch has the name as its caller wrote it, and holds what it found by it.
    names = {row.id, row.name, row.name.rpartition("/")[2], own.id if own is not None else row.id}
    jobs = select(JobRow.id).where(
        JobRow.project == row.project, JobRow.model.in_(names), JobRow.finished_at.is_(None)
    )
    holds = select(HoldRow.job_id).where(HoldRow.deployment_id == (own.id if own is not None else ""))
    needs = (
        ("deployed as", others),
        ("the base of the adapter", adapters),
        ("used by", jobs),
        ("used by", holds),
    )
    for what, query in needs:
        if (found := session.scalars(query.limit(1)).first()) is not None:
            raise Conflict(
                f"{row.name} cannot be deleted: it is {what} {found}; end or delete that first",
                code="in_use",
            )
