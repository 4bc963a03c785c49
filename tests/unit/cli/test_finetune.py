"""`paddock finetune ls`, `show` and `cancel`, and the words that lead to them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.own_server import CREATED, answering, refuse
from tests.unit.cli.terminal import Terminal
from tests.unit.clients.server import Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
JSON = dict[str, Any]
MODEL = "paddock/foal.shop.20231114-221320-000"


def job(state: str = "completed", **more: Any) -> JSON:
    over = state not in ("queued", "running")
    return {
        "id": "ft_1",
        "project": "local",
        "kind": "ft",
        "dialect": "openai",
        "state": state,
        "phase": "working" if state == "running" else "",
        "model": "paddock/foal",
        "priority": 0,
        "labels": {},
        "input": "file:file-1",
        "output": "",
        "total": 600,
        "done": 600 if state == "completed" else 120,
        "failed": 0,
        "message": "step 120 of 600, loss 0.3100, 45.2 rows/s, 12 s left" if state == "running" else "",
        "reason": "",
        "errors": [],
        "results": {"fine_tuned_model": MODEL, "trained_tokens": "12345"} if state == "completed" else {},
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


def event(id: int, kind: str, message: str = "", **data: Any) -> JSON:
    return {
        "id": id,
        "at": CREATED + id,
        "kind": kind,
        "deployment": "",
        "deployment_id": "",
        "replica": "",
        "job": "ft_1",
        "message": message,
        "data": data,
    }


def stepped(id: int, step: int, loss: float | None, seconds_left: float = 12.0) -> JSON:
    numbers: JSON = {"epoch": 0.5, "learning_rate": 0.001, "rate": 45.2, "seconds_left": seconds_left}
    return event(id, "step", f"step {step} of 600", step=step, loss=loss, **numbers)


def evaluated(id: int, step: int, loss: float) -> JSON:
    return event(id, "evaluated", f"step {step}: validation loss {loss:.4f}", step=step, loss=loss, epoch=0.5)


EVENTS = [
    event(1, "created"),
    event(2, "learning", "90 rows, 10 to validate, 600 steps", steps=600),
    stepped(3, 1, 2.5),
    stepped(4, 60, 1.0),
    evaluated(5, 60, 1.2),
    stepped(6, 120, 0.31),
]
HYPERPARAMETERS = {"n_epochs": 3.0, "packing": False, "lora_targets": ["q_proj", "v_proj"]}


def known(found: JSON, events: list[JSON] | None = None) -> dict[str, Any]:
    """The answers of a server that knows this one."""
    return {
        "GET /jobs/ft_1": found,
        "GET /events": {"data": EVENTS if events is None else events, "next": None},
        "GET /v1/fine_tuning/jobs/ft_1": {"id": "ft_1", "hyperparameters": HYPERPARAMETERS},
    }


def cells(text: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


def facts(text: str) -> dict[str, str]:
    return {line[0]: line[1] for line in cells(text) if len(line) == 2}


class TestWords:
    def test_help_tells_of_the_options_and_the_commands(self, paddock: Run) -> None:
        code, out, _ = paddock("finetune", "--help")
        assert code == 0
        assert out.startswith("Usage: paddock finetune DATA --base MODEL [OPTIONS]\n")
        assert "--set NAME=VALUE" in out
        assert all(f"\n  {name} " in out for name in ("run", "ls", "show", "cancel"))

    def test_help_behind_the_data(self, paddock: Run) -> None:
        code, out, _ = paddock("finetune", "data.csv", "--help")
        assert code == 0
        assert "Usage: paddock finetune run" in out

    @pytest.mark.parametrize(("word", "meant"), [("sho", "show"), ("list", "ls"), ("cancle", "cancel")])
    def test_a_slip(self, word: str, meant: str, paddock: Run) -> None:
        code, out, err = paddock("finetune", word)
        assert (code, out) == (2, "")
        assert f"There is no file {word!r}; did you mean the command {meant!r}?" in err

    def test_no_base(self, paddock: Run) -> None:
        code, _, err = paddock("finetune", "data.csv")
        assert code == 2
        assert "Missing option '-b' / '--base'" in err


class TestLs:
    def test_table(self, paddock: Run, serve: Serve) -> None:
        failed = job("failed", id="ft_2", reason="it\x1b[2J diverged", done=7)
        ending = job("running", id="ft_3", cancel_requested_at=CREATED)
        server = serve(answering({"GET /jobs": {"data": [job(), failed, ending], "next": None}}))
        code, out, err = paddock("finetune", "ls")
        assert (code, err) == (0, "")
        assert out.splitlines()[0].split() == [
            "ID",
            "BASE",
            "STATE",
            "STEPS",
            "AGE",
            "TOOK",
            "MODEL",
            "REASON",
        ]
        first, second, third = cells(out)[1:]
        assert first[:4] == ["ft_1", "paddock/foal", "completed", "600 of 600"]
        assert first[-2:] == ["90 s", MODEL]
        assert second[2:4] == ["failed", "7 of 600"]
        assert second[-1] == "it[2J diverged"
        assert third[2] == "running, to be cancelled"
        assert server.exchanges[0].path == "/api/v1/jobs?kind=ft&limit=100"

    @pytest.mark.parametrize(("options", "count"), [((), 20), (("--all",), 30)])
    def test_many(self, options: tuple[str, ...], count: int, paddock: Run, serve: Serve) -> None:
        pages = [{"data": [job()] * 15, "next": "ft_1"}, {"data": [job()] * 15, "next": None}]
        serve(answering({"GET /jobs": pages}))
        assert len(json.loads(paddock("finetune", "ls", "--json", *options)[1])) == count

    def test_none(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /jobs": {"data": [], "next": None}}))
        code, out, err = paddock("finetune", "ls")
        assert (code, out) == (0, "")
        assert "begin with `paddock finetune DATA --base MODEL`" in err


class TestShow:
    def test_one_that_is_over(self, paddock: Run, serve: Serve) -> None:
        labels = {"team": "a", "paddock_request": "12ab"}
        server = serve(answering(known(job(labels=labels))))
        code, out, err = paddock("finetune", "show", "ft_1")
        assert (code, err) == (0, "")
        shown = facts(out)
        assert shown["model"] == MODEL
        assert shown["try it"] == f"paddock chat {MODEL}"
        assert shown["learns by"] == "n_epochs=3.0, packing=false, lora_targets=q_proj,v_proj"
        assert shown["trained tokens"] == "12,345"
        assert (shown["labels"], shown["steps"]) == ("team=a", "600 of 600")
        assert {"now", "worker", "given up", "reason", "attempts"}.isdisjoint(shown)
        assert "█ training 0.31   ◆ validation 1.2" in out
        assert cells(out)[-1][-2:] == ["learning", "90 rows, 10 to validate, 600 steps"]
        assert "/api/v1/events?job=ft_1&limit=1000&after=0" in [one.path for one in server.exchanges]

    def test_one_that_goes_on(self, paddock: Run, serve: Serve) -> None:
        serve(answering(known(job("running"))))
        shown = facts(paddock("finetune", "show", "ft_1")[1])
        assert shown["now"] == "step 120 of 600, loss 0.3100, 45.2 rows/s, 12 s left"
        assert {"worker", "given up"} < set(shown)
        assert "try it" not in shown

    def test_one_that_waits(self, paddock: Run, serve: Serve) -> None:
        serve(answering(known(job("queued", total=0, done=0), [event(1, "created")])))
        code, out, _ = paddock("finetune", "show", "ft_1")
        assert code == 0
        assert "training 0" not in out

    def test_json(self, paddock: Run, serve: Serve) -> None:
        answers = known(job())
        answers["GET /events"] = [{"data": EVENTS[:2], "next": 2}, {"data": EVENTS[2:], "next": None}]
        server = serve(answering(answers))
        found = json.loads(paddock("finetune", "show", "ft_1", "--json")[1])
        assert found == {**job(), "hyperparameters": HYPERPARAMETERS, "events": EVENTS}
        assert server.exchanges[2].path == "/api/v1/events?job=ft_1&limit=1000&after=2"

    def test_the_server_that_was_named(self, paddock: Run, serve: Serve) -> None:
        url = serve(answering(known(job()))).url
        shown = facts(paddock("finetune", "show", "ft_1", "--base-url", url)[1])
        assert shown["try it"] == f"paddock chat {MODEL} --base-url {url}"

    @pytest.mark.parametrize(
        ("identity", "said"),
        [
            ("no", "there is no job"),
            ("..", "the id of a fine-tune must not be empty"),
            ("batch_1", "batch_1 is no fine-tune; `paddock batch show` may know it"),
        ],
    )
    def test_none(self, identity: str, said: str, paddock: Run, serve: Serve) -> None:
        answers = {
            "GET /jobs/no": refuse(404, "there is no job"),
            "GET /jobs/batch_1": job(id="batch_1", kind="batch"),
        }
        serve(answering(answers))
        code, _, err = paddock("finetune", "show", identity)
        assert code == 1
        assert said in err

    def test_plot(self, paddock: Run, serve: Serve, tmp_path: Path) -> None:
        serve(answering(known(job())))
        path = tmp_path / "losses.html"
        code, _, err = paddock("finetune", "show", "ft_1", "--plot", str(path))
        assert (code, err) == (0, f"the losses are drawn in {path}\n")
        assert "Fine-tune of paddock/foal" in path.read_text("utf-8")

    def test_nothing_to_plot(self, paddock: Run, serve: Serve, tmp_path: Path) -> None:
        serve(answering(known(job("running"), [])))
        path = tmp_path / "losses.html"
        code, _, err = paddock("finetune", "show", "ft_1", "--plot", str(path))
        assert code == 1
        assert "nothing of ft_1 is measured yet" in err
        assert not path.exists()


class TestFollow:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("paddock.cli.finetune_watching.POLL_SECONDS", 0.001)

    def test_until_it_is_over(self, paddock: Run, serve: Serve) -> None:
        answers = known(job())
        answers["GET /jobs/ft_1"] = [job("queued", done=0, total=0), job("running"), job()]
        serve(answering(answers))
        code, out, err = paddock("finetune", "show", "ft_1", "--follow")
        assert code == 0
        assert [line.split(":")[0] for line in err.splitlines()] == ["learning", "completed"]
        assert facts(out)["state"] == "completed"

    def test_one_that_fails(self, paddock: Run, serve: Serve) -> None:
        answers = known(job())
        answers["GET /jobs/ft_1"] = [job("running"), job("failed", reason="it diverged")]
        serve(answering(answers))
        code, out, _ = paddock("finetune", "show", "ft_1", "--follow", "--json")
        assert code == 1
        assert json.loads(out)["reason"] == "it diverged"

    def test_at_a_terminal(self, terminal: Callable[..., Terminal], serve: Serve) -> None:
        answers = known(job())
        answers["GET /jobs/ft_1"] = [*[job("running")] * 4, job()]
        serve(answering(answers))
        shown = terminal("finetune", "show", "ft_1", "--follow", term="xterm")
        shown.wait_for("learning")
        shown.wait_for("step 120 of 600 · loss 0.31 · validation 1.2 · 45 rows/s · 12 s left")
        shown.wait_for("◆")
        shown.wait_for("completed")
        shown.wait_for("step 600 of 600")
        shown.wait_for("try it .*paddock chat")
        assert shown.process.wait(10) == 0


class TestCancel:
    def test_waits_until_each_has_ended(self, paddock: Run, serve: Serve) -> None:
        server = serve(
            answering(
                {
                    "GET /jobs/batch_1": job("running", id="batch_1", kind="batch"),
                    "GET /jobs/ft_1": [job("running"), job("running"), job("cancelled")],
                    "POST /jobs/ft_1/cancel": job("running", cancel_requested_at=CREATED),
                    "GET /jobs/ft_2": job("queued", id="ft_2"),
                    "POST /jobs/ft_2/cancel": job("cancelled", id="ft_2", total=0),
                }
            )
        )
        code, out, err = paddock("finetune", "cancel", "batch_1", "ft_1", "ft_2")
        assert (code, err) == (
            1,
            "paddock: batch_1 is no fine-tune; `paddock batch show` may know it\n",
        )
        assert out == "ft_1 is cancelled after 120 of 600 steps\nft_2 is cancelled\n"
        assert "/api/v1/jobs/batch_1/cancel" not in [exchange.path for exchange in server.exchanges]
