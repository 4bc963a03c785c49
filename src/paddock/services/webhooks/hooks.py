"""The verbs on webhooks: what a project's people want to be told, and where."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from paddock.errors import Conflict, InvalidRequest, NotFound
from paddock.schemas.webhooks import (
    EVENTS,
    CreateWebhook,
    Delivery,
    TestResult,
    UpdateWebhook,
    Webhook,
    WebhookWithDeliveries,
    WebhookWithSecret,
)
from paddock.services import addresses
from paddock.services.platform import Platform, in_thread
from paddock.services.webhooks import outbox, signatures
from paddock.services.webhooks.outbox import Message, Outcome
from paddock.store.sessions import WriteSession
from paddock.store.webhook_tables import DeliveryRow, WebhookRow

JSON = dict[str, Any]
MOST = 100
"""Webhooks of a project."""
SHOWN_DELIVERIES = 20
TEST = "webhook.test"
_ID = re.compile(r"wh_[0-9a-f]{24}")
_DELIVERY_ID = re.compile(r"whd_[0-9a-f]{24}")
_SHOWN = tuple(Webhook.model_fields)


async def check_url(platform: Platform, url: str, param: str) -> None:
    """Whether it may be called. It is looked at again, each time.

    Raises:
        InvalidRequest: it is no address, or one of a private network where the operator does not allow that.
    """
    private = platform.settings.allow_private_urls
    address = addresses.parse(url, param, private=private)
    await addresses.resolve(address.host, address.port, param, private=private)


async def create(platform: Platform, project: str, asked: CreateWebhook) -> WebhookWithSecret:
    """
    Raises:
        InvalidRequest: a field is wrong.
        Conflict: there are too many.
    """
    _check_events(asked.events)
    secret = signatures.new_secret()
    if asked.secret is not None:
        secret = signatures.check_secret(asked.secret, "secret")
    await check_url(platform, asked.url, "url")
    name = _check_name(asked.name)

    def work(session: WriteSession) -> WebhookWithSecret:
        count = select(func.count()).select_from(WebhookRow).where(WebhookRow.project == project)
        if (session.scalar(count) or 0) >= MOST:
            raise Conflict(
                f"there are {MOST} webhooks, which is the most; delete one", code="too_many_webhooks"
            )
        row = WebhookRow(
            id=f"wh_{secrets.token_hex(12)}",
            project=project,
            name=name,
            url=asked.url,
            events=asked.events,
            secret=secret,
            created_at=time.time(),
        )
        session.add(row)
        session.flush()
        return WebhookWithSecret(**_facts(row), secret=secret)

    return await platform.store.write(work)


async def list_all(platform: Platform, project: str) -> list[Webhook]:
    """The oldest first."""

    def work(session: Session) -> list[Webhook]:
        query = select(WebhookRow).where(WebhookRow.project == project)
        rows = session.scalars(query.order_by(WebhookRow.created_at, WebhookRow.id))
        return [Webhook(**_facts(row)) for row in rows]

    return await platform.store.read(work)


async def get(platform: Platform, project: str, identity: str) -> WebhookWithDeliveries:
    """
    Raises:
        NotFound: there is none, or it is another project's.
    """

    def work(session: Session) -> WebhookWithDeliveries:
        row = _find(session, project, identity)
        query = select(DeliveryRow).where(DeliveryRow.target == row.id)
        query = query.order_by(DeliveryRow.created_at.desc(), DeliveryRow.id).limit(SHOWN_DELIVERIES)
        return WebhookWithDeliveries(
            **_facts(row), deliveries=[_delivery(one) for one in session.scalars(query)]
        )

    return await platform.store.read(work)


async def update(platform: Platform, project: str, identity: str, asked: UpdateWebhook) -> Webhook:
    """Changes what is given. What is not delivered yet goes to the new address, or is given up with it.

    Raises:
        NotFound: as `get`.
        InvalidRequest: a field is wrong, or none is given.
    """
    given = {name: value for name, value in asked.model_dump(exclude_unset=True).items() if value is not None}
    if not given:
        names = ", ".join(UpdateWebhook.model_fields)
        raise InvalidRequest(f"nothing is given that would change; there is: {names}")
    _check_events(given.get("events", ["*"]))
    if "name" in given:
        given["name"] = _check_name(given["name"])
    if "url" in given:
        await platform.store.read(lambda session: _find(session, project, identity))
        await check_url(platform, given["url"], "url")

    def work(session: WriteSession) -> Webhook:
        row = _find(session, project, identity, lock=True)
        for name, value in given.items():
            setattr(row, name, value)
        if "enabled" in given:
            row.reason = ""
        if not row.enabled:
            outbox.drop(session, row.id, "the webhook was disabled", time.time())
        return Webhook(**_facts(row))

    return await platform.store.write(work)


async def remove(platform: Platform, project: str, identity: str) -> Webhook:
    """With all that is known of its deliveries; what waits is not sent.

    Raises:
        NotFound: as `get`.
    """

    def work(session: WriteSession) -> Webhook:
        row = _find(session, project, identity, lock=True)
        session.execute(delete(DeliveryRow).where(DeliveryRow.target == row.id))
        session.delete(row)
        return Webhook(**_facts(row))

    return await platform.store.write(work)


async def test(platform: Platform, project: str, identity: str) -> TestResult:
    """Sends an event of no meaning now, once, whether it is enabled or not.

    Raises:
        NotFound: as `get`.
    """
    began, at = time.perf_counter(), time.time()
    event_id = outbox.new_event_id()

    def read(session: Session) -> Message:
        row = _find(session, project, identity)
        body = outbox.body_of(event_id, TEST, {"id": row.id}, at)
        return Message("", project, row.id, event_id, body, 0, row.url, row.secret)

    message = await platform.store.read(read)
    outcome = await _send(message, private=platform.settings.allow_private_urls)

    def note(session: WriteSession) -> None:
        row = session.get(WebhookRow, message.target, with_for_update=True)
        if row is not None:
            outbox.note(row, outcome, time.time())

    await platform.store.write(note)
    return TestResult(
        delivered=not outcome.error,
        event=event_id,
        status=outcome.status,
        error=outcome.error,
        seconds=round(time.perf_counter() - began, 3),
    )


async def retry(platform: Platform, project: str, identity: str, delivery: str) -> Delivery:
    """Sends one again: that waits, now; that failed, from the beginning; and that is there, once more.

    Raises:
        NotFound: there is none.
        Conflict: the webhook is disabled.
    """

    def work(session: WriteSession) -> Delivery:
        hook = _find(session, project, identity)
        if not hook.enabled:
            raise Conflict(f"webhook {hook.id} is disabled: enable it first", code="webhook_disabled")
        row = None
        if _DELIVERY_ID.fullmatch(delivery):
            row = session.get(DeliveryRow, delivery, with_for_update=True)
        if row is None or row.target != hook.id:
            raise NotFound(f"there is no delivery {delivery[:140]!r}", code="delivery_not_found")
        row.state, row.finished_at, row.attempts = "waiting", None, 0
        row.next_at, row.fence = time.time(), row.fence + 1
        return _delivery(row)

    return await platform.store.write(work)


async def project_secret(platform: Platform, project: str) -> str:
    """What the callbacks of the project's deployments are signed with."""
    found = await platform.store.read(lambda session: signatures.project_secret(session, project))
    return found or await platform.store.write(
        lambda session: (
            signatures.project_secret(session, project) or signatures.renew_project_secret(session, project)
        )
    )


async def renew_project_secret(platform: Platform, project: str) -> str:
    """Another one: what is sent from now on is signed with it."""
    return await platform.store.write(lambda session: signatures.renew_project_secret(session, project))


async def _send(message: Message, *, private: bool) -> Outcome:
    # The gateway sends nothing but tests, and starts without what sending takes.
    from paddock.services.webhooks import sending

    async with await in_thread(lambda: sending.new_pool(private=private)) as pool:
        return await sending.send(pool, message, private=private)


def _find(session: Session, project: str, identity: str, *, lock: bool = False) -> WebhookRow:
    # What no id looks like may be what no database takes.
    row = session.get(WebhookRow, identity, with_for_update=lock) if _ID.fullmatch(identity) else None
    if row is None or row.project != project:
        raise NotFound(f"there is no webhook {identity[:140]!r}", code="webhook_not_found")
    return row


def _facts(row: WebhookRow) -> JSON:
    return {name: getattr(row, name) for name in _SHOWN}


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        event=row.event_id,
        type=row.type,
        state=row.state,  # type: ignore[arg-type]  # no other is written
        attempts=row.attempts,
        next_at=row.next_at if row.finished_at is None else None,
        status=row.status,
        error=row.error,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _check_events(events: list[str]) -> None:
    for one in events:
        # A star stands at the end of a whole word, or alone.
        is_pattern = one == "*" or one.endswith(".*")
        if not (any(outbox.matches([one], event) for event in EVENTS) if is_pattern else one in EVENTS):
            raise InvalidRequest(
                f"events: {one[:60]!r} is none; there are {', '.join(EVENTS)}, and patterns: batch.*, *",
                param="events",
            )


def _check_name(name: str) -> str:
    if name and not name.isprintable():
        raise InvalidRequest("name must have no characters that cannot be shown", param="name")
    return name
