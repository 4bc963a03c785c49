"""Messages to webhooks, from the event to the receiver."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.control.webhooks.delivering import Delivering
from paddock.errors import Conflict, InvalidRequest, NotFound
from paddock.schemas.webhooks import CreateWebhook, UpdateWebhook, WebhookWithSecret
from paddock.services import events, jobs, work
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform
from paddock.services.webhooks import hooks, outbox, sending, signatures
from paddock.services.webhooks.outbox import CALLBACK, DELAYS, Message, Outcome, Room
from paddock.services.work import Ending
from paddock.store.sessions import ChangeSession, Store, WriteSession
from paddock.store.webhook_tables import DeliveryRow
from tests.receiver import Receiver, receiving
from tests.store.fakes import platform_of
from tests.store.posts import post, take
from tests.store.rows import add_deployment

URL = "http://127.0.0.1:9/hook"
ROOM = Room(100, 100, 100)
NOW = 1000.0
SECONDS = 10.0


@pytest.fixture
def platform(store: Store, tmp_path: Path) -> Platform:
    return platform_of(store, tmp_path, allow_private_urls=True)


async def hook(platform: Platform, *kinds: str, url: str = URL, project: str = LOCAL) -> WebhookWithSecret:
    return await hooks.create(platform, project, CreateWebhook(url=url, events=list(kinds) or ["*"]))


async def rows(platform: Platform) -> list[DeliveryRow]:
    """All deliveries, the oldest first."""

    def read(session: Session) -> list[DeliveryRow]:
        found = list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.created_at, DeliveryRow.id)))
        session.expunge_all()
        return found

    return await platform.store.read(read)


async def told(platform: Platform) -> list[tuple[str, str]]:
    return [(row.target, row.type) for row in await rows(platform)]


async def claim(platform: Platform, now: float, room: Room = ROOM) -> list[Message]:
    return await platform.store.write(lambda session: outbox.claim(session, now, room))


async def settle(platform: Platform, message: Message, outcome: Outcome, now: float) -> int:
    return await platform.store.write(lambda session: outbox.settle(session, message, outcome, now))


async def put(platform: Platform, target: str, count: int = 1, project: str = LOCAL, at: float = NOW) -> None:
    """Messages that are due from `at` on."""

    def write(session: WriteSession) -> None:
        for number in range(count):
            row = outbox._delivery(project, target, f"evt_{target}_{number}", "batch.failed", b"{}", at)
            session.add(row)

    await platform.store.write(write)


@contextlib.asynccontextmanager
async def delivering(platform: Platform) -> AsyncIterator[Delivering]:
    made = Delivering(platform)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def came(receiver: Receiver, count: int = 1) -> None:
    async def enough() -> bool:
        return len(receiver.received) >= count

    await until(enough)


class TestTelling:
    async def test_the_end_of_a_batch_is_for_who_wants_it(self, platform: Platform) -> None:
        every, batches = await hook(platform), await hook(platform, "batch.*")
        await hook(platform, "fine_tuning.job.*", "deployment.*")
        await hook(platform, project="another")
        await post(platform)
        held = await take(platform)
        assert await told(platform) == []
        await platform.store.change(lambda session: work.end(session, held, Ending("completed"), NOW))
        found = await rows(platform)
        assert {(row.target, row.type) for row in found} == {
            (every.id, "batch.completed"),
            (batches.id, "batch.completed"),
        }
        assert len({row.event_id for row in found}) == 1
        assert json.loads(found[0].body) == {
            "object": "event",
            "id": found[0].event_id,
            "type": "batch.completed",
            "created_at": 1000,
            "data": {"id": held.id},
        }

    @pytest.mark.parametrize(
        ("kind", "state", "event"),
        [
            ("batch", "failed", "batch.failed"),
            ("batch", "expired", "batch.expired"),
            ("ft", "completed", "fine_tuning.job.succeeded"),
            ("ft", "expired", "fine_tuning.job.failed"),
            ("ft", "cancelled", "fine_tuning.job.cancelled"),
        ],
    )
    async def test_each_end_has_its_name(self, platform: Platform, kind: str, state: str, event: str) -> None:
        made = await hook(platform)
        job = await post(platform, kind=kind, id=jobs.new_id(kind))

        def end(session: ChangeSession) -> None:
            row = jobs.find(session, LOCAL, job.id)
            events.record_job(session, row, state, "", NOW)

        await platform.store.change(end)
        assert await told(platform) == [(made.id, event)]

    async def test_deployments(self, platform: Platform) -> None:
        made = await hook(platform, "deployment.ready", "deployment.deleted")

        def live(session: ChangeSession) -> None:
            row = add_deployment(session, "foal", status="ready")
            for kind in ("created", "starting", "ready", "replica_ready", "deleting", "deleted"):
                events.record(session, row, kind, "", NOW)

        await platform.store.change(live)
        bodies = {row.type: json.loads(row.body) for row in await rows(platform)}
        assert {row.target for row in await rows(platform)} == {made.id}
        assert bodies.keys() == {"deployment.ready", "deployment.deleted"}
        assert bodies["deployment.deleted"]["data"]["status"] == "deleted"
        assert bodies["deployment.ready"]["data"] == {
            "id": "dep-foal",
            "name": "foal",
            "model": "paddock/foal",
            "status": "ready",
            "reason": "",
        }

    async def test_what_did_not_happen_is_not_told(self, platform: Platform) -> None:
        await hook(platform)

        def fail(session: ChangeSession) -> None:
            row = add_deployment(session, "foal")
            events.record(session, row, "created", "", NOW)
            raise NotFound("in the end it could not be")

        with pytest.raises(NotFound):
            await platform.store.change(fail)
        assert await told(platform) == []


class TestTries:
    async def test_come_later_and_later_and_end(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id)
        now = NOW
        for number, delay in enumerate((*DELAYS, None)):
            (message,) = await claim(platform, now)
            assert await claim(platform, now) == []
            given_up = await settle(platform, message, Outcome(500, "it answered 500"), now)
            assert given_up == (delay is None)
            (row,) = await rows(platform)
            assert (row.attempts, row.status, row.error) == (number + 1, 500, "it answered 500")
            if delay is None:
                assert (row.state, row.finished_at) == ("failed", now)
                break
            assert (row.state, row.next_at) == ("waiting", now + delay)
            assert await claim(platform, now + delay - 0.1) == []
            now += delay
        assert now - NOW > 86_400
        assert await claim(platform, now + 10**6) == []
        found = await hooks.get(platform, LOCAL, made.id)
        assert (found.failing_since, found.last_status, found.last_at) == (NOW, 500, now)
        assert found.deliveries[0].state == "failed"

    async def test_one_that_is_there_is_over(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id, 2)
        one, other = await claim(platform, NOW)
        await settle(platform, one, Outcome(0, "the connection failed"), NOW)
        await settle(platform, other, Outcome(204), NOW)
        found = await hooks.get(platform, LOCAL, made.id)
        assert (found.failing_since, found.last_error) == (None, "")
        assert sorted(one.state for one in found.deliveries) == ["delivered", "waiting"]

    async def test_who_dies_at_it_is_followed_by_another(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id)
        (first,) = await claim(platform, NOW)
        assert await claim(platform, NOW + outbox.LEASE_SECONDS - 1) == []
        (second,) = await claim(platform, NOW + outbox.LEASE_SECONDS)
        assert (second.id, second.event_id, second.body) == (first.id, first.event_id, first.body)
        assert await settle(platform, first, Outcome(410, "it answered 410"), NOW + 100) == 0
        assert (await rows(platform))[0].attempts == 0
        await settle(platform, second, Outcome(200), NOW + 100)
        assert (await rows(platform))[0].state == "delivered"

    async def test_gone_means_gone(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id, 3)
        first, *_ = await claim(platform, NOW, Room(1, 1, 1))
        assert await settle(platform, first, Outcome(410, "it answered 410"), NOW) == 3
        found = await hooks.get(platform, LOCAL, made.id)
        assert (found.enabled, found.reason) == (False, "it answered 410 Gone")
        assert [one.state for one in found.deliveries] == ["failed"] * 3
        await post(platform)
        held = await take(platform)
        await platform.store.change(lambda session: work.end(session, held, Ending("failed"), NOW))
        assert len(await rows(platform)) == 3

    async def test_what_nobody_wants_any_more_is_given_up(self, platform: Platform) -> None:
        await put(platform, "wh_of_nobody")
        assert await claim(platform, NOW) == []
        assert (await rows(platform))[0].state == "failed"

    async def test_who_is_slow_takes_no_others_room(self, platform: Platform) -> None:
        slow, beside = await hook(platform), await hook(platform)
        another = await hook(platform, project="another")
        await put(platform, slow.id, 20, at=NOW - 50)
        await put(platform, beside.id, 2)
        await put(platform, another.id, 2, project="another")
        first = Counter(one.target for one in await claim(platform, NOW, Room(9, 6, 4)))
        assert first[slow.id] <= 4
        assert first[slow.id] + first[beside.id] <= 6
        assert first[another.id] == 2
        busy = Counter({(LOCAL, slow.id): 4})
        assert slow.id not in {one.target for one in await claim(platform, NOW, Room(9, 6, 4, busy))}
        assert await claim(platform, NOW, Room(4, 6, 4, busy)) == []

    async def test_long_ago_is_forgotten(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id, 2)
        one, other = await claim(platform, NOW)
        await settle(platform, one, Outcome(200), NOW)
        await settle(platform, other, Outcome(500, "no"), NOW)
        await outbox.sweep(platform)
        assert [row.state for row in await rows(platform)] == ["waiting"]


TO = {"url": URL, "username": "u", "password": "p"}


class TestCallbacks:
    async def deploy(self, platform: Platform, **values: Any) -> None:
        await platform.store.change(lambda session: add_deployment(session, "foal", **values) and None)

    async def put(self, platform: Platform, request_id: str, body: bytes = b"{}") -> bool:
        return await platform.store.write(
            lambda session: outbox.call_back(session, LOCAL, "dep-foal", request_id, body, NOW)
        )

    async def test_go_where_the_deployment_says(self, platform: Platform) -> None:
        await self.deploy(platform, details={CALLBACK: TO})
        assert await self.put(platform, "req")
        (message,) = await claim(platform, NOW)
        assert (message.url, message.user, message.password) == (URL, "u", "p")
        assert message.secret == await hooks.project_secret(platform, LOCAL)
        assert "p'" not in repr(message)
        assert message.secret not in repr(message)
        await settle(platform, message, Outcome(200), NOW)
        assert await rows(platform) == []

    async def test_a_new_secret_signs_from_then_on(self, platform: Platform) -> None:
        await self.deploy(platform, details={CALLBACK: TO})
        before = await hooks.project_secret(platform, LOCAL)
        after = await hooks.renew_project_secret(platform, LOCAL)
        assert before != after == await hooks.project_secret(platform, LOCAL)
        assert await hooks.project_secret(platform, "another") != after
        await self.put(platform, "req")
        assert (await claim(platform, NOW))[0].secret == after

    async def test_there_are_not_too_many(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox, "MOST_CALLBACKS", 2)
        assert [await self.put(platform, str(number)) for number in range(3)] == [True, True, False]

    async def test_of_large_ones_there_are_fewer(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "MOST_CALLBACK_BYTES", 1000)
        bodies = [b"x" * size for size in (400, 400, 400, 300, 1001)]
        kept = [await self.put(platform, str(number), body) for number, body in enumerate(bodies)]
        assert kept == [True, True, False, True, False]

    async def test_without_an_address_they_are_given_up(self, platform: Platform) -> None:
        await self.deploy(platform)
        await self.put(platform, "req")
        assert await claim(platform, NOW) == []
        assert await rows(platform) == []

    async def test_those_that_nobody_took_are_not_kept(self, platform: Platform) -> None:
        await self.deploy(platform, details={CALLBACK: TO})
        await self.put(platform, "req")
        (message,) = await claim(platform, NOW)
        await settle(platform, message, Outcome(410, "it answered 410"), NOW)
        assert await rows(platform) == []


class TestVerbs:
    async def test_the_secret_is_shown_once(self, platform: Platform) -> None:
        secret = signatures.new_secret()
        asked = CreateWebhook(url=URL, events=["batch.*"], name="mine", secret=secret)
        made = await hooks.create(platform, LOCAL, asked)
        assert made.secret == secret
        (found,) = await hooks.list_all(platform, LOCAL)
        assert "secret" not in found.model_dump()
        assert (found.id, found.name, found.events, found.enabled) == (made.id, "mine", ["batch.*"], True)

    @pytest.mark.parametrize(
        ("fields", "param", "said"),
        [
            ({"url": "ftp://example.com"}, "url", "such as https://"),
            ({"url": "https://u:p@example.com"}, "url", "no name or password"),
            ({"url": "https://nowhere.invalid/"}, "url", "there is no host"),
            ({"events": ["batch.done"]}, "events", "batch.completed"),
            ({"events": ["other.*"]}, "events", "batch.*"),
            ({"events": ["batch*"]}, "events", "batch.*"),
            ({"secret": "short"}, "secret", "24 to 64 bytes"),
            ({"name": "a\nb"}, "name", "cannot be shown"),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, platform: Platform, fields: dict[str, Any], param: str, said: str
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            await hooks.create(platform, LOCAL, CreateWebhook(**{"url": URL, "events": ["*"], **fields}))
        assert caught.value.param == param
        assert said in caught.value.message

    @pytest.mark.parametrize(
        "address",
        ["https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1:8443/", "https://169.254.169.254/"],
    )
    async def test_private_addresses_are_for_operators_who_allow_them(
        self, store: Store, tmp_path: Path, address: str
    ) -> None:
        closed = platform_of(store, tmp_path)
        with pytest.raises(InvalidRequest, match="allow_private_urls") as caught:
            await hook(closed, url=address)
        assert (caught.value.param, caught.value.code) == ("url", "address_not_allowed")
        with pytest.raises(InvalidRequest, match="must begin with https://"):
            await hook(closed, url="http://example.com/")

    async def test_nobody_sees_anothers(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id)
        (delivery,) = (await hooks.get(platform, LOCAL, made.id)).deliveries
        assert await hooks.list_all(platform, "another") == []
        for attempt in (
            hooks.get(platform, "another", made.id),
            hooks.update(platform, "another", made.id, UpdateWebhook(name="x")),
            hooks.update(platform, "another", made.id, UpdateWebhook(url="ftp://x")),
            hooks.remove(platform, "another", made.id),
            hooks.test(platform, "another", made.id),
            hooks.retry(platform, "another", made.id, delivery.id),
            hooks.get(platform, LOCAL, "wh_\0"),
            hooks.retry(platform, LOCAL, made.id, "whd_\0"),
        ):
            with pytest.raises(NotFound):
                await attempt

    async def test_changes(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id)
        with pytest.raises(InvalidRequest, match="nothing is given"):
            await hooks.update(platform, LOCAL, made.id, UpdateWebhook())
        with pytest.raises(InvalidRequest, match="events"):
            await hooks.update(platform, LOCAL, made.id, UpdateWebhook(events=["x"]))
        changed = await hooks.update(platform, LOCAL, made.id, UpdateWebhook(url=f"{URL}2", name="b"))
        assert (changed.url, changed.name, changed.events) == (f"{URL}2", "b", ["*"])
        assert [one.url for one in await claim(platform, NOW)] == [f"{URL}2"]
        off = await hooks.update(platform, LOCAL, made.id, UpdateWebhook(enabled=False))
        assert not off.enabled
        found = await hooks.get(platform, LOCAL, made.id)
        assert [one.state for one in found.deliveries] == ["failed"]
        with pytest.raises(Conflict, match="enable it first"):
            await hooks.retry(platform, LOCAL, made.id, found.deliveries[0].id)

    async def test_one_is_sent_again(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id)
        (message,) = await claim(platform, NOW)
        await settle(platform, message, Outcome(200), NOW)
        again = await hooks.retry(platform, LOCAL, made.id, message.id)
        assert (again.state, again.attempts, again.finished_at) == ("waiting", 0, None)
        (second,) = await claim(platform, time.time())
        assert second.event_id == message.event_id

    async def test_removal_takes_everything_along(self, platform: Platform) -> None:
        made = await hook(platform)
        await put(platform, made.id)
        (message,) = await claim(platform, NOW)
        await hooks.remove(platform, LOCAL, made.id)
        await settle(platform, message, Outcome(200), NOW)
        assert await rows(platform) == []
        assert await hooks.list_all(platform, LOCAL) == []

    async def test_not_more_than_so_many(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hooks, "MOST", 1)
        await hook(platform)
        with pytest.raises(Conflict, match="delete one"):
            await hook(platform)
        await hook(platform, project="another")


class TestDelivering:
    async def test_signed_tried_again_and_once_by_all(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "DELAYS", (0.02, 0.02, 0.02))
        with receiving(500, 302) as receiver:
            made = await hook(platform, url=f"{receiver.url}/a?b=c")
            await put(platform, made.id, 12)

            async def are_there() -> bool:
                return all(row.state == "delivered" for row in await rows(platform))

            async with delivering(platform) as one, delivering(platform) as other:
                await until(are_there)
        assert (one.delivered + other.delivered, one.failed + other.failed) == (12, 2)
        assert one.given_up + other.given_up == 0
        ids = Counter(one.headers["webhook-id"] for one in receiver.received)
        assert len(ids) == 12
        assert ids.total() == 14
        assert {one.path for one in receiver.received} == {"/a?b=c"}
        got = receiver.received[0]
        at = int(got.headers["webhook-timestamp"])
        assert abs(at - time.time()) < 60
        expected = dict(signatures.headers(made.secret, got.headers["webhook-id"], at, got.body))
        assert got.headers.items() >= expected.items()
        assert got.headers["content-type"] == "application/json"
        assert "authorization" not in got.headers

    async def test_a_slow_receiver_holds_up_nobody(self, platform: Platform) -> None:
        with receiving(seconds=1.5) as slow, receiving() as quick:
            await put(platform, (await hook(platform, url=slow.url)).id, 40)
            other = await hook(platform, url=quick.url, project="another")
            async with delivering(platform):
                await came(slow, 8)
                began = time.monotonic()
                await put(platform, other.id, project="another")
                await came(quick)
                assert time.monotonic() - began < 1.2
                assert len(slow.received) == 8

    async def test_what_is_given_up_is_counted(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "DELAYS", (0.02,))
        with receiving(500, 500) as receiver:
            await put(platform, (await hook(platform, url=receiver.url)).id)

            async def is_over() -> bool:
                return doing.given_up == 1

            async with delivering(platform) as doing:
                await until(is_over)
        assert (doing.delivered, doing.failed) == (0, 2)

    async def test_each_try_looks_where_it_goes(
        self, platform: Platform, store: Store, tmp_path: Path
    ) -> None:
        with receiving() as receiver:
            made = await hook(platform, url=receiver.url.replace("http:", "https:"))
            await put(platform, made.id)
            async with delivering(platform_of(store, tmp_path)):
                await until(lambda: self.tried(platform, made.id))
            found = await hooks.get(platform, LOCAL, made.id)
            assert "allow_private_urls" in found.last_error
            assert receiver.received == []

    async def tried(self, platform: Platform, identity: str) -> bool:
        return (await hooks.get(platform, LOCAL, identity)).last_at is not None


class TestSending:
    async def send(self, url: str, seconds: float = SECONDS) -> Outcome:
        message = Message("", LOCAL, "", "evt", b"{}", 1, url, signatures.new_secret(), "ü", "p:q")
        async with sending.new_pool(private=True) as pool:
            return await sending.send(pool, message, private=True, seconds=seconds)

    @pytest.mark.parametrize("status", [200, 204, 299])
    async def test_yes(self, status: int) -> None:
        with receiving(status) as receiver:
            assert await self.send(receiver.url) == Outcome(status)
            assert receiver.received[0].headers["authorization"] == "Basic w7w6cDpx"

    @pytest.mark.parametrize("status", [302, 400, 410, 503])
    async def test_no(self, status: int) -> None:
        with receiving(status) as receiver:
            assert await self.send(receiver.url) == Outcome(status, f"it answered {status}")
            assert [one.path for one in receiver.received] == ["/"]

    async def test_nobody_is_there(self) -> None:
        with receiving() as receiver:
            pass
        found = await self.send(receiver.url)
        assert (found.status, found.error.partition(":")[0]) == (0, "the connection failed")

    async def test_too_slow(self) -> None:
        with receiving(seconds=0.3) as receiver:
            assert await self.send(receiver.url, 0.1) == Outcome(0, "it did not answer within 0.1 s")


class TestTest:
    async def test_says_what_came_of_it(self, platform: Platform) -> None:
        with receiving(204, 500) as receiver:
            made = await hook(platform, url=receiver.url)
            found = await hooks.test(platform, LOCAL, made.id)
            assert (found.delivered, found.status, found.error) == (True, 204, "")
            body = json.loads(receiver.received[0].body)
            assert (body["type"], body["data"]) == ("webhook.test", {"id": made.id})
            assert receiver.received[0].headers["webhook-id"] == found.event == body["id"]
            second = await hooks.test(platform, LOCAL, made.id)
            assert (second.delivered, second.status, second.error) == (False, 500, "it answered 500")
            assert (await hooks.get(platform, LOCAL, made.id)).last_error == "it answered 500"
