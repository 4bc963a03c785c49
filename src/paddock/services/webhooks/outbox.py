"""What is to be told to whom: written in the transaction of the event itself, and taken up until it is there.

So no crash loses a message, and none tells of what did not happen. A receiver may get one twice, if we end
between its answer and our note of it: the `webhook-id` is the same then.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from paddock.services.platform import Platform
from paddock.services.snapshots import COMMANDED
from paddock.services.webhooks import signatures
from paddock.store.sessions import WriteSession
from paddock.store.tables import DeploymentRow, JobRow
from paddock.store.webhook_tables import DeliveryRow, WebhookRow

JSON = dict[str, Any]
CALLBACK = "callback"
"""The type of an answer for the callback of its deployment; and where that stands in `DeploymentRow.details`:
{"url", "username", "password"}, the latter two None if none are wanted."""
DELAYS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
"""Seconds from each failed try to the next: after more than a day it is given up."""
LEASE_SECONDS = 20.0
"""How long who takes a message up may be at it; longer than a try takes."""
KEPT_SECONDS = 7 * 86_400.0
"""How long it can be seen what became of a message."""
MOST_CALLBACKS = 10_000
"""Answers that wait for the callback of one deployment."""
MOST_CALLBACK_BYTES = 64 * 2**20
"""Of large ones there are fewer: as many as make so many bytes, were all as large as the one that comes."""
GONE = 410
_JOBS: dict[str, dict[str, str]] = {
    "batch": {state: f"batch.{state}" for state in ("completed", "failed", "cancelled", "expired")},
    "ft": {
        "completed": "fine_tuning.job.succeeded",
        "failed": "fine_tuning.job.failed",
        # OpenAI has no word for a fine-tune that took too long.
        "expired": "fine_tuning.job.failed",
        "cancelled": "fine_tuning.job.cancelled",
    },
}
_DEPLOYMENTS = frozenset({"created", "updated", "ready", "asleep", "failed", "stopped", "deleted"})


def tell_of_job(session: WriteSession, job: JobRow, kind: str, now: float) -> None:
    """In the transaction that ends the job. What no webhook is for is passed over."""
    event = _JOBS.get(job.kind, {}).get(kind)
    if event is not None:
        _tell(session, job.project, event, {"id": job.id}, now)


def tell_of_deployment(session: WriteSession, row: DeploymentRow, kind: str, now: float) -> None:
    """In the transaction that changes it. What no webhook is for is passed over."""
    if kind in _DEPLOYMENTS:
        status = kind if kind == "deleted" else row.status
        # What engines say of the machine is for whoever runs it, as to the models of the command line.
        reason = "" if row.origin == COMMANDED else row.reason
        data = {"id": row.id, "name": row.name, "model": row.model, "status": status, "reason": reason}
        _tell(session, row.project, f"deployment.{kind}", data, now)


def body_of(event_id: str, event: str, data: JSON, now: float) -> bytes:
    """An event as OpenAI's webhooks have it."""
    return orjson.dumps(
        {"object": "event", "id": event_id, "type": event, "created_at": int(now), "data": data}
    )


def new_event_id() -> str:
    return f"evt_{secrets.token_hex(16)}"


def matches(events: Sequence[str], event: str) -> bool:
    return any(
        one == event or (one.endswith("*") and event.startswith(one.removesuffix("*"))) for one in events
    )


def call_back(
    session: WriteSession, project: str, deployment_id: str, request_id: str, body: bytes, now: float
) -> bool:
    """Puts an answer down for the callback of its deployment. False if too many wait already, or it is too
    large.
    """
    waiting = select(DeliveryRow.id).where(
        DeliveryRow.finished_at.is_(None), DeliveryRow.target == deployment_id
    )
    # To add up what waits would take long, and hundreds may come in a second.
    most = min(MOST_CALLBACKS, MOST_CALLBACK_BYTES // len(body))
    if not most or session.scalar(waiting.offset(most - 1).limit(1)) is not None:
        return False
    if not signatures.project_secret(session, project):
        signatures.renew_project_secret(session, project)
    session.add(_delivery(project, deployment_id, request_id, CALLBACK, body, now))
    return True


@dataclass(frozen=True)
class Message:
    """One that somebody has taken up.

    Attributes:
        user, password: for HTTP Basic; None without.
    """

    id: str
    project: str
    target: str
    event_id: str
    body: bytes
    fence: int
    url: str
    secret: str = field(repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Outcome:
    """What came of a try.

    Attributes:
        status: what the receiver answered; 0 if nothing.
        error: empty if it is delivered.
    """

    status: int
    error: str = ""


@dataclass(frozen=True)
class Room:
    """How many messages one process may have on their way at once.

    Attributes:
        busy: those that are, by project and target.
    """

    in_all: int
    of_project: int
    of_target: int
    busy: Counter[tuple[str, str]] = field(default_factory=Counter)


def is_due(session: Session, now: float) -> bool:
    """Whether there is something to be taken up, by whoever has room for it."""
    return any(next_at <= now for _, _, next_at in _targets(session))


def claim(session: WriteSession, now: float, room: Room) -> list[Message]:
    """What is to be sent now, taken up for `LEASE_SECONDS`.

    Who is slow to take messages has a share of the room and no more, and nobody's always come first.
    """
    due = [(project, target) for project, target, next_at in _targets(session) if next_at <= now]
    random.shuffle(due)
    of_project: Counter[str] = Counter()
    for (project, _), count in room.busy.items():
        of_project[project] += count
    left = room.in_all - room.busy.total()
    found: list[Message] = []
    for project, target in due:
        most = min(left, room.of_project - of_project[project], room.of_target - room.busy[project, target])
        if most > 0:
            taken = _take(session, project, target, most, now)
            found += taken
            left -= len(taken)
            of_project[project] += len(taken)
    return found


def settle(session: WriteSession, message: Message, outcome: Outcome, now: float) -> int:
    """Notes what came of a try. Does nothing if somebody else has taken it up meanwhile, or it is gone.

    Returns:
        How many messages are given up for it.
    """
    row = session.get(DeliveryRow, message.id, with_for_update=True)
    if row is None or row.fence != message.fence or row.finished_at is not None:
        return 0
    given_up = 0
    row.attempts += 1
    row.status, row.error = outcome.status, outcome.error
    if not outcome.error:
        _finish(session, row, "delivered", now)
    elif row.attempts > len(DELAYS) or outcome.status == GONE:
        _finish(session, row, "failed", now)
        given_up = 1
    else:
        row.next_at = now + DELAYS[row.attempts - 1]
    hook = session.get(WebhookRow, row.target, with_for_update=True)
    if hook is None:
        return given_up
    note(hook, outcome, now)
    if outcome.status == GONE and hook.enabled:
        hook.enabled, hook.reason = False, "it answered 410 Gone"
        given_up += drop(session, hook.id, "the webhook was disabled", now)
    return given_up


def note(hook: WebhookRow, outcome: Outcome, now: float) -> None:
    """On the webhook, for its owner."""
    hook.last_at, hook.last_status, hook.last_error = now, outcome.status, outcome.error
    hook.failing_since = (hook.failing_since or now) if outcome.error else None


def drop(session: WriteSession, target: str, why: str, now: float) -> int:
    """Gives up all that waits for it. Returns how many messages that is."""
    waiting = update(DeliveryRow).where(DeliveryRow.finished_at.is_(None), DeliveryRow.target == target)
    given_up = session.execute(waiting.values(state="failed", error=why, finished_at=now))
    return int(given_up.rowcount)  # type: ignore[attr-defined]


async def sweep(platform: Platform) -> None:
    """Forgets messages that were over long ago.

    Raises:
        StoreFailed: the store is not to be had.
    """
    long_ago = time.time() - KEPT_SECONDS
    await platform.store.write(
        lambda session: session.execute(delete(DeliveryRow).where(DeliveryRow.finished_at < long_ago))
    )


def _targets(session: Session) -> Iterator[tuple[str, str, float]]:
    """(project, target, when) of the first message of each target, by steps along the index: of a million
    that wait for one of them none but the first is looked at.
    """
    first = select(DeliveryRow.project, DeliveryRow.target, DeliveryRow.next_at).where(
        DeliveryRow.finished_at.is_(None)
    )
    first = first.order_by(DeliveryRow.target, DeliveryRow.next_at).limit(1)
    last = ""
    while (found := session.execute(first.where(DeliveryRow.target > last)).first()) is not None:
        yield found[0], found[1], found[2]
        last = found[1]


def _take(session: WriteSession, project: str, target: str, most: int, now: float) -> list[Message]:
    query = select(DeliveryRow).where(
        DeliveryRow.finished_at.is_(None), DeliveryRow.target == target, DeliveryRow.next_at <= now
    )
    query = query.order_by(DeliveryRow.next_at).limit(most).with_for_update(skip_locked=True)
    rows = list(session.scalars(query))
    way = _way(session, project, target)
    found = []
    for row in rows:
        row.fence += 1
        if way is None:
            row.error = "there is nothing to send it to any more"
            _finish(session, row, "failed", now)
            continue
        row.next_at = now + LEASE_SECONDS
        found.append(Message(row.id, row.project, target, row.event_id, row.body, row.fence, **way))
    return found


def _way(session: Session, project: str, target: str) -> JSON | None:
    """Where the messages of a target go, and how; None if nowhere any more."""
    hook = session.get(WebhookRow, target)
    if hook is not None:
        return {"url": hook.url, "secret": hook.secret} if hook.enabled else None
    deployment = session.get(DeploymentRow, target)
    wanted = deployment.details.get(CALLBACK) if deployment is not None else None
    if not wanted:
        return None
    return {
        "url": wanted["url"],
        "secret": signatures.project_secret(session, project),
        "user": wanted["username"],
        "password": wanted["password"],
    }


def _finish(session: WriteSession, row: DeliveryRow, state: str, now: float) -> None:
    if row.type == CALLBACK:
        # Nobody asks after it, and there may be hundreds in a second.
        session.delete(row)
    else:
        row.state, row.finished_at = state, now


def _tell(session: WriteSession, project: str, event: str, data: JSON, now: float) -> None:
    hooks = select(WebhookRow).where(WebhookRow.project == project, WebhookRow.enabled)
    wanting = [hook for hook in session.scalars(hooks) if matches(hook.events, event)]
    if wanting:
        event_id = new_event_id()
        body = body_of(event_id, event, data, now)
        session.add_all(_delivery(project, hook.id, event_id, event, body, now) for hook in wanting)


def _delivery(project: str, target: str, event_id: str, event: str, body: bytes, now: float) -> DeliveryRow:
    return DeliveryRow(
        id=f"whd_{secrets.token_hex(12)}",
        project=project,
        target=target,
        event_id=event_id,
        type=event,
        body=body,
        next_at=now,
        created_at=now,
    )
