"""`paddock finetune DATA`: what it sends, what it shows, what it leaves behind."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.terminal import Terminal
from tests.unit.cli.test_finetune import EVENTS, MODEL, job
from tests.unit.clients.server import Exchange, Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
JSON = dict[str, Any]
RUN = ("finetune", "shop.csv", "--base", "paddock/foal")


class FineTuneServer:
    """Takes files and one fine-tune, which is a state further at each look.

    Attributes:
        files: (name, purpose, content) by id.
        asked: the bodies of requests for fine-tunes.
        refusal: (status, message) by which such a request is answered.
        drops: such requests that are accepted, and whose answers are lost.
        looks: what the job is at each look; at the last one it stays.
    """

    def __init__(self, *looks: JSON) -> None:
        self.files: dict[str, tuple[str, str, bytes]] = {}
        self.asked: list[JSON] = []
        self.refusal: tuple[int, str] | None = None
        self.drops = 0
        self.looks = list(looks) or [job("queued", total=0, done=0), job("running"), job()]

    def __call__(self, exchange: Exchange) -> None:
        path = exchange.path.partition("?")[0].strip("/").split("/")
        match exchange.method, path:
            case "POST", ["v1", "files"]:
                exchange.answer(self._upload(exchange))
            case "DELETE", ["v1", "files", identity]:
                del self.files[identity]
                exchange.answer({"id": identity, "deleted": True})
            case "POST", ["v1", "fine_tuning", "jobs"]:
                self._create(exchange)
            case "GET", ["api", "v1", "jobs"]:
                labelled = [job("queued", labels=body["metadata"]) for body in self.asked]
                exchange.answer({"data": labelled, "next": None})
            case "GET", ["api", "v1", "jobs", "ft_1"]:
                exchange.answer(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])
            case "GET", ["api", "v1", "events"]:
                after = int(exchange.path.rpartition("after=")[2])
                exchange.answer({"data": [one for one in EVENTS if one["id"] > after], "next": None})
            case _:
                exchange.answer({"error": {"message": f"there is no {exchange.path}"}}, 404)

    def _upload(self, exchange: Exchange) -> JSON:
        boundary = exchange.headers["content-type"].partition("boundary=")[2].encode()
        purpose, file = exchange.body.split(b"--" + boundary)[1:3]
        head, _, content = file.partition(b"\r\n\r\n")
        (name,) = re.findall(r'filename="(.*?)"', head.decode())
        identity = f"file-{len(self.files) + 1}"
        self.files[identity] = (name, purpose.decode().rsplit("\r\n", 2)[1], content.removesuffix(b"\r\n"))
        return {"id": identity}

    def _create(self, exchange: Exchange) -> None:
        if self.refusal is not None:
            status, message = self.refusal
            exchange.answer({"error": {"message": message}}, status)
            return
        self.asked.append(exchange.json())
        if self.drops:
            self.drops -= 1
            exchange.hang_up()
        else:
            exchange.answer({"id": "ft_1"})


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paddock.cli.finetune_watching.POLL_SECONDS", 0.001)
    monkeypatch.setattr("paddock.cli.waiting.FIRST_SECONDS", 0.001)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands run. It has shop.csv and more.jsonl."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "shop.csv").write_bytes(b"prompt,response\nred?,yes\n")
    (folder / "more.jsonl").write_bytes(b'{"prompt": "blue?", "response": "no"}\n')
    return folder


@pytest.mark.usefixtures("folder")
class TestFromRowsToAModel:
    def test_it(self, paddock: Run, serve: Serve) -> None:
        server = FineTuneServer()
        serve(server)
        code, out, err = paddock(*RUN)
        assert (code, out) == (0, f"{MODEL}\n")
        assert err.splitlines() == [
            "the server reads the rows",
            "ft_1 has begun; Ctrl-C leaves it to the server",
            "queued: loss 0.31 · validation 1.2",
            "learning: step 120 of 600 · loss 0.31 · validation 1.2 · 45 rows/s · 12 s left",
            "completed: step 600 of 600 · loss 0.31 · validation 1.2",
            f"try it: paddock chat {MODEL}",
            f"     or paddock complete --model {MODEL} 'Hello!'",
        ]
        assert server.files == {"file-1": ("shop.csv", "fine-tune", b"prompt,response\nred?,yes\n")}
        (body,) = server.asked
        assert re.fullmatch("[0-9a-f]{16}", body.pop("metadata")["paddock_request"])
        assert body == {"model": "paddock/foal", "training_file": "file-1"}

    def test_all_options(self, paddock: Run, serve: Serve) -> None:
        server = FineTuneServer()
        serve(server)
        settings = ("epochs=3", "lora_targets=q_proj,v_proj", "packing=true", "method=lora")
        code, _, err = paddock(
            *(*RUN, "--suffix", "shop", "--validation", "more.jsonl", "--seed", "7"),
            *(word for setting in settings for word in ("--set", setting)),
        )
        assert code == 0, err
        (body,) = server.asked
        del body["metadata"]
        assert body == {
            "model": "paddock/foal",
            "training_file": "file-1",
            "validation_file": "file-2",
            "suffix": "shop",
            "seed": 7,
            "hyperparameters": {
                "epochs": 3,
                "lora_targets": ["q_proj", "v_proj"],
                "packing": True,
                "method": "lora",
            },
        }
        assert server.files["file-2"][0] == "more.jsonl"

    def test_a_stored_file(self, paddock: Run, serve: Serve) -> None:
        server = FineTuneServer()
        serve(server)
        assert paddock("finetune", "file-12ab", "--base", "foal")[0] == 0
        assert server.asked[0]["training_file"] == "file-12ab"
        assert server.files == {}

    def test_options_first_and_run_said(self, paddock: Run, serve: Serve) -> None:
        serve(FineTuneServer())
        assert paddock("finetune", "--base", "foal", "shop.csv")[0] == 0
        assert paddock("finetune", "run", "shop.csv", "--base", "foal")[0] == 0

    def test_not_waited_for(self, paddock: Run, serve: Serve) -> None:
        url = serve(FineTuneServer()).url
        code, out, err = paddock(*RUN, "--no-wait", "--base-url", url)
        assert (code, out) == (0, "ft_1\n")
        assert f"`paddock finetune show ft_1 --follow --base-url {url}` tells how far it is" in err

    def test_an_answer_that_is_lost(self, paddock: Run, serve: Serve) -> None:
        server = FineTuneServer()
        server.drops = 1
        serve(server)
        code, out, err = paddock(*RUN)
        assert (code, out) == (0, f"{MODEL}\n"), err
        assert len(server.asked) == 1

    def test_plot(self, paddock: Run, serve: Serve, folder: Path) -> None:
        serve(FineTuneServer())
        code, _, err = paddock(*RUN, "--plot", "losses.html")
        assert code == 0
        assert err.endswith("the losses are drawn in losses.html\n")
        assert "<svg" in (folder / "losses.html").read_text("utf-8")


@pytest.mark.usefixtures("folder")
class TestWhatGoesWrong:
    def test_the_server_refuses(self, paddock: Run, serve: Serve) -> None:
        server = FineTuneServer()
        server.refusal = (400, 'hyperparameters.epochs must be a number above 0, not "many"')
        serve(server)
        code, out, err = paddock(*RUN, "--validation", "more.jsonl", "--set", "epochs=many")
        assert (code, out) == (1, "")
        assert err.endswith('paddock: hyperparameters.epochs must be a number above 0, not "many"\n')
        assert server.files == {}

    @pytest.mark.parametrize(
        ("state", "reason", "said"),
        [
            ("failed", "it diverged", "paddock: ft_1 failed: it diverged\n"),
            ("cancelled", "", "paddock: ft_1 was cancelled\n"),
            ("expired", "", "paddock: ft_1 was not done within its time\n"),
        ],
    )
    def test_no_model_comes_of_it(
        self, state: str, reason: str, said: str, paddock: Run, serve: Serve, folder: Path
    ) -> None:
        serve(FineTuneServer(job("running"), job(state, reason=reason)))
        code, out, err = paddock(*RUN, "--plot", "losses.html")
        assert (code, out) == (1, "")
        assert err.endswith(said)
        assert (folder / "losses.html").exists()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("none.csv",), "DATA: there is no file 'none.csv', and it is no id of a stored one"),
            (("notes.txt",), "DATA: notes.txt must end in .csv, .jsonl, .ndjson or .json"),
            (("..",), "DATA: .. is a folder"),
            (("shop.csv", "--validation", "x.csv"), "--validation: there is no file 'x.csv'"),
            (("shop.csv", "--set", "epochs"), "--set must be name=value, such as epochs=3, not 'epochs'"),
            (("shop.csv", "--set", "a=1", "--set", "a=2"), "--set a is given twice"),
            (("shop.csv", "--plot", "a.svg"), "--plot must end in .html or .png, not 'a.svg'"),
            (("shop.csv", "--plot", "no/a.html"), "there is no folder no"),
            (("shop.csv", "--plot", "old.html"), "old.html is there already"),
            (("shop.csv", "--force"), "--force is for --plot"),
            (("shop.csv", "--plot", "a.html", "--no-wait"), "--plot draws what comes at the end"),
            (("shop.csv", "--seed", "-1"), "not in the range"),
        ],
    )
    def test_before_anything_is_sent(
        self, arguments: tuple[str, ...], said: str, paddock: Run, serve: Serve, folder: Path
    ) -> None:
        (folder / "notes.txt").touch()
        (folder / "old.html").touch()
        server = serve(FineTuneServer())
        code, out, err = paddock("finetune", *arguments, "--base", "foal")
        assert (code, out) == (2, "")
        assert said in err
        assert not server.exchanges

    def test_a_server_that_is_away(self, paddock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PADDOCK_BASE_URL", "http://127.0.0.1:9")
        code, _, err = paddock(*RUN)
        assert code == 1
        assert "cannot connect" in err


@pytest.mark.usefixtures("folder")
class TestAtATerminal:
    def test_ctrl_c_leaves_it_to_the_server(self, terminal: Callable[..., Terminal], serve: Serve) -> None:
        server = serve(FineTuneServer(job("running")))
        shown = terminal(*RUN, term="xterm")
        shown.wait_for("step 120 of 600")
        shown.process.send_signal(signal.SIGINT)
        shown.wait_for("ft_1 goes on without you")
        shown.wait_for("paddock finetune show ft_1 --follow")
        shown.wait_for("paddock finetune cancel ft_1")
        assert shown.process.wait(10) == 130
        assert not any("cancel" in exchange.path for exchange in server.exchanges)
