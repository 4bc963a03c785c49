"""`paddock batch ls`, `show` and `cancel`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.own_server import CREATED, answering, event, refuse
from tests.unit.clients.server import Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
JSON = dict[str, Any]


def job(state: str = "completed", **more: Any) -> JSON:
    over = state not in ("queued", "running")
    return {
        "id": "batch_1",
        "project": "local",
        "kind": "batch",
        "dialect": "openai",
        "state": state,
        "phase": "working" if state == "running" else "",
        "model": "foal",
        "priority": 0,
        "labels": {},
        "input": "file:file-1",
        "output": "",
        "total": 2000,
        "done": 2000 if over else 1200,
        "failed": 0,
        "message": "",
        "reason": "",
        "errors": [],
        "results": {"output_file_id": "file-2"} if over else {},
        "attempts": 1,
        "worker": "here-1",
        "cancel_requested_at": None,
        "created_at": CREATED,
        "started_at": None if state == "queued" else CREATED + 1,
        "finished_at": CREATED + 91 if over else None,
        "deadline_at": CREATED + 86_400,
        "times": {},
        **more,
    }


def page(*found: JSON, following: str | None = None) -> JSON:
    return {"data": list(found), "next": following}


def cells(text: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


class TestLs:
    def test_table(self, paddock: Run, serve: Serve) -> None:
        failed = job("failed", id="batch_2", failed=3, reason="no\x1b[2J\nroom", total=0, model="")
        going = job("running", id="batch_3")
        ending = job("running", id="batch_4", cancel_requested_at=CREATED)
        serve(answering({"GET /jobs": page(job(), failed, going, ending)}))
        code, out, err = paddock("batch", "ls")
        assert (code, err) == (0, "")
        assert out.splitlines()[0].split() == [
            "ID",
            "MODEL",
            "STATE",
            "DONE",
            "FAILED",
            "AGE",
            "TOOK",
            "REASON",
        ]
        first, second, third, fourth = cells(out)[1:]
        assert first[:4] == ["batch_1", "foal", "completed", "2,000 of 2,000"]
        assert first[-1] == "90 s"
        assert [second[0], second[1], second[2], second[-1]] == ["batch_2", "failed", "3", "no[2J room"]
        assert third[2:4] == ["running (working)", "1,200 of 2,000"]
        assert fourth[2] == "running, to be cancelled"

    def test_the_newest_of_many(self, paddock: Run, serve: Serve) -> None:
        pages = [page(*[job()] * 15, following="batch_1"), page(*[job()] * 15)]
        server = serve(answering({"GET /jobs": pages}))
        assert len(json.loads(paddock("batch", "ls", "--json")[1])) == 20
        assert [exchange.path for exchange in server.exchanges] == [
            "/api/v1/jobs?kind=batch&limit=100",
            "/api/v1/jobs?kind=batch&limit=100&after=batch_1",
        ]

    def test_all_of_them(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /jobs": [page(*[job()] * 15, following="batch_1"), page(*[job()] * 15)]}))
        assert len(json.loads(paddock("batch", "ls", "--all", "--json")[1])) == 30

    def test_none(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /jobs": page()}))
        assert paddock("batch", "ls") == (0, "", "there is no batch; begin with `paddock batch run`\n")


class TestShow:
    ERRORS = ({"code": "invalid_json", "message": "it is not JSON\x1b[2J", "param": None, "line": 7},) * 21

    def test_all_that_is_known(self, paddock: Run, serve: Serve) -> None:
        found = job("failed", reason="wrong lines", errors=self.ERRORS, labels={"team": "a"}, attempts=2)
        events = {"data": [event(1, "created"), event(2, "failed", "wrong lines")]}
        server = serve(answering({"GET /jobs/batch_1": found, "GET /events": events}))
        code, out, err = paddock("batch", "show", "batch_1")
        assert (code, err) == (0, "")
        facts = dict(line for line in cells(out) if len(line) == 2)
        assert facts["state"] == "failed"
        assert facts["reason"] == "wrong lines"
        assert facts["came by"] == "OpenAI"
        assert facts["done"] == "2,000 of 2,000"
        assert (facts["labels"], facts["attempts"]) == ("team=a", "2")
        assert facts["output file"] == "file-2"
        assert {"now", "worker", "given up", "failed"}.isdisjoint(facts)
        assert out.count("it is not JSON[2J") == 20
        assert "and 1 more" in out
        assert cells(out)[-1][-2:] == ["failed", "wrong lines"]
        assert server.exchanges[1].path == "/api/v1/events?job=batch_1&limit=20"

    def test_one_that_goes_on(self, paddock: Run, serve: Serve) -> None:
        found = job("running", message="the model starts")
        serve(answering({"GET /jobs/batch_1": found, "GET /events": {"data": []}}))
        facts = dict(line for line in cells(paddock("batch", "show", "batch_1")[1]) if len(line) == 2)
        assert facts["now"] == "the model starts"
        assert facts["worker"] == "here-1"
        assert "given up" in facts

    def test_json(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /jobs/batch_1": job(), "GET /events": {"data": [event(1, "created")]}}))
        found = json.loads(paddock("batch", "show", "batch_1", "--json")[1])
        assert found == {**job(), "events": [event(1, "created")]}

    @pytest.mark.parametrize(("identity", "said"), [("no", "there is no job"), ("..", "must not be empty")])
    def test_none(self, identity: str, said: str, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /jobs/no": refuse(404, "there is no job")}))
        code, _, err = paddock("batch", "show", identity)
        assert code == 1
        assert said in err


class TestCancel:
    def test_waits_until_each_has_ended(self, paddock: Run, serve: Serve) -> None:
        server = serve(
            answering(
                {
                    "POST /jobs/no/cancel": refuse(404, "there is no job 'no'"),
                    "POST /jobs/batch_1/cancel": job("running", cancel_requested_at=CREATED),
                    "GET /jobs/batch_1": [job("running"), job("cancelled", done=5)],
                    "POST /jobs/batch_2/cancel": job("cancelled", id="batch_2", total=0),
                }
            )
        )
        code, out, err = paddock("batch", "cancel", "no", "batch_1", "batch_2")
        assert (code, err) == (1, "paddock: there is no job 'no'\n")
        assert out == "batch_1 is cancelled: 5 of 2,000 are answered\nbatch_2 is cancelled\n"
        assert [exchange.method for exchange in server.exchanges] == ["POST", "POST", "GET", "GET", "POST"]
