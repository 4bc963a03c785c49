"""`paddock ps`, `logs`, `describe`, `scale`, `stop`, `rm` and `hardware`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from paddock.cli.tables import age, duration, size, table
from tests.unit.cli.own_server import CREATED, answering, deployment, event, line, refuse, replica
from tests.unit.cli.terminal import Terminal
from tests.unit.clients.server import Exchange, Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
LIST, GET = "GET /deployments", "GET /deployments/dep-1"
NAMED = "/deployments/a/foal"
GONE = refuse(404, "there is no deployment")


def page(*found: Any, following: str | None = None) -> dict[str, Any]:
    return {"data": list(found), "next": following}


def money(amount: float) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


class TestPs:
    def test_table(self, paddock: Run, serve: Serve) -> None:
        starting = deployment(
            "starting", replica("loading", 4), name="b", serving=True, min_workers=0, max_workers=3
        )
        failed = deployment("failed", name="c", reason="the engine\nended\x1b[2J")
        serve(answering({LIST: page(deployment(), starting, failed, deployment("stopped"))}))
        code, out, err = paddock("ps")
        assert (code, err) == (0, "")
        lines = [re.split(r"  +", text) for text in out.splitlines()]
        old = lines[1][6]
        assert old.endswith(" d")
        assert lines == [
            ["NAME", "MODEL", "STATUS", "READY", "WORKERS", "HARDWARE", "AGE", "REASON"],
            ["a/foal", "paddock/foal", "ready", "1", "1", "CPU_1", old],
            ["b", "paddock/foal", "starting 4/5, serving", "0", "0-3", "CPU_1", old],
            ["c", "paddock/foal", "failed", "0", "1", "CPU_1", old, "the engine ended[2J"],
        ]

    def test_costs_are_shown_where_there_are_any(self, paddock: Run, serve: Serve) -> None:
        amounts = (1.236, 0.00125, 0.00001, 0)
        found = [{**deployment(name=f"n{amount}"), "cost": money(amount)} for amount in amounts]
        free = {**deployment(name="free"), "cost": money(0)}
        serve(answering({LIST: [page(*found, {**free, "cost": None}), page(free)]}))
        lines = [re.split(r"  +", text) for text in paddock("ps")[1].splitlines()]
        assert lines[0][5:8] == ["HARDWARE", "COST", "AGE"]
        assert [line[6] for line in lines[1:]] == ["1.24 EUR", "0.0013 EUR", "<0.0001 EUR", "0.00 EUR", "?"]
        assert "COST" not in paddock("ps")[1]

    def test_all_of_them(self, paddock: Run, serve: Serve) -> None:
        serve(answering({LIST: page(deployment("stopped"))}))
        assert "stopped" in paddock("ps", "-a")[1]
        assert paddock("ps") == (0, "", "nothing is deployed; begin with `paddock deploy foal`\n")

    def test_every_page(self, paddock: Run, serve: Serve) -> None:
        pages = [page(deployment(name="one"), following="dep-1"), page(deployment(name="two"))]
        server = serve(answering({LIST: pages}))
        assert [one["name"] for one in json.loads(paddock("ps", "--json")[1])] == ["one", "two"]
        assert [exchange.path for exchange in server.exchanges] == [
            "/api/v1/deployments?limit=1000",
            "/api/v1/deployments?limit=1000&after=dep-1",
        ]

    @pytest.mark.parametrize("base", ["", "/v1", "/api/v1", "/v1/"])
    def test_address_and_key(self, base: str, paddock: Run, serve: Serve) -> None:
        server = serve(answering({LIST: page()}))
        assert paddock("ps", "--json", "--base-url", server.url + base, "--api-key", "k") == (0, "[]\n", "")
        assert server.exchanges[0].headers["authorization"] == "Bearer k"

    @pytest.mark.parametrize("more", [[], ["--json"]])
    def test_watching_needs_a_terminal(self, more: list[str], paddock: Run) -> None:
        code, _, err = paddock("ps", "--watch", *more)
        assert code == 2
        assert "--watch is for a terminal" in err

    def test_watch(self, serve: Serve, terminal: Callable[..., Terminal]) -> None:
        serve(answering({LIST: [page(), page(deployment("starting")), page(deployment())]}))
        ps = terminal("ps", "--watch", term="xterm")
        for text in ("nothing is deployed", "a/foal .* starting", "a/foal .* ready"):
            ps.wait_for(text)
        ps.interrupt()
        assert ps.process.wait(10) == 130
        assert "Traceback" not in ps.seen


class TestLogs:
    def test_lines(self, paddock: Run, serve: Serve) -> None:
        lines = [line(1, "one"), line(2, "t\x1b[2Jwo"), line(3, "three", "rep-2")]
        server = serve(answering({f"GET {NAMED}/logs": {"lines": lines}}))
        assert paddock("logs", "a/foal", "-n", "3") == (0, "one\nt[2Jwo\nthree\n", "==> rep-2 <==\n")
        assert server.exchanges[0].path == f"/api/v1{NAMED}/logs?tail=3"

    def test_follow(self, paddock: Run, serve: Serve) -> None:
        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.chunk(b":\n\n")
            for number in range(3):
                exchange.chunk(b"id: %d\n" % number)
                exchange.event(line(number, f"line {number}"))
            exchange.send(b"0\r\n\r\n")

        server = serve(respond)
        code, out, err = paddock("logs", "a/foal", "-f")
        assert (code, out) == (0, "line 0\nline 1\nline 2\n")
        assert err == "the log ended: the deployment is gone, or the server stops\n"
        assert server.exchanges[0].path == f"/api/v1{NAMED}/logs?tail=100&follow=true"

    def test_follow_until_ctrl_c(self, serve: Serve, terminal: Callable[..., Terminal]) -> None:
        closed: list[bool] = []

        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(line(1, "first"))
            closed.append(exchange.wait_for_close())

        serve(respond)
        logs = terminal("logs", "a/foal", "-f")
        logs.wait_for("first")
        logs.interrupt()
        assert logs.process.wait(10) == 130
        assert "Traceback" not in logs.seen
        assert closed == [True]

    @pytest.mark.parametrize("name", ["", "/"])
    def test_no_name(self, name: str, paddock: Run) -> None:
        assert paddock("logs", name) == (1, "", "paddock: the name of a deployment must not be empty\n")

    def test_a_name_with_odd_characters_is_a_name(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({}))
        assert paddock("logs", "a b?c#d")[0] == 1
        assert server.exchanges[0].path.startswith("/api/v1/deployments/a%20b%3Fc%23d/logs?")


class TestDescribe:
    ANSWERS = {  # noqa: RUF012
        f"GET {NAMED}": deployment(
            "ready", replica(), labels={"team": "a"}, min_workers=0, started_at=CREATED
        ),
        "GET /events": page(event(1, "created", "on CPU_1\x1b[2J"), event(2, "ready")),
        "GET /deployments/dep-1/logs": {"lines": [line(1, "a line")]},
    }

    def test_all_that_is_known(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering(self.ANSWERS))
        code, out, err = paddock("describe", "a/foal")
        assert (code, err) == (0, "")
        facts = dict(re.findall(r"^  (\w+) +(.+)$", out, flags=re.M))
        assert (facts["status"], facts["engine"], facts["hardware"]) == ("ready", "llama.cpp", "CPU_1")
        assert facts["workers"] == "0-1, for 8 requests at once each"
        assert facts["sleeps"] == "after 5 min without a request"
        assert (facts["options"], facts["labels"]) == ("slots 8", "team=a")
        assert "started" in facts
        assert "stopped" not in facts
        assert re.search(r"rep-1 +ready +5/5 +1 +here .* Ready", out)
        assert re.search(r"created +on CPU_1\[2J\n", out)
        assert out.endswith("\nLOG\na line\n")
        assert server.exchanges[1].path == "/api/v1/events?deployment=dep-1&limit=10"

    def test_the_log_of_a_failure_is_what_it_ended_with(self, paddock: Run, serve: Serve) -> None:
        failed = deployment("failed", reason="no memory", log=["last words"])
        serve(answering({**self.ANSWERS, f"GET {NAMED}": failed}))
        out = paddock("describe", "a/foal")[1]
        assert re.search(r"^  reason +no memory$", out, flags=re.M)
        assert out.endswith("\nLOG\nlast words\n")

    def test_json(self, paddock: Run, serve: Serve) -> None:
        serve(answering(self.ANSWERS))
        found = json.loads(paddock("describe", "a/foal", "--json")[1])
        assert (found["name"], found["status"]) == ("a/foal", "ready")
        assert [one["kind"] for one in found["events"]] == ["created", "ready"]
        assert [one["text"] for one in found["lines"]] == ["a line"]

    def test_one_that_is_not_there(self, paddock: Run, serve: Serve) -> None:
        serve(answering({f"GET {NAMED}": refuse(404, "there is no deployment 'a/foal'")}))
        assert paddock("describe", "a/foal") == (1, "", "paddock: there is no deployment 'a/foal'\n")


class TestScale:
    @pytest.mark.parametrize(
        ("arguments", "sent"),
        [
            (["2"], {"min_workers": 2, "max_workers": 2}),
            (["--min", "0", "--max", "4"], {"min_workers": 0, "max_workers": 4}),
            (["--max", "4"], {"max_workers": 4}),
        ],
    )
    def test_bounds(self, arguments: list[str], sent: Any, paddock: Run, serve: Serve) -> None:
        server = serve(answering({f"POST {NAMED}/scale": deployment(min_workers=0, max_workers=4)}))
        assert paddock("scale", "a/foal", *arguments) == (0, "a/foal: 0-4 workers\n", "")
        assert server.exchanges[0].json() == sent

    def test_to_nothing(self, paddock: Run, serve: Serve) -> None:
        serve(answering({f"POST {NAMED}/scale": deployment("stopped")}))
        assert paddock("scale", "a/foal", "0")[1] == "a/foal: stopped\n"

    @pytest.mark.parametrize("arguments", [[], ["2", "--min", "1"], ["-1"], ["many"]])
    def test_usage(self, arguments: list[str], paddock: Run) -> None:
        assert paddock("scale", "a/foal", *arguments)[0] == 2


class TestStop:
    def test_waits_until_the_engines_are_gone(self, paddock: Run, serve: Serve) -> None:
        ending = deployment("stopped", replica("draining"))
        serve(answering({f"POST {NAMED}/stop": ending, GET: [ending, deployment("stopped")]}))
        assert paddock("stop", "a/foal") == (0, "a/foal is stopped\n", "")

    def test_one_that_is_stopped_does_not_keep_the_others(self, paddock: Run, serve: Serve) -> None:
        serve(
            answering(
                {
                    "POST /deployments/b/stop": refuse(409, "b is stopped already"),
                    f"POST {NAMED}/stop": deployment("stopped"),
                    GET: deployment("stopped"),
                }
            )
        )
        assert paddock("stop", "b", "a/foal") == (
            1,
            "a/foal is stopped\n",
            "paddock: b is stopped already\n",
        )


class TestRm:
    def test_a_stopped_one(self, paddock: Run, serve: Serve) -> None:
        stopped, deleting = deployment("stopped"), deployment("deleting")
        server = serve(
            answering({f"GET {NAMED}": stopped, "DELETE /deployments/dep-1": deleting, GET: [deleting, GONE]})
        )
        assert paddock("rm", "a/foal") == (0, "a/foal is deleted\n", "")
        assert [exchange.method for exchange in server.exchanges] == ["GET", "DELETE", "GET", "GET"]

    @pytest.mark.parametrize("status", ["pending", "starting", "ready"])
    def test_one_that_runs_needs_force(self, status: str, paddock: Run, serve: Serve) -> None:
        running = deployment(status)
        server = serve(answering({f"GET {NAMED}": running, "DELETE /deployments/dep-1": running, GET: GONE}))
        code, out, err = paddock("rm", "a/foal")
        assert (code, out) == (1, "")
        assert err == (
            f"paddock: a/foal is {status}: stop it first with `paddock stop a/foal`, or use --force\n"
        )
        assert len(server.exchanges) == 1
        assert paddock("rm", "a/foal", "--force") == (0, "a/foal is deleted\n", "")

    def test_one_that_goes_already(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({f"GET {NAMED}": deployment("deleting"), GET: GONE}))
        assert paddock("rm", "a/foal")[0] == 0
        assert [exchange.method for exchange in server.exchanges] == ["GET", "GET"]


class TestHardware:
    FOUND = {  # noqa: RUF012
        "currency": "EUR",
        "types": [
            {
                "id": "CPU_2",
                "cores": 2,
                "memory": 3 * 2**30,
                "gpu": None,
                "gpus": 0,
                "gpu_memory": 0,
                "price_per_hour": 0.06,
                "available": True,
            },
            {
                "id": "NVIDIA_L4_2",
                "cores": 8,
                "memory": 64 * 2**30,
                "gpu": "NVIDIA L4",
                "gpus": 2,
                "gpu_memory": 24 * 2**30,
                "price_per_hour": 2.4,
                "available": False,
            },
        ],
        "nodes": [
            {
                "name": "here",
                "cores": 8,
                "memory": 80 * 2**30,
                "gpus": [{"index": 0}, {"index": 1}],
                "promised": {"cores": 64, "memory": 72 * 2**30},
                "held": {"cores": 8, "memory": 2**30, "gpus": [0, 1]},
            }
        ],
        "held": [
            {
                "replica": "rep-1",
                "deployment": "a/foal",
                "node": "here",
                "hardware_type": "NVIDIA_L4_2",
                "cores": 8,
                "memory": 2**30,
                "gpus": [0, 1],
                "since": CREATED,
            }
        ],
    }

    def test_tables(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /hardware": self.FOUND}))
        types, nodes, held = paddock("hardware")[1].split("\n\n")
        assert [re.split(r"  +", text) for text in types.splitlines()] == [
            ["TYPE", "CORES", "MEMORY", "GPU", "GPU MEMORY", "EUR/HOUR", "FREE"],
            ["CPU_2", "2", "3.0 GiB", "0.06", "yes"],
            ["NVIDIA_L4_2", "8", "64.0 GiB", "2 × NVIDIA L4", "24.0 GiB", "2.4", "no"],
        ]
        assert re.search(r"here +8 +8 of 64 +1.0 GiB of 72.0 GiB +2 of 2", nodes)
        assert re.search(r"a/foal +rep-1 +NVIDIA_L4_2 +here +1.0 GiB +0, 1 +\d+ d ago", held)

    def test_none(self, paddock: Run, serve: Serve) -> None:
        nothing = {"currency": "EUR", "types": [], "nodes": [], "held": []}
        serve(answering({"GET /hardware": nothing}))
        assert paddock("hardware")[:2] == (0, "\n")

    def test_json(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"GET /hardware": self.FOUND}))
        assert json.loads(paddock("hardware", "--json")[1]) == self.FOUND


class TestTables:
    def test_columns_without_anything_are_left_out(self) -> None:
        assert table({"A": ["x", "longer"], "B": ["", ""], "C": ["1", "2"]}) == [
            "A       C",
            "x       1",
            "longer  2",
        ]

    @pytest.mark.parametrize(
        ("number", "text"),
        [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**31, "2.0 GiB"), (2**51, "2048.0 TiB")],
    )
    def test_sizes(self, number: int, text: str) -> None:
        assert size(number) == text

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(-1, "0.0 s"), (0.25, "0.2 s"), (90, "90 s"), (300, "5 min"), (7300, "2 h"), (200_000, "2 d")],
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    @pytest.mark.parametrize(("since", "text"), [(100.0, "0 s"), (96.6, "3 s"), (40.0, "60 s")])
    def test_ages(self, since: float, text: str) -> None:
        assert age(since, now=100.0) == text
