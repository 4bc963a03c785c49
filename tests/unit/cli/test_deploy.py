"""`paddock deploy` and `paddock start`: what they send, what they show, how they end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paddock.cli.start_progress import Walk
from tests.unit.cli.own_server import answering, deployment, refuse, replica
from tests.unit.cli.terminal import Terminal
from tests.unit.clients.server import Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
CREATE, GET = "POST /deployments", "GET /deployments/dep-1"
STEPS = [
    deployment("starting", replica("queued", 1, description="Waiting for hardware: it needs more")),
    deployment("starting", replica("reserving", 2, description="Reserved CPU_1 on here")),
    deployment("starting", replica("fetching", 3, done=2**20, total=3 * 2**20)),
    deployment("starting", replica("loading", 4, description="Loading the model")),
    deployment("ready"),
]
FAILED = deployment("failed", reason="the engine ended: no\x1b[2J memory", log=["first", "last\x07 words"])


class TestDeploy:
    def test_walks_the_steps_and_ends_with_how_to_try_it(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({CREATE: deployment("pending"), GET: STEPS}))
        code, out, err = paddock("deploy", "foal", "--name", "a/foal")
        assert code == 0
        assert err.splitlines() == [
            "queued",
            "queued: Waiting for hardware: it needs more",
            "reserving hardware: Reserved CPU_1 on here",
            "fetching weights: 1.0 MiB of 3.0 MiB",
            "loading: Loading the model",
        ]
        first, *commands = out.splitlines()
        assert first == "a/foal is ready. Try it:"
        assert commands[0] == "  paddock chat a/foal"
        assert f"curl {server.url}/v1/chat/completions" in commands[1]
        assert server.exchanges[0].path == "/api/v1/deployments"
        assert server.exchanges[0].json() == {"model": "foal", "name": "a/foal"}

    def test_sends_what_was_given_and_nothing_else(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering({CREATE: deployment("pending")}))
        options = [
            *("--min", "0", "--max", "2", "--per-worker", "4", "--hardware", "CPU_2"),
            *("--context-length", "512", "--idle-timeout", "1.5", "--quantize", "Q8_0"),
            *("--engine", "llama.cpp", "--detach"),
        ]
        code, out, err = paddock("deploy", "org/name", *options)
        assert (code, err) == (0, "")
        assert out == "a/foal is pending; `paddock describe a/foal` tells how far it is\n"
        assert server.exchanges[0].json() == {
            "model": "org/name",
            "min_workers": 0,
            "max_workers": 2,
            "per_worker": 4,
            "hardware_type": "CPU_2",
            "context_length": 512,
            "idle_timeout": 1.5,
            "quantize": "Q8_0",
            "engine": "llama.cpp",
        }

    def test_a_path_is_meant_from_here(
        self, paddock: Run, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(answering({CREATE: deployment("pending")}))
        monkeypatch.chdir(tmp_path)
        Path("tiny.gguf").touch()
        models = ["./folder", "tiny.gguf", "org/tiny.gguf", "foal"]
        for model in models:
            paddock("deploy", model, "--detach")
        assert [exchange.json()["model"] for exchange in server.exchanges] == [
            str(tmp_path / "folder"),
            str(tmp_path / "tiny.gguf"),
            "org/tiny.gguf",
            "foal",
        ]

    def test_failure_is_the_reason_and_the_last_lines_of_the_log(self, paddock: Run, serve: Serve) -> None:
        serve(answering({CREATE: deployment("pending"), GET: [*STEPS[:4], FAILED]}))
        code, out, err = paddock("deploy", "foal")
        assert (code, out) == (1, "")
        assert err.splitlines()[-3:] == [
            "first",
            "last words",
            "paddock: a/foal failed: the engine ended: no[2J memory",
        ]

    def test_json_is_the_deployment_and_nothing_else(self, paddock: Run, serve: Serve) -> None:
        serve(answering({CREATE: deployment("pending"), GET: [STEPS[0], deployment("ready")]}))
        code, out, err = paddock("deploy", "foal", "--json")
        assert (code, err) == (0, "")
        assert json.loads(out) == deployment("ready")

    def test_json_of_a_failed_one(self, paddock: Run, serve: Serve) -> None:
        serve(answering({CREATE: deployment("pending"), GET: FAILED}))
        code, out, err = paddock("deploy", "foal", "--json")
        assert code == 1
        assert json.loads(out)["status"] == "failed"
        assert "failed: the engine ended" in err

    def test_one_that_sleeps_from_the_beginning(self, paddock: Run, serve: Serve) -> None:
        serve(answering({CREATE: deployment("asleep", min_workers=0)}))
        code, out, err = paddock("deploy", "foal", "--min", "0")
        assert (code, err) == (0, "")
        assert out.startswith("a/foal is asleep: a request wakes it. Try it:")

    @pytest.mark.parametrize(
        ("after", "said"),
        [
            (refuse(404, "there is no deployment"), "a/foal was deleted while it started"),
            (deployment("stopped"), "a/foal is stopped: somebody did not want it to start"),
            (refuse(500, "the store failed"), "the store failed"),
        ],
    )
    def test_what_others_do_meanwhile(self, after: Any, said: str, paddock: Run, serve: Serve) -> None:
        serve(answering({CREATE: deployment("pending"), GET: [STEPS[0], after]}))
        code, out, err = paddock("deploy", "foal")
        assert (code, out) == (1, "")
        assert err.splitlines()[-1] == f"paddock: {said}"

    def test_refused(self, paddock: Run, serve: Serve) -> None:
        serve(answering({CREATE: refuse(400, "name 'a' is taken")}))
        assert paddock("deploy", "foal") == (1, "", "paddock: name 'a' is taken\n")

    def test_a_server_that_is_not_paddock(self, paddock: Run, serve: Serve) -> None:
        serve(answering({CREATE: {"hello": 1}}))
        code, _, err = paddock("deploy", "foal")
        assert code == 1
        assert "is this the address of a Paddock server?" in err


class TestStart:
    def test_waits_for_each(self, paddock: Run, serve: Serve) -> None:
        second = {**deployment("pending"), "id": "dep-2", "name": "b"}
        serve(
            answering(
                {
                    "POST /deployments/a/foal/start": deployment("pending"),
                    "POST /deployments/b/start": second,
                    GET: [STEPS[3], deployment("ready")],
                    "GET /deployments/dep-2": {**second, "status": "ready"},
                }
            )
        )
        code, out, err = paddock("start", "a/foal", "b")
        assert (code, out) == (0, "a/foal is ready\nb is ready\n")
        assert err.splitlines() == ["queued", "loading: Loading the model", "queued"]

    def test_one_that_fails_does_not_keep_the_others(self, paddock: Run, serve: Serve) -> None:
        serve(
            answering(
                {
                    "POST /deployments/no/start": refuse(404, "there is no deployment 'no'"),
                    "POST /deployments/bad/start": deployment("pending"),
                    GET: FAILED,
                    "POST /deployments/b/start": deployment("asleep", name="b"),
                }
            )
        )
        code, out, err = paddock("start", "no", "bad", "b")
        assert (code, out) == (1, "b is asleep\n")
        assert "paddock: there is no deployment 'no'" in err
        assert "last words\npaddock: a/foal failed" in err

    def test_detached(self, paddock: Run, serve: Serve) -> None:
        serve(answering({"POST /deployments/a/foal/start": deployment("pending")}))
        assert paddock("start", "a/foal", "-d") == (0, "a/foal is pending\n", "")


class TestAtATerminal:
    def test_the_five_steps_are_drawn(self, serve: Serve, terminal: Callable[..., Terminal]) -> None:
        slowly = [step for step in STEPS[:4] for _ in range(3)]
        serve(answering({CREATE: deployment("pending"), GET: [*slowly, STEPS[4]]}))
        deploy = terminal("deploy", "foal", term="xterm")
        seen = deploy.wait_for("paddock chat a/foal")
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
        assert "1.0 MiB of 3.0 MiB" in plain
        assert "Waiting for hardware: it needs more" in plain
        last = plain[plain.rindex("✓ queued") :].splitlines()
        assert [line.split()[:2] for line in last[:5]] == [
            ["✓", "queued"],
            ["✓", "reserving"],
            ["✓", "fetching"],
            ["✓", "loading"],
            ["✓", "ready"],
        ]
        assert deploy.process.wait(10) == 0

    def test_ctrl_c_leaves_the_deployment_and_says_so(
        self, serve: Serve, terminal: Callable[..., Terminal]
    ) -> None:
        server = serve(answering({CREATE: deployment("pending"), GET: STEPS[0]}))
        deploy = terminal("deploy", "foal", term="xterm")
        deploy.wait_for("Waiting for hardware")
        deploy.interrupt()
        deploy.wait_for(r"a/foal goes on without you: .* `paddock rm a/foal` takes it away")
        assert deploy.process.wait(10) == 130
        assert {exchange.method for exchange in server.exchanges[1:]} == {"GET"}


class TestWalk:
    def see(self, *seen: Any) -> list[tuple[str, str, float | None]]:
        """(state, note, seconds) of the steps after a walk of one second for each of these."""
        walk = Walk()
        for at, one in enumerate(seen):
            steps = walk.see(one, float(at))
        return [(step.state, step.note, step.seconds) for step in steps]

    def test_times_of_what_was_seen(self) -> None:
        assert self.see(STEPS[0], STEPS[0], STEPS[3], STEPS[4]) == [
            ("done", "", 2.0),
            ("done", "", None),
            ("done", "", None),
            ("done", "", 1.0),
            ("done", "", None),
        ]

    def test_where_it_failed(self) -> None:
        states = self.see(STEPS[0], STEPS[3], deployment("failed", reason="no memory"))
        assert states[2:] == [("done", "", None), ("failed", "no memory", None), ("later", "", None)]

    def test_a_second_try_begins_at_the_beginning(self) -> None:
        again = deployment("pending", reason="the engine ended")
        assert self.see(STEPS[3], again)[0] == ("now", "the engine ended", None)
        assert self.see(STEPS[3], again, STEPS[3])[0] == ("done", "", 1.0)

    def test_what_ends_is_no_progress(self) -> None:
        old = replica("ready", 5, id="rep-0", generation=0)
        ending = replica("draining", 5, id="rep-2")
        states = self.see(deployment("starting", old, ending, replica("fetching", 3)))
        assert [state for state, _, _ in states] == ["done", "done", "now", "later", "later"]

    def test_several_replicas(self) -> None:
        one = deployment("starting", replica(), replica("loading", 4, id="rep-2"), min_workers=2)
        assert self.see(one)[4] == ("now", "1 of 2 replicas", None)
