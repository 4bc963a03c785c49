from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from paddock.gateway.ledger import LedgerWriter
from paddock.gateway.own.usage import seen_by
from paddock.schemas.usage import Series
from paddock.services.keys import ADMIN, INFERENCE, MANAGE, Key
from paddock.services.usage import clearing
from paddock.services.usage.query import Question
from tests.api.own import OwnApi, serving_own

NOVEMBER = datetime(2024, 11, 28, 14, 30, tzinfo=UTC).timestamp()
ASKED = "start=2024-11-01&end=2024-12-01"


def use(writer: LedgerWriter, at: float, key: str, tokens: int) -> None:
    series = Series("local", key, "paddock/foal", "", "foal", "", "ok", 200, streamed=True)
    writer.entries.add(series, ("id", at, tokens, 1, 2, 0.1, 0.01, 5 * 10**8))


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnApi]:
    async with serving_own(tmp_path) as found:
        writer = LedgerWriter(found.platform.ledger)
        for at, key, tokens in ((NOVEMBER, "key-1", 10), (NOVEMBER + 3600, "key-1", 20), (NOVEMBER, "", 40)):
            use(writer, at, key, tokens)
        yield found


class TestUsage:
    async def test_groups_and_their_total_are_current(self, own: OwnApi) -> None:
        found = (await own.client.get(f"/api/v1/usage?group_by=key,model,day&{ASKED}")).json()
        shared = {"model": "paddock/foal", "day": "2024-11-28"}
        assert found["data"] == [
            {
                "key": None,
                **shared,
                "requests": 1,
                "prompt_tokens": 40,
                "cached_tokens": 1,
                "completion_tokens": 2,
                "cost": {"amount": 0.5, "currency": "EUR"},
                "instance_seconds": 0,
            },
            {
                "key": "key-1",
                **shared,
                "requests": 2,
                "prompt_tokens": 30,
                "cached_tokens": 2,
                "completion_tokens": 4,
                "cost": {"amount": 1.0, "currency": "EUR"},
                "instance_seconds": 0,
            },
        ]
        assert found["total"] == {
            "requests": 3,
            "prompt_tokens": 70,
            "cached_tokens": 3,
            "completion_tokens": 6,
            "cost": {"amount": 1.5, "currency": "EUR"},
            "instance_seconds": 0,
        }

    @pytest.mark.parametrize(
        ("query", "requests"),
        [
            (ASKED, 3),
            ("start=0", 3),
            ("", 0),
            ("start=&end=&group_by=", 0),
            (f"start={NOVEMBER}&end={NOVEMBER + 3600}", 2),
            (f"start={NOVEMBER + 0.5}&end={NOVEMBER + 3600.5}", 1),
            ("start=2024-11-28T15:00:00Z", 1),
            ("start=2024-11-28T15:00:00", 1),
            ("start=2024-11-28T17:00:00%2B02:00", 1),
            (f"{ASKED}&key=key-1", 2),
            (f"{ASKED}&model=another", 0),
            (f"{ASKED}&project=local&model=paddock/foal", 3),
            (f"{ASKED}&project=another", 0),
        ],
    )
    async def test_what_counts(self, own: OwnApi, query: str, requests: int) -> None:
        found = (await own.client.get(f"/api/v1/usage?{query}")).json()
        assert found["total"]["requests"] == requests
        assert len(found["data"]) == (1 if requests else 0)

    async def test_by_default_this_month_counts(self, own: OwnApi) -> None:
        use(LedgerWriter(own.platform.ledger), time.time(), "key-1", 1)
        found = (await own.client.get("/api/v1/usage?group_by=hour")).json()
        assert [one["hour"] for one in found["data"]] == [f"{datetime.now(UTC):%Y-%m-%dT%H}:00:00Z"]

    @pytest.mark.parametrize("how", ["query", "header"])
    async def test_csv(self, own: OwnApi, how: str) -> None:
        query = f"group_by=key,hour&{ASKED}" + ("&format=csv" if how == "query" else "")
        headers = {"accept": "text/csv"} if how == "header" else {}
        response = await own.client.get(f"/api/v1/usage?{query}", headers=headers)
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        assert response.text.splitlines() == [
            "key,hour,requests,prompt_tokens,cached_tokens,completion_tokens,cost,currency,instance_seconds",
            ",2024-11-28T14:00:00Z,1,40,1,2,0.5,EUR,0",
            "key-1,2024-11-28T14:00:00Z,1,10,1,2,0.5,EUR,0",
            "key-1,2024-11-28T15:00:00Z,1,20,1,2,0.5,EUR,0",
        ]

    @pytest.mark.parametrize(
        ("query", "param", "said"),
        [
            ("group_by=key,colour", "group_by", "fields of project, key, model, adapter"),
            ("group_by=key,key", "group_by", "twice"),
            ("group_by=key,,day", "group_by", "not ''"),
            ("start=yesterday", "start", "ISO 8601"),
            ("start=2024-11-28T14:00:00+01:00", "start", "%2B"),
            ("start=-1", "start", "seconds since 1970"),
            ("end=1e400", "end", "seconds since 1970"),
            ("end=9999999999999999", "end", "seconds since 1970"),
            ("end=1969-12-31", "end", "seconds since 1970"),
            ("end=0001-01-01T00:00:00%2B23:00", "end", "seconds since 1970"),
            ("start=2024-11-02&end=2024-11-01", "start", "must not come after end"),
            ("format=xml", "format", "json or csv"),
            ("colour=red", "colour", "not known here"),
        ],
    )
    async def test_what_is_wrong_is_named(self, own: OwnApi, query: str, param: str, said: str) -> None:
        response = await own.client.get(f"/api/v1/usage?{query}")
        assert response.status_code == 400
        error = response.json()["error"]
        assert error["param"] == param
        assert said in error["message"]

    async def test_of_an_hour_whose_rows_are_gone_there_is_the_whole(self, own: OwnApi) -> None:
        settings = replace(own.platform.settings, usage_days=30)
        await own.platform.ledger.flush()
        await clearing.sweep(replace(own.platform, settings=settings))
        response = await own.client.get("/api/v1/usage?start=2024-11-28T14:10:00Z&end=2024-12-01")
        assert response.status_code == 400
        error = response.json()["error"]
        assert error["param"] == "start"
        assert "must be 2024-11-28T14:00:00Z or 2024-11-28T15:00:00Z" in error["message"]
        whole = (await own.client.get("/api/v1/usage?start=2024-11-28T14:00:00Z&end=2024-12-01")).json()
        assert whole["total"]["requests"] == 3


class TestSeenBy:
    """Of what a key may not see, nothing is there."""

    ASKED = Question(("key",), 10, 20)

    def key(self, *scopes: str) -> Key:
        return Key("key-1", "shop", scopes=frozenset(scopes))

    def test_admin_sees_all(self) -> None:
        for asked in (self.ASKED, Question(project="another", key="key-2")):
            assert seen_by(self.key(ADMIN), asked) == asked

    def test_manage_sees_its_project(self) -> None:
        key = self.key(MANAGE, INFERENCE)
        assert seen_by(key, self.ASKED) == Question(("key",), 10, 20, project="shop")
        asked = Question(("key",), 10, 20, project="shop", key="key-2")
        assert seen_by(key, asked) == asked
        other = seen_by(key, Question((), 10, 20, project="another"))
        assert (other.start, other.end, other.project) == (10, 10, "shop")

    def test_inference_sees_itself(self) -> None:
        key = self.key(INFERENCE)
        assert seen_by(key, self.ASKED) == Question(("key",), 10, 20, project="shop", key="key-1")
        for other in ({"key": "key-2"}, {"project": "another"}):
            seen = seen_by(key, Question((), 10, 20, **other))
            assert (seen.start, seen.end, seen.key) == (10, 10, "key-1")
