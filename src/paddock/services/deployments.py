"""What can be done with deployments. Each verb says its wish in the store; the controller makes it true."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session

from paddock.errors import Conflict, InvalidRequest, NotFound
from paddock.schemas.own import CreateDeployment, Deployment, UpdateDeployment
from paddock.services import events, tuned_models
from paddock.services.holds import ORIGIN
from paddock.services.platform import Platform, in_thread
from paddock.services.snapshots import snapshots
from paddock.services.wishes import Wish, check_name, known_here, plan_wish
from paddock.store.sessions import ChangeSession
from paddock.store.tables import AdapterRow, DeploymentRow
from paddock.weights.facts import ModelFacts

LOCAL = "local"
"""The project to which everything belongs while there are no keys."""
_NEEDS_NEW_ENGINES = ("model", "source", "engine", "hardware_type", "context_length", "options")
JSON = dict[str, Any]
Permit = Callable[[str], None]
"""Raises if the caller may not have the model of this name."""


@dataclass(frozen=True)
class Page:
    """
    Attributes:
        next: what to give as `after` for the next page; None on the last one.
    """

    deployments: list[Deployment]
    next: str | None


@dataclass(frozen=True)
class NewDeployment:
    """
    Attributes:
        details, origin, key_id: as `create` takes them.
    """

    id: str
    name: str
    wish: Wish
    details: JSON = field(default_factory=dict)
    origin: str = "api"
    key_id: str = ""


async def create(
    platform: Platform,
    project: str,
    asked: CreateDeployment,
    *,
    details: JSON | None = None,
    named_by_id: bool = False,
    origin: str = "api",
    key_id: str = "",
    permit: Permit | None = None,
) -> Deployment:
    """A new deployment, which the controller begins to make true.

    Args:
        details: what the dialect's caller gave and wants to see again.
        key_id: of the key that wishes it; empty for one without.
        named_by_id: its name is its id, as that of a Cortecs instance.

    Raises:
        InvalidRequest: the name is taken or is none, or the wish cannot be: see `wishes.plan_wish`.
        ModelNotFound: there is no such model.
    """
    wish = await plan(platform, project, asked)
    if permit is not None:
        permit(wish.model)
    identity = f"dep-{secrets.token_hex(8)}"
    name = identity if named_by_id else check_name(asked.name or wish.model)
    if name in platform.reserved:
        raise _taken(name)
    new = NewDeployment(
        identity, name, wish, {**(details or {}), "labels": asked.labels or {}}, origin, key_id
    )
    return await platform.change(lambda session: add(session, project, new, time.time()))


async def plan(
    platform: Platform, project: str, asked: CreateDeployment, tuned: Sequence[ModelFacts] = ()
) -> Wish:
    """See `wishes.plan_wish`.

    Args:
        tuned: models that nobody else knows yet.
    """
    known, own = await platform.store.read(lambda session: known_here(session, project))
    return await in_thread(lambda: plan_wish(platform, known, asked, [*own, *tuned]))


def add(session: ChangeSession, project: str, new: NewDeployment, now: float) -> Deployment:
    """From here on the controller makes it true.

    Raises:
        InvalidRequest: its name is taken.
    """
    taken = find_named(session, project, new.name) or find_adapter(session, project, new.name)
    if taken is not None or not _may_bear(session, project, new.name, new.wish.source):
        raise _taken(new.name)
    row = DeploymentRow(
        id=new.id,
        project=project,
        name=new.name,
        details=new.details,
        origin=new.origin,
        key_id=new.key_id,
        wanted="serve",
        max_workers=0,
        generation=1,
        status="pending",
        created_at=now,
        updated_at=now,
        revision=session.revision,
    )
    _write(row, new.wish)
    if new.wish.max_workers == 0:
        mark_stopped(row, now)
    session.add(row)
    session.flush()
    events.record(session, row, "created", f"{new.wish.model} on {new.wish.hardware_type}", now)
    return snapshots(session, [row])[0]


def _may_bear(session: Session, project: str, name: str, source: str) -> bool:
    """A fine-tuned model's own name is for the model itself."""
    tuned = tuned_models.named(session, project, name)
    return tuned is None or tuned_models.source(tuned.id) == source


async def get(platform: Platform, project: str, name: str) -> Deployment:
    """By name or id.

    Raises:
        NotFound: there is none, or it is another project's.
    """
    return await platform.store.read(lambda session: snapshots(session, [find(session, project, name)])[0])


async def list_page(
    platform: Platform,
    project: str,
    *,
    limit: int | None = None,
    after: str | None = None,
    of_jobs: bool = False,
) -> Page:
    """In the order in which they were made; all of them without a `limit`.

    Args:
        of_jobs: also those that jobs brought up for themselves.

    Raises:
        NotFound: there is no deployment `after`.
    """

    def work(session: Session) -> Page:
        query = select(DeploymentRow).where(
            DeploymentRow.project == project, DeploymentRow.deleted_at.is_(None)
        )
        if not of_jobs:
            query = query.where(DeploymentRow.origin != ORIGIN)
        if after is not None:
            last = find(session, project, after)
            place = tuple_(DeploymentRow.created_at, DeploymentRow.id)
            query = query.where(place > tuple_(literal(last.created_at), literal(last.id)))
        query = query.order_by(DeploymentRow.created_at, DeploymentRow.id)
        rows = list(session.scalars(query if limit is None else query.limit(limit + 1)))
        more = limit is not None and len(rows) > limit
        rows = rows[:limit]
        return Page(snapshots(session, rows), rows[-1].id if more else None)

    return await platform.store.read(work)


async def update(
    platform: Platform,
    project: str,
    name: str,
    asked: UpdateDeployment,
    *,
    details: JSON | None = None,
    permit: Permit | None = None,
) -> Deployment:
    """Changes what is given. New engines replace the running ones without failing a request if it needs any.

    Args:
        details: replaces what a dialect keeps, key by key.

    Raises:
        NotFound, InvalidRequest: as `get` and `create`.
        Conflict: it is being deleted.
    """
    done = None
    while done is None:
        done = await _update(platform, project, name, asked, details, permit)
    return done


async def _update(
    platform: Platform,
    project: str,
    name: str,
    asked: UpdateDeployment,
    details: JSON | None,
    permit: Permit | None,
) -> Deployment | None:
    """None if somebody else changed it between the planning and the writing: what was planned is outdated."""
    before = await get(platform, project, name)
    _refuse_deleting(before.status, before.name)
    wish = await plan(platform, project, _merged(before, asked))
    if permit is not None:
        permit(wish.model)

    def work(session: ChangeSession) -> Deployment | None:
        row = find(session, project, before.id)
        _refuse_deleting(row.status, row.name)
        if row.updated_at != before.updated_at:
            return None
        if not _may_bear(session, project, row.name, wish.source):
            raise InvalidRequest(
                f"model: {row.name} is the name of a fine-tuned model, and its deployment serves that one"
                " only; make another deployment for another model",
                param="model",
            )
        new = {**row.details, **(details or {})}
        if asked.labels is not None:
            new["labels"] = asked.labels
        row.details = new
        old = {name: getattr(row, name) for name in _NEEDS_NEW_ENGINES}
        _write(row, wish)
        now = time.time()
        changed = [name for name in _NEEDS_NEW_ENGINES if getattr(row, name) != old[name]]
        if row.wanted == "stop" and asked.max_workers:
            _serve(row)
            row.started_at = row.stopped_at = None
            changed = ["wanted"]
        if asked.max_workers == 0 and row.wanted == "serve":
            mark_stopped(row, now)
        elif changed or row.status == "failed":
            renew(row)
        row.updated_at, row.revision, row.attention = now, session.revision, True
        events.record(session, row, "updated", f"generation {row.generation}", now)
        return snapshots(session, [row])[0]

    return await platform.change(work)


async def start(platform: Platform, project: str, name: str) -> Deployment:
    """Starts a stopped or failed deployment again.

    Raises:
        NotFound: there is none.
        Conflict: it is running, starting or being deleted.
    """

    def apply(row: DeploymentRow, now: float) -> str:
        _refuse_deleting(row.status, row.name)
        if row.wanted == "serve" and row.status != "failed":
            raise Conflict(f"{row.name} is not stopped: it is {row.status}", code="not_stopped")
        _serve(row)
        row.generation += 1
        row.status = "pending"
        row.started_at = row.stopped_at = None
        return "started"

    return await _set(platform, project, name, apply)


async def stop(platform: Platform, project: str, name: str) -> Deployment:
    """Stops a deployment until it is started again; running requests get time to finish.

    Raises:
        NotFound: there is none.
        Conflict: it is stopped, or being deleted.
    """

    def apply(row: DeploymentRow, now: float) -> str:
        _refuse_deleting(row.status, row.name)
        if row.wanted == "stop":
            raise Conflict(f"{row.name} is stopped already", code="already_stopped")
        mark_stopped(row, now)
        return "stopped"

    return await _set(platform, project, name, apply)


async def delete(
    platform: Platform,
    project: str,
    name: str,
    allow: Callable[[Deployment], None] | None = None,
) -> Deployment:
    """Ends its engines and forgets it. Its name is free once they are gone.

    Args:
        allow: raises if the dialect does not delete a deployment that is so.

    Raises:
        NotFound: there is none.
        Conflict: it is being deleted already.
    """

    def apply(row: DeploymentRow, now: float) -> str:
        _refuse_deleting(row.status, row.name)
        return _end(row)

    return await _set(platform, project, name, apply, allow)


def end(session: ChangeSession, row: DeploymentRow, now: float) -> None:
    """As `delete`, of one that is not being deleted yet."""
    kind = _end(row)
    row.updated_at, row.revision, row.attention = now, session.revision, True
    events.record(session, row, kind, row.reason, now)


def find(session: Session, project: str, name: str) -> DeploymentRow:
    """
    Raises:
        NotFound: there is none of this name or id in the project.
    """
    row = find_named(session, project, name)
    if row is None:
        row = session.get(DeploymentRow, name)
    if row is None or row.project != project or row.deleted_at is not None:
        raise NotFound(f"there is no deployment {name[:140]!r}", code="deployment_not_found")
    return row


def find_named(session: Session, project: str, name: str) -> DeploymentRow | None:
    """The one of this name, if there is one."""
    query = select(DeploymentRow).where(
        DeploymentRow.project == project, DeploymentRow.name == name, DeploymentRow.deleted_at.is_(None)
    )
    return session.scalars(query).one_or_none()


def known(session: Session, project: str, name: str) -> Deployment | None:
    """The deployment of this name, if there is one."""
    row = find_named(session, project, name)
    return None if row is None else snapshots(session, [row])[0]


def find_adapter(session: Session, project: str, name: str) -> AdapterRow | None:
    """The adapter of this name: it may bear none of a deployment's, and the other way round."""
    query = select(AdapterRow).where(
        AdapterRow.project == project, AdapterRow.name == name, AdapterRow.deleted_at.is_(None)
    )
    return session.scalars(query).one_or_none()


def mark_stopped(row: DeploymentRow, now: float, reason: str = "it was stopped on purpose") -> None:
    row.wanted, row.status, row.reason = "stop", "stopped", reason
    row.stopped_at = now


async def _set(
    platform: Platform,
    project: str,
    name: str,
    apply: Callable[[DeploymentRow, float], str],
    allow: Callable[[Deployment], None] | None = None,
) -> Deployment:
    def work(session: ChangeSession) -> Deployment:
        row = find(session, project, name)
        if allow is not None:
            allow(snapshots(session, [row])[0])
        now = time.time()
        kind = apply(row, now)
        row.updated_at, row.revision, row.attention = now, session.revision, True
        events.record(session, row, kind, row.reason, now)
        return snapshots(session, [row])[0]

    return await platform.change(work)


def _write(row: DeploymentRow, wish: Wish) -> None:
    row.model, row.source, row.engine = wish.model, wish.source, wish.engine
    row.hardware_type, row.context_length = wish.hardware_type, wish.context_length
    row.min_workers, row.per_worker = wish.min_workers, wish.per_worker
    # At most 0 means stopped; how many there were is kept for the next start.
    row.max_workers = wish.max_workers or row.max_workers or 1
    row.idle_timeout, row.options = wish.idle_timeout, wish.options
    row.facts = {**(row.facts or {}), **wish.facts, "memory": wish.memory}


def _merged(before: Deployment, asked: UpdateDeployment) -> CreateDeployment:
    """The wish as a whole: what was asked now, and the rest as it is.

    Raises:
        InvalidRequest: a field without a default is to have its default again.
    """
    given = asked.model_dump(exclude_unset=True, exclude={"labels"})
    for name in ("model", "min_workers"):
        if name in given and given[name] is None:
            raise InvalidRequest(f"{name} must not be null", param=name)
    if given.get("max_workers") == 0 and not given.get("min_workers"):
        # It stops; how many there were is kept for the next start.
        del given["max_workers"]
    now = settings_of(before)
    if "model" in given and given["model"] not in (before.model, before.source):
        # What was chosen for the old model need not suit the new one.
        for name in ("hardware_type", "context_length", "slots"):
            now[name] = None
    if "context_length" in given:
        now["slots"] = None
    return CreateDeployment.model_validate({**now, **given})


def settings_of(deployment: Deployment) -> JSON:
    """All that was chosen for it, as `CreateDeployment` takes it."""
    options = deployment.options
    return {
        "model": deployment.source,
        "engine": deployment.engine,
        "hardware_type": deployment.hardware_type,
        "context_length": deployment.context_length or None,
        "min_workers": deployment.min_workers,
        "max_workers": deployment.max_workers,
        "per_worker": deployment.per_worker,
        "idle_timeout": deployment.idle_timeout,
        "slots": options.get("slots"),
        "threads": options.get("threads") or None,
        "quantize": None if options.get("weights_type") == "auto" else options.get("weights_type"),
        "embeddings": options.get("embeddings"),
    }


def renew(row: DeploymentRow) -> None:
    """New engines replace those that it has."""
    row.generation += 1
    row.failures, row.retry_at, row.reason, row.log = 0, 0.0, "", []
    if row.wanted == "serve":
        row.status = "pending"


def _serve(row: DeploymentRow) -> None:
    row.wanted, row.reason, row.log = "serve", "", []
    row.failures, row.retry_at = 0, 0.0


def _end(row: DeploymentRow) -> str:
    row.wanted, row.status = "delete", "deleting"
    return "deleting"


def _refuse_deleting(status: str, name: str) -> None:
    if status == "deleting":
        raise Conflict(f"{name} is being deleted", code="deleting")


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"name {name!r} is taken in this project; choose another, or delete what bears it first",
        param="name",
        code="name_taken",
    )
