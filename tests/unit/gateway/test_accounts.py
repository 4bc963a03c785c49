from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paddock.errors import RateLimited
from paddock.gateway.accounts import Accounts, admit
from paddock.gateway.http import Request
from paddock.gateway.keyring import ChangedKeys, Keyring
from paddock.gateway.limit_lanes import Lane
from paddock.gateway.metrics import Metrics
from paddock.gateway.nobody import unsent
from paddock.inference.deployment import Deployment
from paddock.main.platforms import open_platform
from paddock.schemas.limits import Limits
from paddock.services.keys import Key
from paddock.services.projects import Project
from paddock.settings import Settings
from tests.sqlite import ledger_in, store_in

PLENTY = Limits(requests_per_minute=100_000)
FOAL = Deployment("foal", "attached", "foal")


class Case:
    """Requests of a key whose limits change."""

    def __init__(self, accounts: Accounts, keyring: Keyring) -> None:
        self.accounts = accounts
        self._keyring = keyring
        self.key = self.limit(PLENTY)

    def limit(self, limits: Limits) -> Key:
        key = Key("key-1", "team", name="ci", limits=limits)
        self._keyring.follow(ChangedKeys([(key, "digest", "")], []))
        return key

    def limit_project(self, limits: Limits) -> None:
        self._keyring.follow(ChangedKeys([], [Project("team", limits, 0.0)]))

    async def begin(self, key: Key, most: int | None = 10, deployment: Deployment = FOAL) -> Request:
        request = unsent("/v1/chat/completions")
        request.key, request.accounts = key, self.accounts
        await admit(request, deployment, most)
        return request

    async def ask(self, key: Key, deployment: Deployment = FOAL) -> Request:
        request = await self.begin(key, deployment=deployment)
        self.accounts.settle([(request, 0.1)])
        return request


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    store_in(tmp_path).close()
    ledger_in(tmp_path).close()
    platform = open_platform(Settings(data_dir=tmp_path), (), ())
    keyring = Keyring(True)
    accounts = Accounts(platform, keyring, "me", Metrics(lambda: ()))
    yield Case(accounts, keyring)
    await accounts.close()
    platform.close()


class TestAdmit:
    async def test_what_its_key_may_now_counts_for_a_request_that_came_before(self, case: Case) -> None:
        before = case.key
        await case.ask(before)
        after = case.limit(Limits(requests_per_minute=3))
        for key in (before, after):
            await case.ask(key)
        for key in (before, after):
            with pytest.raises(RateLimited, match="3 requests per minute of key 'ci'"):
                await case.ask(key)
        case.limit(PLENTY)
        assert (await case.ask(before)).hold is not None

    async def test_limits_come_and_go(self, case: Case) -> None:
        case.limit(Limits())
        assert (await case.ask(case.key)).hold is None
        case.limit_project(Limits(requests_per_minute=1))
        assert (await case.ask(case.key)).hold is not None
        with pytest.raises(RateLimited, match="of project 'team'"):
            await case.ask(case.key)
        case.limit_project(Limits())
        assert (await case.ask(case.key)).hold is None

    async def test_who_comes_back_after_long_meets_the_same_limits(self, case: Case) -> None:
        case.limit(Limits(requests_per_minute=2, budget=10**9))
        bill = (await case.ask(case.key)).bill
        assert bill is not None
        bill.plan.forgotten = True
        assert (await case.ask(case.key)).hold is not None
        with pytest.raises(RateLimited, match="2 requests per minute"):
            await case.ask(case.key)

    async def test_what_a_deployment_serves_may_change(self, case: Case) -> None:
        deployment = Deployment("stable", "attached", "foal", model="foal")
        seen = []
        for model in ("foal", "mare", "mare"):
            deployment.model = model
            request = await case.ask(case.key, deployment)
            assert request.bill is not None
            seen.append(request.bill.answered.model)
        assert seen == ["foal", "mare", "mare"]

    async def test_who_needs_no_more_than_the_last_one_asks_nobody(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case.limit(Limits(10**6, 10**9, 10**5, 10**15))
        for _ in range(2):  # the first one comes by no lane yet
            last = await case.ask(case.key)
        assert isinstance(last.hold, Lane)
        asked: list[int] = []
        monkeypatch.setattr(Accounts, "_by_limits", lambda *_: asked.append(1))
        assert (await case.ask(case.key)).hold is last.hold
        assert not asked
        last.hold.plan.give_back()
        assert (await case.ask(case.key)).hold is None
        assert asked


class TestSettle:
    async def test_each_has_what_it_needs_and_leaves_nothing(self, case: Case) -> None:
        case.limit(Limits(10**6, 10**9, 10**5, 10**15))
        over = [(await case.begin(case.key, most), 0.1) for most in (10, 10, 5000, 10, None, 5000, 10, 10)]
        plan = over[0][0].bill.plan  # type: ignore[union-attr]
        case.accounts.settle(over)
        plan.give_back()
        assert [lease.used for lease in (*plan.concurrent, *plan.budgets)] == [0, 0]

    async def test_one_that_fails_keeps_nobody_else_from_it(
        self, case: Case, caplog: pytest.LogCaptureFixture
    ) -> None:
        good, bad = [await case.ask(case.key) for _ in range(2)]
        waiting = case.accounts.ledger.waiting
        del bad.record.prompt_tokens
        case.accounts.settle([(bad, 0.1), (good, 0.1)])
        assert case.accounts.ledger.waiting == waiting + 1
        assert f"request {bad.id} is not accounted for" in caplog.text
