"""`paddock batch run`: what it sends, how it goes on after anything, what it leaves behind."""

from __future__ import annotations

import csv
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.batch_server import BatchServer
from tests.unit.cli.terminal import Terminal
from tests.unit.clients.server import Exchange, Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
JSON = dict[str, Any]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paddock.cli.batch_collecting.POLL_SECONDS", 0.001)
    monkeypatch.setattr("paddock.cli.waiting.FIRST_SECONDS", 0.001)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands run. It has prompts.csv with three prompts, of which the second fails."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "prompts.csv").write_text("id,prompt\n1,one\n2,BAD\n3,three\n")
    return folder


RUN = ("batch", "run", "prompts.csv", "--model", "foal", "--out", "out.jsonl")
ANSWERS = [
    {"id": "1", "prompt": "one", "response": "ONE", "error": None},
    {"id": "2", "prompt": "BAD", "response": None, "error": "it is bad"},
    {"id": "3", "prompt": "three", "response": "THREE", "error": None},
]


def out(folder: Path) -> list[JSON]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_bytes().splitlines()]


class TestFromPromptsToAnswers:
    def test_it(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        code, said, remarks = paddock(*RUN)
        assert (code, said) == (0, "out.jsonl: 2 answered, 1 failed\n")
        assert remarks.splitlines() == [
            "batch_1 has 3 prompts; Ctrl-C leaves it to the server",
            "checking: 0 of 3 prompts",
            "answering: 0 of 3 prompts",
            *(line for line in remarks.splitlines() if line.startswith(("finishing: 3", "done: 3"))),
        ]
        assert out(folder) == ANSWERS
        assert sorted(path.name for path in folder.iterdir()) == ["out.jsonl", "prompts.csv"]
        assert server.uploads == [("prompts.jsonl", "batch")]
        batch = server.batches["batch_1"]
        assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
        assert re.fullmatch("[0-9a-f]{64}", batch["metadata"].pop("paddock_input"))
        assert batch["metadata"] == {"paddock_output": "out.jsonl"}
        assert [line["custom_id"] for line in server.lines("file-1")] == ["row-1", "row-2", "row-3"]

    def test_options(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        (folder / "questions.txt").write_text("one\n")
        options = [
            *("--endpoint", "completions", "-n", "5", "--temperature", "0", "--seed", "1", "--top-p", "0.5"),
            *("--stop", "a", "--stop", "b", "--window", "1h"),
        ]
        assert paddock("batch", "run", "questions.txt", "-m", "foal", "-o", "out.csv", *options)[0] == 0
        assert server.lines("file-1")[0]["body"] == {
            "model": "foal",
            "prompt": "one",
            "max_tokens": 5,
            "temperature": 0.0,
            "seed": 1,
            "top_p": 0.5,
            "stop": ["a", "b"],
        }
        assert server.batches["batch_1"]["completion_window"] == "1h"
        with (folder / "out.csv").open(newline="") as file:
            assert list(csv.reader(file)) == [["prompt", "response", "error"], ["one", "ONE", ""]]

    def test_lines_of_a_batch(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        line = b'{"custom_id": "x",  "url": "/v1/completions", "body": {"prompt": "a", "model": "m"}}'
        (folder / "batch.jsonl").write_bytes(line + b"\r\n")
        assert paddock("batch", "run", "batch.jsonl", "--out", "out.jsonl")[0] == 0
        assert server.files["file-1"] == line + b"\n"
        assert server.batches["batch_1"]["endpoint"] == "/v1/completions"
        (answer,) = out(folder)
        assert (answer["custom_id"], answer["response"]["body"]["choices"]) == ("x", [{"text": "A"}])

    def test_a_server_that_writes_in_another_order(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        server.reverse = True
        serve(server)
        assert paddock(*RUN)[0] == 0
        assert out(folder) == ANSWERS

    def test_all_failed(self, folder: Path, paddock: Run, serve: Serve) -> None:
        serve(BatchServer())
        (folder / "prompts.csv").write_text("prompt\nBAD\n")
        code, said, _ = paddock(*RUN)
        assert (code, said) == (1, "out.jsonl: 0 answered, 1 failed\n")


class TestRefusedBeforeAnythingIsSent:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["prompts.csv", "--out", "o.csv"], "row 1 (line 2) names no model: say which with --model"),
            (["prompts.csv", "-m", "a", "--out", "o.txt"], "must end in .jsonl or .ndjson or .csv"),
            (["prompts", "-m", "a", "--out", "o.csv"], "must end in .csv or .jsonl or .ndjson or .txt"),
            (["none.csv", "-m", "a", "--out", "o.csv"], "cannot read none.csv: No such file or directory"),
            (
                ["prompts.csv", "-m", "a", "--out", "no/o.csv"],
                "cannot write in no: No such file or directory",
            ),
            (["prompts.csv", "-m", "a", "--out", "there.csv"], "there.csv is there already: choose another"),
            (["prompts.csv", "-m", "a", "--out", "./prompts.csv", "--overwrite"], "is the file of prompts"),
            (
                ["prompts.csv", "-m", "a", "--out", "o.csv", "--prompt-column", "x"],
                "prompts.csv: the heading: there is no column 'x', only 'id', 'prompt'",
            ),
            (["there.csv", "-m", "a", "--out", "o.csv"], "there.csv: there is no prompt in it"),
            (["batch.jsonl", "-m", "a", "--out", "o.csv"], "leave out --model"),
            (
                ["prompts.csv", "-m", "a", "--out", "o.csv", "--system", "s", "--endpoint", "completions"],
                "--system is for --endpoint chat",
            ),
        ],
    )
    def test_it(self, arguments: list[str], said: str, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        (folder / "there.csv").write_text("prompt\n")
        (folder / "batch.jsonl").write_text('{"custom_id": "x", "body": {}}')
        before = sorted(path.name for path in folder.iterdir())
        code, written, remarks = paddock("batch", "run", *arguments)
        assert (code, written) == (2, "")
        assert said in " ".join(remarks.split())
        assert server.asked == []
        assert sorted(path.name for path in folder.iterdir()) == before

    def test_by_a_server_that_is_not_there(
        self, folder: Path, paddock: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PADDOCK_BASE_URL", "http://127.0.0.1:1")
        code, _, remarks = paddock(*RUN)
        assert code == 1
        assert "Start a server with `paddock serve`" in remarks


class TestAgain:
    def test_detached(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        code, said, _ = paddock(*RUN, "--detach")
        assert code == 0
        assert said == "batch_1 has 3 prompts; the same command without --detach writes out.jsonl\n"
        assert json.loads((folder / "out.jsonl.batch").read_text())["batch"] == "batch_1"
        code, said, remarks = paddock(*RUN)
        assert (code, len(server.batches), len(server.uploads)) == (0, 1, 1)
        assert "picking up batch_1, which was sent " in remarks
        assert out(folder) == ANSWERS
        assert not (folder / "out.jsonl.batch").exists()

    @pytest.mark.parametrize("done", [False, True])
    def test_when_the_file_beside_the_output_is_lost(
        self, done: bool, folder: Path, paddock: Run, serve: Serve
    ) -> None:
        server = BatchServer()
        serve(server)
        paddock(*RUN, *([] if done else ["--detach"]))
        for name in ("out.jsonl", "out.jsonl.batch"):
            (folder / name).unlink(missing_ok=True)
        assert paddock(*RUN)[0] == 0
        assert len(server.batches) == 1
        assert out(folder) == ANSWERS

    def test_another_output_is_another_batch(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        paddock(*RUN)
        assert paddock(*RUN[:-1], "other.jsonl")[0] == 0
        assert len(server.batches) == 2

    def test_overwriting_asks_anew(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        paddock(*RUN)
        assert paddock(*RUN)[0] == 2
        assert paddock(*RUN, "--overwrite")[0] == 0
        assert len(server.batches) == 2

    def test_with_other_prompts(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        paddock(*RUN, "--detach")
        for again in ((*RUN, "-n", "5"), (*RUN, "--temperature", "1")):
            code, _, remarks = paddock(*again)
            assert code == 2
            assert "are not what was sent as batch_1 for out.jsonl" in remarks
        (folder / "prompts.csv").write_text("prompt\nelse\n")
        assert paddock(*RUN)[0] == 2
        code, _, remarks = paddock(*RUN, "--restart")
        assert code == 0
        assert "batch_1 is cancelled" in remarks
        assert server.batches["batch_1"]["status"] == "cancelled"
        assert out(folder) == [{"prompt": "else", "response": "ELSE", "error": None}]

    def test_at_another_server(self, folder: Path, paddock: Run, serve: Serve) -> None:
        first = serve(BatchServer())
        paddock(*RUN, "--detach")
        serve(BatchServer())
        code, _, remarks = paddock(*RUN)
        assert code == 2
        assert f"out.jsonl is made by batch_1 at {first.url}, not at " in remarks
        assert paddock(*RUN, "--base-url", first.url)[0] == 0

    def test_a_batch_that_the_server_lost(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        paddock(*RUN, "--detach")
        server.batches.clear()
        code, _, remarks = paddock(*RUN)
        assert code == 0
        assert "the server does not know batch_1 any more: the prompts are sent anew" in remarks

    def test_a_file_beside_the_output_that_is_none_of_ours(
        self, folder: Path, paddock: Run, serve: Serve
    ) -> None:
        serve(BatchServer())
        (folder / "out.jsonl.batch").write_text("{")
        code, _, remarks = paddock(*RUN)
        assert code == 2
        assert "out.jsonl.batch should tell which batch makes out.jsonl, and is not understood" in remarks
        assert paddock(*RUN, "--restart")[0] == 0


class TestEnds:
    def test_wrong_lines(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer("validating", "failed")
        serve(server)
        problem = {"code": "model_not_found", "message": "there is no model 'foal'", "line": 2}

        def fail(exchange: Exchange) -> bool:
            for batch in server.batches.values():
                batch["errors"] = {"object": "list", "data": [problem] * 30}
            return False

        server.before = fail
        code, said, remarks = paddock(*RUN)
        assert (code, said) == (1, "")
        assert remarks.splitlines()[-3:] == [
            "row 2: there is no model 'foal'",
            "and 10 more",
            "paddock: batch_1 failed; the same command begins anew",
        ]
        assert remarks.count("row 2") == 20
        paddock(*RUN)
        assert len(server.batches) == 2

    def test_refused(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)

        def refuse(exchange: Exchange) -> bool:
            if server.asked[-1] == "POST batches":
                exchange.answer({"error": {"message": "there is no model 'foal'"}}, 404)
                return True
            return False

        server.before = refuse
        code, said, remarks = paddock(*RUN)
        assert (code, said, remarks) == (1, "", "paddock: there is no model 'foal'\n")
        assert server.asked[-1] == "DELETE files/file-1"
        assert sorted(path.name for path in folder.iterdir()) == ["prompts.csv"]

    def test_cancelled_by_others(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer("in_progress")
        serve(server)

        def cancel(exchange: Exchange) -> bool:
            if exchange.path.endswith("batch_1"):
                server._end(server.batches["batch_1"], "cancelled")
            return False

        server.before = cancel
        code, said, remarks = paddock(*RUN)
        assert (code, said) == (1, "out.jsonl: 2 answered, 1 failed\n")
        assert remarks.splitlines()[-1] == "paddock: batch_1 was cancelled; the same command begins anew"

    def test_an_output_that_others_made(self, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        paddock(*RUN, "--detach")
        server.before = lambda exchange: bool((folder / "out.jsonl").write_text("theirs")) and False
        code, _, remarks = paddock(*RUN)
        assert code == 1
        assert "out.jsonl was made by others meanwhile" in remarks
        assert (folder / "out.jsonl").read_text() == "theirs"
        assert paddock(*RUN, "--overwrite")[0] == 0
        assert len(server.batches) == 1


class TestAServerThatIsAway:
    @pytest.mark.parametrize("what", ["POST files", "POST batches", "GET batches/batch_1", "GET files"])
    def test_it_is_waited_for(self, what: str, folder: Path, paddock: Run, serve: Serve) -> None:
        server = BatchServer()
        serve(server)
        once = [what]

        def leave(exchange: Exchange) -> bool:
            if once and server.asked[-1].startswith(once[0]):
                once.clear()
                server.away = 3
                exchange.answer({"error": {"message": "the server is stopping"}}, 503, retry_after="0")
                return True
            return False

        server.before = leave
        code, _, remarks = paddock(*RUN)
        assert code == 0
        assert "the server is starting; waiting until it answers again" in remarks
        assert "the server answers again" in remarks
        assert out(folder) == ANSWERS
        assert len(server.batches) == 1

    def test_a_batch_that_was_accepted_without_an_answer(
        self, folder: Path, paddock: Run, serve: Serve
    ) -> None:
        server = BatchServer()
        serve(server)

        def hang_up(exchange: Exchange) -> bool:
            if server.asked[-1] == "POST batches":
                server.create(exchange.json())
                exchange.hang_up()
                return True
            return False

        server.before = hang_up
        code, _, remarks = paddock(*RUN)
        assert code == 0
        assert "the server is away; waiting until it answers again" in remarks
        assert len(server.batches) == 1


class TestAtATerminal:
    def test_a_bar_and_ctrl_c_and_again(
        self, folder: Path, serve: Serve, terminal: Callable[..., Terminal]
    ) -> None:
        server = BatchServer("in_progress")
        serve(server)
        first = terminal(*RUN, term="xterm")
        first.wait_for("answering")
        first.wait_for("0 of 3 prompts")
        first.interrupt()
        seen = first.wait_for(r"`paddock batch cancel batch_1` ends it")
        assert "batch_1 goes on without you: the same command picks it up again" in seen
        assert first.process.wait(10) == 128 + signal.SIGINT
        server.steps = ("in_progress", "completed")
        second = terminal(*RUN, term="xterm")
        second.wait_for("picking up batch_1")
        second.wait_for("out.jsonl: 2 answered, 1 failed")
        assert second.process.wait(10) == 0
        assert out(folder) == ANSWERS
        assert len(server.batches) == 1
